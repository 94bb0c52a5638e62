import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MirrorstreamError } from '@mirrorstream/domain';
import { seededRandom } from '@mirrorstream/testkit';
import { type BatcherClock, createBatcher } from './batcher.ts';
import type { BatcherOptions } from './batcher-port.ts';
import type { OutgoingRecord, PartitionOutcome, PartitionRecords } from './port.ts';

class ManualClock implements BatcherClock {
  #nowMs = 0;
  #timers: { atMs: number; callback: () => void }[] = [];
  nowMs(): number {
    return this.#nowMs;
  }
  after(ms: number, callback: () => void): () => void {
    const timer = { atMs: this.#nowMs + ms, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer);
    };
  }
  /** Lets time pass, and what answers have set off run. */
  async pass(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      const next = this.#timers.filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.#timers = this.#timers.filter((each) => each !== next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.callback();
    }
    this.#nowMs = untilMs;
  }
}

const away = new MirrorstreamError('kafkaUnavailable', 'away', { stage: 'test', retryable: true });
const refused = new MirrorstreamError('kafkaRefused', 'no', { stage: 'test' });
const textOf = (record: OutgoingRecord): string => Buffer.from(record.value ?? []).toString();
const record = (value: string, partition = 0, topic = 't'): OutgoingRecord => ({
  topic,
  partition,
  key: null,
  value: Buffer.from(value),
});

/** A Kafka that can be away, slow, or refuse certain values. */
class FakeKafka {
  isAway = false;
  held: (() => void)[] | undefined;
  refuses: (value: string) => boolean = () => false;
  scope: 'record' | 'partition' = 'record';
  readonly requests: string[][] = [];
  readonly logs = new Map<string, string[]>();
  inFlight = 0;
  maxInFlight = 0;
  readonly #busy = new Set<string>();

