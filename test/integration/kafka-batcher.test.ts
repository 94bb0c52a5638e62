// What is accepted is acknowledged, in order, whatever happens to the broker; and consumers come through it too.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  type Batcher,
  type BatcherOptions,
  connectKafka,
  createBatcher,
  type IncomingBatch,
  type KafkaClient,
  type OutgoingRecord,
} from '@mirrorstream/kafka';
import type { KafkaBroker } from '@mirrorstream/local';
import { seededRandom, startKafka, temporaryDirectory, uniqueName, waitFor } from '@mirrorstream/testkit';

const partitions = 4;
const padding = '.'.repeat(1_000);

interface Fate {
  readonly accepted: string[][];
  readonly acknowledged: { readonly value: string; readonly offset: bigint }[][];
  readonly lost: string[];
  readonly availability: boolean[];
}

const textOf = (value: Uint8Array | null): string =>
  Buffer.from(value ?? [])
    .toString()
    .split('.')[0] ?? '';

/** Offers numbered records to all partitions in turn, and keeps what became of them. */
class Source {
  readonly fate: Fate = {
    accepted: Array.from({ length: partitions }, () => []),
    acknowledged: Array.from({ length: partitions }, () => []),
    lost: [],
    availability: [],
  };
  readonly batcher: Batcher;
  readonly #topic: string;
  #next = 0;

  constructor(topic: string, producer: Parameters<typeof createBatcher>[0], options: BatcherOptions = {}) {
    this.#topic = topic;
    this.batcher = createBatcher(producer, options, {
      onAcknowledged: ({ partition, value }, offset) =>
        this.fate.acknowledged[partition]?.push({ value: textOf(value), offset }),
      onLost: ({ value }) => this.fate.lost.push(textOf(value)),
      onAvailability: (available) => this.fate.availability.push(available),
    });
  }

