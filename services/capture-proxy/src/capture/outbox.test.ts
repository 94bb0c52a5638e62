// Whatever Kafka and the clock do: every accepted record reaches the batcher once, in order per partition, within the limits.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GapReason } from '@mirrorstream/envelope';
import { seededRandom, temporaryDirectory, waitFor } from '@mirrorstream/testkit';
import { Spool } from '../spool/spool.ts';
import { Outbox } from './outbox.ts';
import type { CaptureRecord } from './publisher.ts';

const record = (partition: number, number: number, sizeBytes: number): CaptureRecord => ({
  topic: 't.envelopes',
  partition,
  key: null,
  value: Buffer.alloc(sizeBytes, number),
  headers: {},
  number,
  transactions: 1,
  exchanges: 1,
  sizeBytes,
});

const memoryBytes = 64 * 1024;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function scene(options: { spoolBytes?: number; withSpool?: boolean } = {}) {
  const { spoolBytes = 16 * 1024 * 1024, withSpool = true } = options;
  const clock = { nowMs: 0 };
  const queue: CaptureRecord[] = [];
  const received: CaptureRecord[] = [];
  let bufferedBytes = 0;
  const outbox = new Outbox(
    { memoryBytes, spoolBytes, otherBytes: () => 0, nowMs: () => clock.nowMs },
    {
      offer: (offered) => {
        const sizeBytes = offered.value?.length ?? 0;
        if (bufferedBytes + sizeBytes > memoryBytes) return 'full';
        bufferedBytes += sizeBytes;
        queue.push(offered as CaptureRecord);
        received.push(offered as CaptureRecord);
        return 'accepted';
      },
      stats: () => ({
        bufferedBytes,
        bufferedRecords: queue.length,
        inFlightBytes: 0,
        inFlightRequests: 0,
        available: true,
      }),
      unsettled: () => [...queue],
      close: async () => {},
    },
  );
  const folder = `${await temporaryDirectory('outbox')}/spool`;
  const events = { onFailing: assert.fail, onMended: assert.fail, onUnreadable: () => assert.fail('unreadable') };
  const spool = new Spool(
    { folder, segmentBytes: 32 * 1024, holdBytes: memoryBytes / 8, snapshot: () => ({}) },
    events,
  );
  if (withSpool) outbox.useSpool(spool);
  /** Kafka acknowledges the oldest. */
  const acknowledge = (count: number): void => {
    for (const done of queue.splice(0, count)) {
      bufferedBytes -= done.sizeBytes;
      outbox.settled(done);
    }
  };
  const calm = async (): Promise<void> => {
    await waitFor(
      () => {
        clock.nowMs += 5;
        acknowledge(queue.length);
        outbox.tick();
        return queue.length === 0 && !outbox.diverted;
      },
      { what: 'everything to go out', everyMs: 1 },
    );
  };
  const drain = async (): Promise<void> => {
    await calm();
    await spool.close(1_000);
    await spool.end();
  };
  return { clock, outbox, received, spool, acknowledge, calm, drain };
}

