import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Snapshot, snapshotKey } from '@mirrorstream/domain';
import type {
  IncomingBatch,
  KafkaLogger,
  OutgoingRecord,
  PartitionOutcome,
  PartitionRecords,
} from '@mirrorstream/kafka';
import { waitFor } from '@mirrorstream/testkit';
import { SnapshotPublisher } from './snapshot-publisher.ts';
import { SnapshotReader } from './snapshot-reader.ts';

const quiet: KafkaLogger = { debug() {}, info() {}, warn() {}, error() {} };

const replayer = (read: number, atMs = 1, instance = 'one'): Snapshot => ({
  kind: 'replayer',
  environment: 'e',
  mirror: 'm',
  instance,
  atMs,
  final: false,
  read,
  resolved: read,
  pending: 0,
  lanes: 1,
  partitions: {},
});

class FakeProducer {
  away = false;
  hold: Promise<void> | undefined;
  inFlight = 0;
  readonly sent: OutgoingRecord[] = [];
  async sendEach(parts: readonly PartitionRecords[]): Promise<readonly PartitionOutcome[]> {
    assert.equal(++this.inFlight, 1, 'never two at a time');
    await this.hold;
    this.inFlight--;
    if (this.away) throw new Error('away');
    for (const { records } of parts) this.sent.push(...records);
    return parts.map(() => ({ kind: 'acknowledged', baseOffset: 0n }));
  }
  values(): unknown[] {
    return this.sent.map(({ value }) => JSON.parse(Buffer.from(value ?? []).toString()).read);
  }
}

describe('the publisher of snapshots', () => {
  it('publishes what has changed, not what has only grown older', async () => {
    const producer = new FakeProducer();
    let now: Snapshot[] = [replayer(1), replayer(7, 1, 'two')];
    let asked = 0;
    const snapshots = () => {
      asked++;
      return now;
    };
    const publisher = new SnapshotPublisher({ producer, snapshots, logger: quiet, intervalMs: 2 });
    publisher.start();
    await waitFor(() => producer.sent.length === 2, { what: 'both' });
    now = [replayer(1, 999), replayer(8, 999, 'two')];
    const from = asked;
    await waitFor(() => asked > from + 5, { what: 'some ticks' });
    publisher.stop();
    assert.deepEqual(producer.values(), [1, 7, 8]);
    assert.deepEqual(producer.sent.map(({ key, topic, partition }) => [key, topic, partition]).at(-1), [
      'replayer/e/m/two',
      'mirrorstream.status',
      0,
    ]);
  });

  it('publishes an unchanged snapshot again when it has grown old', async () => {
    const producer = new FakeProducer();
    const publisher = new SnapshotPublisher({
      producer,
      snapshots: () => [replayer(1)],
      logger: quiet,
      intervalMs: 2,
      refreshMs: 10,
    });
    publisher.start();
    await waitFor(() => producer.sent.length >= 3, { what: 'repetitions' });
    publisher.stop();
  });

  it('keeps only the newest while Kafka is away, and never throws', async () => {
    const producer = new FakeProducer();
    producer.away = true;
    let read = 1;
    const publisher = new SnapshotPublisher({
      producer,
      snapshots: () => [replayer(read++)],
      logger: quiet,
      intervalMs: 1,
    });
    publisher.start();
    await waitFor(() => read > 5, { what: 'attempts' });
    publisher.stop();
    assert.equal(await publisher.publishNow(20), false);
    producer.away = false;
    const newest = read;
    assert.equal(await publisher.publishNow(1_000), true);
    assert.deepEqual(producer.values(), [newest]);
  });

  it('does not wait for an answer beyond the time given', async () => {
    const producer = new FakeProducer();
    const held = Promise.withResolvers<void>();
    producer.hold = held.promise;
    const publisher = new SnapshotPublisher({ producer, snapshots: () => [replayer(1)], logger: quiet });
    assert.equal(await publisher.publishNow(10), false);
    assert.equal(await publisher.publishNow(10), false);
    held.resolve();
    assert.equal(await publisher.publishNow(1_000), true);
  });
});

describe('the reader of snapshots', () => {
  it('keeps the newest of each key, forgets deleted ones, and counts what is none', async () => {
    let deliver: (batch: IncomingBatch) => void = () => {};
    const changes: string[] = [];
    const reader = await SnapshotReader.start({
      client: {
        follow: async (_topics, _from, onBatch) => {
          deliver = onBatch;
          return { caughtUp: async () => {}, stop: async () => {} };
        },
      },
      logger: quiet,
      onChange: (key, snapshot) => changes.push(`${key}=${snapshot === undefined ? 'gone' : 'there'}`),
      onCrash: assert.fail,
      maxKeys: 2,
    });
    let offset = 0n;
    const take = (key: string, value: string | null): void =>
      deliver({
        topic: 'mirrorstream.status',
        partition: 0,
        highWatermarkOffset: 9n,
        records: [
          {
            offset: offset++,
            timestampMs: 0,
            key: Buffer.from(key),
            value: value === null ? null : Buffer.from(value),
            headers: {},
          },
        ],
      });
    const put = (snapshot: Snapshot, key = snapshotKey(snapshot)): void => take(key, JSON.stringify(snapshot));
    put(replayer(1));
    put(replayer(2));
    put(replayer(3, 1, 'two'));
    put(replayer(4, 1, 'three'));
    put(replayer(5), 'replayer/e/m/other');
    take('replayer/e/m/one', '{"kind":"replayer"}');
    take('replayer/e/m/one', 'no json');
    assert.deepEqual(
      reader.ofKind('replayer').map(({ read }) => read),
      [2, 3],
    );
    assert.deepEqual(reader.ofKind('capture'), []);
    assert.deepEqual(reader.stats(), { keys: 2, invalid: 3, overflow: 1 });
    take('replayer/e/m/one', null);
    assert.equal(reader.get('replayer/e/m/one'), undefined);
    assert.equal(reader.all().length, 1);
    assert.equal(changes.at(-1), 'replayer/e/m/one=gone');
    await reader.stop();
  });
});
