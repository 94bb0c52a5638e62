// Exported windows: what is written comes back; what is cut or changed anywhere is refused, with the place.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { FileHeader, FileRecord } from './window-file.ts';
import { readWindowFile, WindowFileWriter } from './window-file-io.ts';

const header: FileHeader = {
  schema: 'mirrorstream.window/1',
  source: 'shop',
  window: { fromMs: 1_000, toMs: 2_000 },
  exportedAtMs: 3_000,
  partitions: 4,
  transactions: 7,
  captureGaps: 0,
  incarnations: ['a'],
};
const records: FileRecord[] = [
  {
    partition: 0,
    offset: 12n,
    timestampMs: 1_500,
    key: Buffer.from('k'),
    headers: { schema: '1', größe: 'ß' },
    value: Buffer.from([0, 255, 1]),
  },
  { partition: 3, offset: 2n ** 40n, timestampMs: 1_700_000_000_000, key: null, headers: {}, value: Buffer.alloc(0) },
  { partition: 0, offset: 13n, timestampMs: 1_501, key: Buffer.alloc(0), headers: { empty: '' }, value: null },
];

function written(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'mirrorstream-test-window-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'file');
  const writer = new WindowFileWriter(path, header);
  for (const { partition, ...record } of records) writer.add(partition, record);
  assert.equal(writer.finish(), readFileSync(path).length);
  return path;
}

async function read(path: string): Promise<{ readonly headers: FileHeader[]; readonly found: FileRecord[] }> {
  const headers: FileHeader[] = [];
  const found: FileRecord[] = [];
  await readWindowFile(path, {
    onHeader: (one) => void headers.push(one),
    onRecord: (one) => void found.push(one),
    onProgress: () => {},
  });
  return { headers, found };
}

test('header and records come back as they were, nulls, empty ones and letters of any kind too', async (t) => {
  const { headers, found } = await read(written(t));
  assert.deepEqual(headers, [header]);
  assert.deepEqual(found, records);
});

test('a file that is cut off anywhere is refused, with the byte', async (t) => {
  const path = written(t);
  const whole = readFileSync(path);
  for (let length = 0; length < whole.length; length++) {
    writeFileSync(path, whole.subarray(0, length));
    await assert.rejects(read(path), { code: 'badInput', message: /is damaged at byte \d+: / }, `${length} bytes`);
  }
});

test('a file in which any byte is another one is refused, and one with something behind its end', async (t) => {
  const path = written(t);
  const whole = readFileSync(path);
  for (let at = 0; at < whole.length; at++) {
    const changed = Buffer.from(whole);
    changed[at] = (changed[at] ?? 0) ^ 0x10;
    writeFileSync(path, changed);
    await assert.rejects(read(path), { code: 'badInput', message: /is damaged at byte \d+: / }, `byte ${at}`);
  }
  writeFileSync(path, Buffer.concat([whole, Buffer.from([0])]));
  await assert.rejects(read(path), { message: /something follows its end/ });
});

test('a file that is not there is named', async () => {
  await assert.rejects(read('/no/such/file'), { code: 'badInput', message: 'cannot read /no/such/file (ENOENT)' });
});