describe('the outbox', () => {
  it('without a spool refuses what the publish buffer has no room for', async () => {
    const { outbox, acknowledge } = await scene({ withSpool: false });
    assert.equal(outbox.offer(record(0, 1, memoryBytes)), 'accepted');
    assert.equal(outbox.offer(record(0, 2, 1)), GapReason.PUBLISH_BUFFER_FULL);
    assert.equal(outbox.refusal(), GapReason.PUBLISH_BUFFER_FULL);
    acknowledge(1);
    assert.equal(outbox.refusal(), null);
  });

  it('diverts when Kafka has acknowledged nothing for a second, and what memory held is on the disk, too', async () => {
    const { clock, outbox, received, spool, drain } = await scene();
    const first = record(0, 1, 100);
    outbox.offer(first);
    outbox.tick();
    assert.equal(outbox.diverted, false);
    clock.nowMs += 1_000;
    outbox.tick();
    assert.equal(outbox.diverted, true);
    outbox.offer(record(0, 2, 100));
    await waitFor(() => outbox.keeps(first) && spool.memoryBytes === 0, { what: 'both to be on the disk', everyMs: 1 });
    outbox.tick();
    assert.deepEqual(received, [first], 'nothing is read back while Kafka is away');
    await drain();
    assert.deepEqual(
      received.map(({ number }) => number),
      [1, 2],
    );
  });

  it('says which limit refused: the cap of the spool, or the memory of its tail', async () => {
    const capped = await scene({ spoolBytes: 10_000 });
    capped.outbox.offer(record(0, 1, 100));
    capped.clock.nowMs += 1_000;
    capped.outbox.tick();
    assert.equal(capped.outbox.offer(record(0, 2, 9_000)), 'accepted');
    assert.equal(capped.outbox.offer(record(0, 3, 9_000)), GapReason.SPOOL_FULL);
    await capped.drain();
    const quick = await scene();
    quick.outbox.offer(record(0, 1, 100));
    quick.clock.nowMs += 1_000;
    quick.outbox.tick();
    const offered = Array.from({ length: 9 }, (_, i) => quick.outbox.offer(record(0, 2 + i, memoryBytes / 16)));
    assert.deepEqual([...new Set(offered)], ['accepted', GapReason.PUBLISH_BUFFER_FULL], 'faster than the disk');
    assert.equal(quick.outbox.refusal(), GapReason.PUBLISH_BUFFER_FULL);
    await quick.drain();
    assert.equal(quick.outbox.refusal(), null);
  });

  it('goes on refusing for the reason of now: first the disk was slow, then the spool is full', async () => {
    const { clock, outbox, spool } = await scene({ spoolBytes: 40_000 });
    outbox.offer(record(0, 1, 100));
    clock.nowMs += 1_000;
    outbox.tick();
    let number = 2;
    let refusal: string | GapReason = 'accepted';
    while (refusal === 'accepted') refusal = outbox.offer(record(0, number++, 1_000));
    assert.equal(refusal, GapReason.PUBLISH_BUFFER_FULL);
    await waitFor(() => spool.memoryBytes === 0, { what: 'the tail to be written', everyMs: 1 });
    assert.equal(outbox.refusal(), GapReason.SPOOL_FULL);
  });

  for (let seed = 1; seed <= 4; seed++) {
    it(`keeps order and loses nothing, with stalls and bursts of all kinds (seed ${seed})`, async () => {
      const random = seededRandom(seed);
      const { clock, outbox, received, acknowledge, calm, drain } = await scene();
      const accepted: CaptureRecord[] = [];
      const numbers = [0, 0, 0];
      let diversions = 0;
      let away = 0;
      for (let step = 0; step < 3_000; step++) {
        const was = outbox.diverted;
        clock.nowMs += random.integer(0, 40);
        if (away > 0) away -= 1;
        else if (random.integer(0, 200) === 0) away = random.integer(1, 150);
        else acknowledge(random.integer(0, 4));
        for (let burst = random.integer(0, 3); burst > 0; burst--) {
          const partition = random.integer(0, 2);
          numbers[partition] = (numbers[partition] as number) + 1;
          const offered = record(partition, numbers[partition] as number, random.integer(1, 3_000));
          if (outbox.offer(offered) === 'accepted') accepted.push(offered);
        }
        outbox.tick();
        if (random.integer(0, 2) === 0) await turn();
        if (random.integer(0, 199) === 0) await calm();
        if (!was && outbox.diverted) diversions += 1;
      }
      await drain();
      const of = (records: readonly CaptureRecord[], partition: number): string[] =>
        records
          .filter((one) => one.partition === partition)
          .map(
            ({ number, value, sizeBytes }) => `${number} ${value.length === sizeBytes && value[0] === number % 256}`,
          );
      for (const partition of [0, 1, 2]) assert.deepEqual(of(received, partition), of(accepted, partition));
      assert.ok(diversions > 1, `${diversions} diversions`);
    });
  }
});
