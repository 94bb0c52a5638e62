// The spool gives back everything in order, bounded, from disk or memory; deletes what is settled; and is read by the next process.
import assert from 'node:assert/strict';
import { type FileHandle, open, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { seededRandom, temporaryDirectory, waitFor } from '@mirrorstream/testkit';
import { frameBytes, type SpoolRecord } from './segment-format.ts';
import { Spool } from './spool.ts';
import { removeLeft, SpoolFolder } from './spool-folder.ts';

const record = (number: number, valueBytes = 100): SpoolRecord => ({
  topic: 't.envelopes',
  partition: number % 3,
  key: null,
  value: Buffer.alloc(valueBytes, number),
  headers: { incarnation: 'mine' },
  number,
  transactions: 1,
  exchanges: 2,
  sizeBytes: valueBytes,
});

async function fixture(options: { segmentBytes?: number; holdBytes?: number } = {}) {
  const spoolDir = await temporaryDirectory('spool');
  const folder = new SpoolFolder({ spoolDir, source: 's', captureNode: 'n', worker: 0 });
  await folder.open();
  const told: string[] = [];
  const spool = new Spool(
    {
      folder: folder.of('mine'),
      segmentBytes: 4_096,
      holdBytes: 0,
      ...options,
      snapshot: () => ({ told: 'snapshot' }),
    },
    {
      onFailing: (error) => told.push(`failing ${(error as NodeJS.ErrnoException).code}`),
      onMended: () => told.push('mended'),
      onUnreadable: ({ records, transactions }) => told.push(`unreadable ${records} ${transactions}`),
    },
  );
  const files = async (): Promise<string[]> => (await readdir(folder.of('mine')).catch(() => [])).sort();
  const segments = async (): Promise<string[]> => (await files()).filter((name) => name.endsWith('.segment'));
  const numbers = (records: readonly SpoolRecord[]): number[] => records.map(({ number }) => number);
  /** Everything there is, in order. */
  const readAll = async (): Promise<SpoolRecord[]> => {
    const found: SpoolRecord[] = [];
    await waitFor(
      async () => {
        found.push(...(await spool.read(1_000)));
        return spool.isEmpty;
      },
      { what: 'the spool to be read', everyMs: 1 },
    );
    return found;
  };
  return { spool, folder, told, files, segments, numbers, readAll };
}

describe('the spool', () => {
  it('gives records back in order, over many segments, and deletes segments whose records are all settled', async () => {
    const { spool, segments, numbers, readAll } = await fixture();
    const random = seededRandom(5);
    const sizes = Array.from({ length: 300 }, () => random.integer(0, 9_000));
    for (const [i, size] of sizes.entries()) spool.append(record(i + 1, size));
    const found = await readAll();
    assert.deepEqual(
      numbers(found),
      Array.from({ length: 300 }, (_, i) => i + 1),
    );
    assert.ok(
      found.every(({ value, number }, i) => value.length === sizes[i] && value.every((byte) => byte === number % 256)),
    );
    assert.ok((await segments()).length > 20, 'nothing is settled: nothing is deleted');
    spool.rest();
    for (const one of found) spool.settled(one);
    await waitFor(async () => (await segments()).length === 0, { what: 'all segments to be deleted' });
    assert.equal(spool.sizeBytes, 0);
    assert.deepEqual(await spool.close(1_000), []);
    await spool.end();
  });

  it('hands over from memory what is about to be read, when Kafka flows', async () => {
    const { spool, files, numbers } = await fixture({ holdBytes: 10_000 });
    spool.flowing = true;
    for (let number = 1; number <= 5; number++) spool.append(record(number));
    assert.deepEqual(numbers(await spool.read(1_000_000)), [1, 2, 3, 4, 5]);
    assert.deepEqual([spool.isEmpty, spool.memoryBytes, await files()], [true, 0, []]);
  });

  it('writes on, in many segments, while the disk makes nothing durable; and ends all the same', async (t) => {
    const { spool, segments, numbers, readAll } = await fixture();
    const anyFile = await open(process.execPath);
    const fileHandle = Object.getPrototypeOf(anyFile) as FileHandle;
    await anyFile.close();
    const hanging = Promise.withResolvers<void>();
    const stuck = () => hanging.promise;
    const asked = [t.mock.method(fileHandle, 'datasync', stuck), t.mock.method(fileHandle, 'sync', stuck)];
    for (let number = 1; number <= 100; number++) spool.append(record(number, 1_000));
    await waitFor(() => spool.memoryBytes === 0, { what: 'all of it to be written' });
    await waitFor(() => asked.some(({ mock }) => mock.callCount() > 0), { what: 'it to be made durable' });
    assert.ok((await segments()).length > 20);
    assert.deepEqual(
      numbers(await readAll()),
      Array.from({ length: 100 }, (_, i) => i + 1),
    );
    assert.deepEqual(await spool.close(50), []);
    hanging.resolve();
    await spool.end();
  });

  it('writes copies of what is sent from memory, keeps them for a successor, and never reads them back itself', async () => {
    const { spool, folder, numbers, readAll } = await fixture();
    const copies = [record(1), record(2), record(3)];
    for (const copy of copies) spool.appendCopy(copy);
    spool.append(record(4));
    assert.deepEqual(numbers(await readAll()), [4]);
    spool.settled(copies[0] as SpoolRecord);
    assert.deepEqual(
      copies.map((copy) => spool.keeps(copy)),
      [false, true, true],
    );
    await spool.close(1_000);
    await spool.end();
    const [left] = await folder.left('successor');
    assert.ok(left);
    const found: SpoolRecord[] = [];
    for (const segment of left.segments) while (segment.hasUnread) found.push(...(await segment.read(1_000)).records);
    assert.deepEqual(numbers(found), [1, 2, 3, 4]);
    await removeLeft(left);
    assert.deepEqual(await folder.left('successor'), []);
  });

  it('is found by the next process with its last snapshot; a torn tail is cut, at every byte', async () => {
    const { spool, folder, files, numbers } = await fixture();
    for (let number = 1; number <= 3; number++) spool.append(record(number, 20));
    await spool.close(1_000);
    await spool.end();
    assert.deepEqual(await files(), ['0000000001.segment', 'snapshot.json']);
    const path = join(folder.of('mine'), '0000000001.segment');
    const whole = await readFile(path);
    const lastFrame = frameBytes(record(3, 20));
    for (let cut = 0; cut <= lastFrame; cut++) {
      await writeFile(path, whole);
      await truncate(path, whole.length - cut);
      const [left] = await folder.left('successor');
      assert.equal(left?.incarnation, 'mine');
      const found: SpoolRecord[] = [];
      for (const segment of left.segments) while (segment.hasUnread) found.push(...(await segment.read(50)).records);
      await Promise.all(left.segments.map((segment) => segment.close()));
      const expected = cut === 0 ? [1, 2, 3] : [1, 2];
      assert.deepEqual(numbers(found), expected, `cut by ${cut}`);
    }
    await writeFile(path, 'MSSPOOL2 of a later version');
    const [later] = await folder.left('successor');
    assert.ok(later);
    assert.deepEqual((await later.segments[0]?.read(1_000))?.rest, 'invalid');
    await removeLeft(later);
  });

  it('says how much is lost when its own file is damaged, and goes on behind it', async () => {
    const { spool, told, segments, folder, numbers, readAll } = await fixture({ segmentBytes: 1_000 });
    for (let number = 1; number <= 12; number++) spool.append(record(number));
    await waitFor(async () => (await segments()).length > 1 && spool.memoryBytes === 0, { what: 'two segments' });
    const path = join(folder.of('mine'), '0000000001.segment');
    const bytes = await readFile(path);
    bytes[60] = 255 - (bytes[60] as number);
    await writeFile(path, bytes);
    const found = numbers(await readAll());
    assert.equal(found.at(-1), 12);
    assert.deepEqual(told, [`unreadable ${12 - found.length} ${12 - found.length}`]);
    assert.ok(found.length >= 5 && found.length < 12);
    await spool.close(1_000);
    await spool.end();
  });
});