  /** False when the buffer is full. */
  offer(pad = padding): boolean {
    const number = this.#next++;
    const partition = number % partitions;
    const record: OutgoingRecord = { topic: this.#topic, partition, key: null, value: Buffer.from(`${number}${pad}`) };
    if (this.batcher.offer(record) === 'full') return false;
    this.fate.accepted[partition]?.push(String(number));
    return true;
  }

  /** Offers a few hundred records a second until stopped. */
  load(): () => void {
    const timer = setInterval(() => {
      for (let at = 0; at < 5; at++) this.offer();
    }, 10);
    return () => clearInterval(timer);
  }

  get acknowledgedCount(): number {
    return this.fate.acknowledged.reduce((sum, each) => sum + each.length, 0);
  }
}

/** Every record was acknowledged once, in order, at an offset where it lies; repeats in the log keep the order too. */
async function assertNothingLost(
  client: KafkaClient,
  topic: string,
  { accepted, acknowledged, lost }: Fate,
): Promise<void> {
  assert.deepEqual(lost, []);
  const log = Array.from({ length: partitions }, () => new Map<bigint, string>());
  const ranges = log.map((_, partition) => ({ partition, from: 0n, to: 1_000_000n }));
  await client.readRange(topic, ranges, ({ partition, records }: IncomingBatch) => {
    for (const { offset, value } of records) log[partition]?.set(offset, textOf(value));
  });
  for (let partition = 0; partition < partitions; partition++) {
    const mine = acknowledged[partition] ?? [];
    assert.deepEqual(
      mine.map(({ value }) => value),
      accepted[partition],
    );
    for (const { value, offset } of mine) assert.equal(log[partition]?.get(offset), value);
    assert.deepEqual([...new Set(log[partition]?.values())], accepted[partition]);
  }
}

describe('the batcher and the consumers, when the broker goes away', () => {
  let dataDir: string;
  let broker: KafkaBroker;
  let client: KafkaClient;
  let topic: string;

  const restart = async (): Promise<void> => {
    broker = await startKafka({ dataDir, port: broker.port });
  };
  const newTopic = async (config: Record<string, string> = {}): Promise<string> => {
    const name = uniqueName('batcher');
    const admin = await client.admin();
    await admin.ensureTopics([{ topic: name, partitions, config }]);
    await admin.close();
    return name;
  };

  before(async () => {
    dataDir = await temporaryDirectory('kafka-batcher');
    broker = await startKafka({ dataDir });
    client = connectKafka({ brokers: [broker.bootstrap], clientId: 'batcher', requestTimeoutMs: 3_000 });
    topic = await newTopic();
  });
  after(async () => {
    await client.close();
    await broker.kill9();
  });

  it('isolates a record that is too large, with compression too', async () => {
    const small = await newTopic({ 'max.message.bytes': '20000' });
    const source = new Source(small, await client.producer({ compression: 'zstd' }), { lingerMs: 20 });
    const noise = seededRandom(1).bytes(30_000).toString('base64');
    for (let at = 0; at < 40; at++) source.offer(at === 17 ? `.${noise}` : '.');
    await source.batcher.flush();
    assert.deepEqual(source.fate.lost, ['17']);
    const kept = {
      ...source.fate,
      lost: [],
      accepted: source.fate.accepted.map((each) => each.filter((value) => value !== '17')),
    };
    await assertNothingLost(client, small, kept);
    await source.batcher.close(1_000);
  });

  it('keeps what it accepted while the broker is stopped, refuses the rest, and goes on by itself', async () => {
    const source = new Source(topic, await client.producer(), { maxBufferedBytes: 400_000 });
    for (let at = 0; at < 100; at++) assert.ok(source.offer());
    await source.batcher.flush();
    await broker.stop();
    while (source.offer());
    assert.ok(source.batcher.stats().bufferedBytes > 390_000);
    await waitFor(() => !source.batcher.stats().available, { what: 'the outage to be noticed' });
    assert.equal(source.offer(), false);
    await restart();
    await source.batcher.flush();
    assert.ok(source.offer());
    await source.batcher.flush();
    await assertNothingLost(client, topic, source.fate);
    assert.deepEqual(source.fate.availability, [false, true]);
    await source.batcher.close(1_000);
  });

  it('loses nothing acknowledged when the broker is killed under load, nor does a group consumer', async () => {
    const killed = await newTopic();
    const source = new Source(killed, await client.producer(), { maxBufferedBytes: 4_000_000 });
    const seen = Array.from({ length: partitions }, () => new Map<bigint, string>());
    const onBatch = ({ partition, records }: IncomingBatch): void => {
      for (const { offset, value } of records) {
        assert.ok(!seen[partition]?.has(offset), 'a retained partition goes on where it was');
        seen[partition]?.set(offset, textOf(value));
      }
    };
    const crashes: Error[] = [];
    const consumer = await client.consume(
      { group: uniqueName('group'), topics: [killed] },
      { onAssigned: async () => new Map(), onBatch, onCrash: (error) => crashes.push(error) },
    );
    const followed = new Set<string>();
    const follower = await client.follow(
      [killed],
      'earliest',
      ({ records }) => {
        for (const { value } of records) followed.add(textOf(value));
      },
      (error) => crashes.push(error),
    );
    const stopLoad = source.load();
    for (let round = 1; round <= 2; round++) {
      const before = source.acknowledgedCount;
      await waitFor(() => source.acknowledgedCount > before + 200, { what: 'records to be acknowledged' });
      await broker.kill9();
      await waitFor(() => !source.batcher.stats().available, { what: 'the outage to be noticed' });
      await restart();
      await waitFor(() => source.batcher.stats().available, {
        what: 'the broker to be found again',
        deadlineMs: 60_000,
      });
    }
    stopLoad();
    await source.batcher.flush();
    await assertNothingLost(client, killed, source.fate);
    const all = source.fate.accepted.flat().length;
    await waitFor(() => new Set(seen.flatMap((each) => [...each.values()])).size === all, {
      what: 'the consumer to see all',
    });
    await follower.caughtUp();
    assert.equal(followed.size, all);
    await consumer.commit([{ topic: killed, partition: 0, offset: 1n }]);
    assert.deepEqual(crashes, []);
    await consumer.stop();
    await follower.stop();
    await source.batcher.close(1_000);
  });

  it('goes on after the broker was frozen for longer than a request may take', async () => {
    const frozen = await newTopic();
    const source = new Source(frozen, await client.producer());
    const stopLoad = source.load();
    await waitFor(() => source.acknowledgedCount > 50, { what: 'records to be acknowledged' });
    process.kill(broker.pid, 'SIGSTOP');
    try {
      await waitFor(() => !source.batcher.stats().available, { what: 'the outage to be noticed' });
    } finally {
      process.kill(broker.pid, 'SIGCONT');
    }
    await waitFor(() => source.batcher.stats().available, { what: 'the broker to be found again' });
    stopLoad();
    await source.batcher.flush();
    // What timed out was sent again while the frozen broker still held the first try: twice in the log, the first in order.
    await assertNothingLost(client, frozen, source.fate);
    await source.batcher.close(1_000);
  });

  it('closes in time while the broker is away, and says what it gave up', async () => {
    const source = new Source(topic, await client.producer());
    await broker.stop();
    source.offer();
    const fromMs = performance.now();
    await source.batcher.close(300);
    assert.ok(performance.now() - fromMs < 1_500);
    assert.equal(source.fate.lost.length, 1);
    const stopped = performance.now();
    await client.close();
    assert.ok(performance.now() - stopped < 2_000);
    await restart();
  });
});