  async sendEach(parts: readonly PartitionRecords[]): Promise<readonly PartitionOutcome[]> {
    this.requests.push(parts.flatMap(({ records }) => records.map(textOf)));
    this.maxInFlight = Math.max(this.maxInFlight, ++this.inFlight);
    for (const { topic, partition } of parts) {
      assert.ok(!this.#busy.has(`${topic}/${partition}`), 'one request per partition at a time');
      this.#busy.add(`${topic}/${partition}`);
    }
    const held = this.held;
    if (held !== undefined) await new Promise<void>((resolve) => held.push(resolve));
    this.inFlight--;
    return parts.map((part) => this.#answer(part));
  }

  #answer({ topic, partition, records }: PartitionRecords): PartitionOutcome {
    this.#busy.delete(`${topic}/${partition}`);
    if (this.isAway) return { kind: 'unavailable', error: away };
    const values = records.map(textOf);
    if (values.some(this.refuses)) return { kind: 'refused', scope: this.scope, error: refused };
    const log = this.logs.get(`${topic}/${partition}`) ?? [];
    this.logs.set(`${topic}/${partition}`, log);
    const baseOffset = BigInt(log.length);
    log.push(...values);
    return { kind: 'acknowledged', baseOffset };
  }
}

function setUp(options: BatcherOptions = {}) {
  const kafka = new FakeKafka();
  const clock = new ManualClock();
  const acknowledged: string[] = [];
  const lost: string[] = [];
  const availability: boolean[] = [];
  const batcher = createBatcher(
    kafka,
    options,
    {
      onAcknowledged: (each, offset) => acknowledged.push(`${each.partition}@${offset}=${textOf(each)}`),
      onLost: (each, reason, everSent) => lost.push(`${textOf(each)}:${reason}:${everSent}`),
      onAvailability: (available) => availability.push(available),
    },
    clock,
  );
  return { kafka, clock, acknowledged, lost, availability, batcher };
}

describe('the batcher', () => {
  it('waits for company no longer than the linger time, and puts all partitions in one request', async () => {
    const { kafka, clock, acknowledged, batcher } = setUp({ lingerMs: 5 });
    batcher.offer(record('a'));
    await clock.pass(3);
    batcher.offer(record('b', 1));
    batcher.offer(record('c'));
    await clock.pass(1);
    assert.equal(kafka.requests.length, 0);
    await clock.pass(1);
    assert.deepEqual(kafka.requests, [['a', 'c', 'b']]);
    assert.deepEqual(acknowledged, ['0@0=a', '0@1=c', '1@0=b']);
    assert.deepEqual(batcher.stats(), {
      bufferedBytes: 0,
      bufferedRecords: 0,
      inFlightRequests: 0,
      inFlightBytes: 0,
      available: true,
    });
  });

  it('cuts a partition’s request at its bytes and its records', async () => {
    const { kafka, clock, batcher } = setUp({ maxRequestBytes: 300, maxRequestRecords: 3 });
    for (const value of ['a', 'b', 'c', 'd']) batcher.offer(record(value));
    batcher.offer(record('x'.repeat(400)));
    batcher.offer(record('y'.repeat(200)));
    batcher.offer(record('z'.repeat(100)));
    await clock.pass(50);
    assert.deepEqual(
      kafka.requests.map((each) => each.map((value) => value[0]).join('')),
      ['abc', 'd', 'x', 'y', 'z'],
    );
  });

  it('refuses what does not fit, keeps what it has, and takes again when there is room', async () => {
    const { kafka, clock, acknowledged, batcher } = setUp({ maxBufferedBytes: 200 });
    kafka.isAway = true;
    assert.equal(batcher.offer(record('a')), 'accepted');
    assert.equal(batcher.offer(record('b')), 'accepted');
    assert.equal(batcher.offer(record('c'.repeat(100))), 'full');
    assert.equal(batcher.offer(record('d')), 'accepted');
    assert.equal(batcher.offer(record('e')), 'full');
    kafka.isAway = false;
    await clock.pass(10);
    assert.deepEqual(acknowledged, ['0@0=a', '0@1=b', '0@2=d']);
    assert.equal(batcher.offer(record('f')), 'accepted');
  });

  it('keeps the order of a partition while others pass, with one request per partition under way', async () => {
    const { kafka, clock, batcher } = setUp({ lingerMs: 0, maxInFlightRequests: 2 });
    kafka.held = [];
    batcher.offer(record('a0'));
    await clock.pass(0);
    batcher.offer(record('a1'));
    batcher.offer(record('b0', 1));
    await clock.pass(0);
    batcher.offer(record('c0', 2));
    await clock.pass(0);
    assert.deepEqual(kafka.requests, [['a0'], ['b0']]);
    const held = kafka.held;
    kafka.held = undefined;
    for (const release of held) release();
    await clock.pass(0);
    assert.deepEqual(kafka.requests.slice(2), [['a1', 'c0']]);
    assert.equal(kafka.maxInFlight, 2);
    assert.deepEqual(kafka.logs.get('t/0'), ['a0', 'a1']);
  });

  it('waits longer and longer while Kafka is away, tells so once, and goes on by itself', async () => {
    const { kafka, clock, acknowledged, availability, batcher } = setUp({ retryMinMs: 100, retryMaxMs: 400 });
    kafka.isAway = true;
    batcher.offer(record('a'));
    await clock.pass(5 + 100 + 200 + 400 + 400);
    assert.equal(kafka.requests.length, 5);
    assert.deepEqual(availability, [false]);
    assert.equal(batcher.stats().available, false);
    kafka.isAway = false;
    await clock.pass(400);
    assert.deepEqual(acknowledged, ['0@0=a']);
    assert.deepEqual(availability, [false, true]);
  });

  it('isolates refused records and loses only them', async () => {
    const { kafka, clock, acknowledged, lost, batcher } = setUp();
    kafka.refuses = (value) => value.startsWith('bad');
    const values = Array.from({ length: 40 }, (_, at) => (at === 7 || at === 31 ? `bad${at}` : `v${at}`));
    for (const value of values) batcher.offer(record(value));
    batcher.offer(record('other', 1));
    await clock.pass(100);
    assert.deepEqual(lost, ['bad7:kafkaRefused:true', 'bad31:kafkaRefused:true']);
    assert.deepEqual(
      kafka.logs.get('t/0'),
      values.filter((value) => !value.startsWith('bad')),
    );
    assert.deepEqual(kafka.logs.get('t/1'), ['other']);
    assert.equal(acknowledged.length, 39);
    assert.equal(batcher.stats().bufferedBytes, 0);
    assert.ok(kafka.requests.length < 30, `${kafka.requests.length} requests`);
  });

  it('loses at once what a whole partition refuses', async () => {
    const { kafka, clock, lost, batcher } = setUp();
    kafka.refuses = () => true;
    kafka.scope = 'partition';
    for (const value of ['a', 'b', 'c']) batcher.offer(record(value));
    await clock.pass(10);
    assert.equal(kafka.requests.length, 1);
    assert.deepEqual(lost, ['a:kafkaRefused:true', 'b:kafkaRefused:true', 'c:kafkaRefused:true']);
  });

  it('flushes without waiting for company, and only for what was there', async () => {
    const { kafka, clock, acknowledged, batcher } = setUp({ lingerMs: 1_000 });
    await batcher.flush();
    batcher.offer(record('a'));
    let flushed = false;
    const flushing = batcher.flush().then(() => {
      flushed = true;
    });
    kafka.held = [];
    await clock.pass(0);
    batcher.offer(record('later'));
    assert.equal(flushed, false);
    for (const release of kafka.held) release();
    await clock.pass(0);
    await flushing;
    assert.deepEqual(acknowledged, ['0@0=a']);
  });

  it('gives up in order at the close, and says what may have arrived', async () => {
    const { kafka, clock, acknowledged, lost, batcher } = setUp();
    kafka.held = [];
    batcher.offer(record('a'));
    await clock.pass(5);
    batcher.offer(record('b'));
    await batcher.close(20);
    assert.deepEqual(lost, ['a:closed:true', 'b:closed:false']);
    assert.equal(batcher.offer(record('c')), 'full');
    for (const release of kafka.held) release();
    await clock.pass(100);
    assert.deepEqual(acknowledged, [], 'an answer that comes after the close changes nothing');
    assert.deepEqual(batcher.stats(), {
      bufferedBytes: 0,
      bufferedRecords: 0,
      inFlightRequests: 0,
      inFlightBytes: 0,
      available: true,
    });
  });

  it('accounts for every accepted record exactly once, in order, whatever Kafka does', async () => {
    for (let seed = 1; seed <= 30; seed++) {
      const random = seededRandom(seed);
      const chance = (share: number): boolean => random.next() < share;
      const { kafka, clock, acknowledged, lost, batcher } = setUp({
        maxRequestBytes: 500,
        maxBufferedBytes: 4_000,
        maxInFlightRequests: 3,
      });
      kafka.refuses = (value) => value.includes('!');
      const accepted: string[][] = [[], [], []];
      for (let at = 0; at < 400; at++) {
        const partition = random.integer(0, 2);
        const value = `${at}${chance(0.03) ? '!' : ''}${'.'.repeat(random.integer(0, 60))}`;
        if (batcher.offer(record(value, partition)) === 'accepted') accepted[partition]?.push(value);
        if (chance(0.1)) kafka.isAway = chance(0.4);
        if (chance(0.3)) await clock.pass(random.integer(0, 30));
      }
      kafka.isAway = false;
      const flushed = batcher.flush();
      await clock.pass(10_000);
      await flushed;
      const good = (partition: number) => (accepted[partition] ?? []).filter((value) => !value.includes('!'));
      for (const partition of [0, 1, 2]) {
        assert.deepEqual(kafka.logs.get(`t/${partition}`) ?? [], good(partition), `seed ${seed}`);
        const mine = acknowledged.filter((each) => each.startsWith(`${partition}@`));
        assert.deepEqual(
          mine,
          good(partition).map((value, offset) => `${partition}@${offset}=${value}`),
        );
      }
      assert.equal(lost.length, accepted.flat().filter((value) => value.includes('!')).length);
      assert.deepEqual(batcher.stats(), {
        bufferedBytes: 0,
        bufferedRecords: 0,
        inFlightRequests: 0,
        inFlightBytes: 0,
        available: true,
      });
    }
  });
});
