// Snapshots through the real status topic, and the topics a stack needs.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { CaptureSnapshot, Snapshot } from '@mirrorstream/domain';
import { snapshotKey, statusTopic } from '@mirrorstream/domain';
import { type Admin, connectKafka, type KafkaClient, type KafkaLogger } from '@mirrorstream/kafka';
import {
  ensureMirrorTopics,
  ensureSourceTopics,
  ensureStatusTopic,
  SnapshotPublisher,
  SnapshotReader,
} from '@mirrorstream/service-kit';
import { sharedKafka, uniqueName, waitFor } from '@mirrorstream/testkit';

const quiet: KafkaLogger = { debug() {}, info() {}, warn() {}, error() {} };

const capture = (source: string, transactions: number): CaptureSnapshot => ({
  kind: 'capture',
  source,
  captureNode: 'node',
  incarnation: 'first',
  atMs: Date.now(),
  final: false,
  sessions: { total: 1, open: 1 },
  transactions,
  exchanges: transactions,
  bytes: 0,
  dropped: { transactions: 0, bytes: 0, byReason: {} },
  pending: { transactions: 0, bytes: 0 },
  publishedUpTo: { '0': '12' },
});

describe('snapshots and topics on a real broker', () => {
  let client: KafkaClient;
  let admin: Admin;
  before(async () => {
    client = connectKafka({ brokers: [(await sharedKafka()).bootstrap], clientId: 'snapshots' });
    admin = await client.admin();
    await ensureStatusTopic(admin);
  });
  after(() => client.close());

  it('shows a reader the newest snapshot, to one that was there and to one that comes later', async () => {
    const source = uniqueName('source');
    const own = (reader: SnapshotReader): Snapshot | undefined => reader.get(snapshotKey(capture(source, 0)));
    const seen = (reader: SnapshotReader): number | undefined =>
      (own(reader) as CaptureSnapshot | undefined)?.transactions;
    const early = await SnapshotReader.start({ client, logger: quiet, onCrash: assert.fail });
    let transactions = 1;
    const producer = await client.producer();
    const publisher = new SnapshotPublisher({
      producer,
      snapshots: () => [capture(source, transactions)],
      logger: quiet,
      intervalMs: 20,
    });
    publisher.start();
    await waitFor(() => seen(early) === 1, { what: 'the first snapshot' });
    transactions = 2;
    await waitFor(() => seen(early) === 2, { what: 'the second' });
    publisher.stop();
    transactions = 3;
    assert.equal(await publisher.publishNow(), true);
    const late = await SnapshotReader.start({ client, logger: quiet, onCrash: assert.fail });
    await Promise.all([early.caughtUp(), late.caughtUp()]);
    assert.equal(seen(early), 3);
    assert.equal(seen(late), 3);
    await Promise.all([early.stop(), late.stop(), producer.close()]);
  });

  it('leaves out what is no snapshot, and goes on', async () => {
    const producer = await client.producer();
    const key = `junk/${uniqueName('key')}`;
    await producer.send([{ topic: statusTopic, partition: 0, key, value: Buffer.from('{"kind":"junk"}') }]);
    const reader = await SnapshotReader.start({ client, logger: quiet, onCrash: assert.fail });
    await reader.caughtUp();
    assert.equal(reader.get(key), undefined);
    assert.ok(reader.stats().invalid >= 1);
    await producer.send([{ topic: statusTopic, partition: 0, key, value: null }]);
    await Promise.all([reader.stop(), producer.close()]);
  });

  it('makes the topics of a source and of a mirror with the settings they need', async () => {
    const source = uniqueName('source');
    const mirror = uniqueName('mirror');
    await ensureSourceTopics(admin, source, { partitions: 3, retentionMs: 3_600_000 });
    await ensureMirrorTopics(admin, 'team', mirror, { partitions: 3 });
    await ensureMirrorTopics(admin, 'team', mirror, { partitions: 3 });
    const names = [
      `${source}.envelopes`,
      `team.${mirror}.results`,
      `team.${mirror}.verdicts`,
      `team.${mirror}.dead-letter`,
    ];
    assert.deepEqual(
      [...(await admin.partitionCounts(names)).entries()].sort(),
      [
        [names[0], 3],
        [names[3], 1],
        [names[1], 3],
        [names[2], 3],
      ].sort(),
    );
    const config = await admin.topicConfig(names[0] as string);
    assert.deepEqual(
      ['retention.ms', 'max.message.bytes', 'compression.type'].map((name) => config.get(name)),
      ['3600000', '1048576', 'producer'],
    );
    assert.equal((await admin.topicConfig(statusTopic)).get('cleanup.policy'), 'compact');
    await assert.rejects(ensureSourceTopics(admin, source, { partitions: 4 }), { code: 'badInput' });
    await admin.deleteTopics(names);
  });
});
