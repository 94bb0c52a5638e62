// The contract of the Kafka port, on a real broker: any client behind the port must pass it.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  type Admin,
  connectKafka,
  type GroupConsumer,
  type IncomingBatch,
  type KafkaClient,
  type OutgoingRecord,
  partitionKey,
  type StartPosition,
  type TopicPartition,
} from '@mirrorstream/kafka';
import { sharedKafka, uniqueName, waitFor } from '@mirrorstream/testkit';

const record = (topic: string, partition: number, value: string, key: string | null = null): OutgoingRecord => ({
  topic,
  partition,
  key,
  value: Buffer.from(value),
});

/** Values by topic-partition in the order of arrival, and the offsets they had. */
class Inbox {
  readonly values = new Map<string, string[]>();
  readonly offsets = new Map<string, bigint[]>();
  readonly batches: IncomingBatch[] = [];
  readonly take = (batch: IncomingBatch): void => {
    this.batches.push(batch);
    const key = partitionKey(batch);
    const values = this.values.get(key) ?? [];
    const offsets = this.offsets.get(key) ?? [];
    for (const { value, offset } of batch.records) {
      values.push(value?.toString() ?? 'null');
      offsets.push(offset);
    }
    this.values.set(key, values);
    this.offsets.set(key, offsets);
  };
  get count(): number {
    return [...this.values.values()].reduce((sum, values) => sum + values.length, 0);
  }
  all(): string[] {
    return [...this.values.values()].flat();
  }
}

const nowhere = async (): Promise<ReadonlyMap<string, StartPosition>> => new Map();
const fail = (error: Error): never => {
  throw error;
};

describe('the Kafka port', () => {
  let client: KafkaClient;
  let admin: Admin;
  before(async () => {
    const { bootstrap } = await sharedKafka();
    client = connectKafka({ brokers: [bootstrap], clientId: 'contract' });
    admin = await client.admin();
  });
  after(() => client.close());

  const newTopic = async (partitions: number, config: Record<string, string> = {}): Promise<string> => {
    const topic = uniqueName('contract');
    await admin.ensureTopics([{ topic, partitions, config }]);
    return topic;
  };

  it('acknowledges records with the offset of the first of each partition', async () => {
    const topic = await newTopic(3);
    const producer = await client.producer();
    const first = await producer.send([record(topic, 0, 'a'), record(topic, 2, 'b'), record(topic, 0, 'c')]);
    assert.deepEqual(first.map(({ partition, baseOffset }) => [partition, baseOffset]).sort(), [
      [0, 0n],
      [2, 0n],
    ]);
    const second = await producer.send([record(topic, 0, 'd')]);
    assert.deepEqual(second, [{ topic, partition: 0, baseOffset: 2n }]);
    await producer.close();
    assert.deepEqual(await admin.offsets(topic), [
      { partition: 0, low: 0n, high: 3n },
      { partition: 1, low: 0n, high: 0n },
      { partition: 2, low: 0n, high: 1n },
    ]);
  });

  it('carries keys, values, nulls, headers and times through, in order', async () => {
    const topic = await newTopic(1, { 'cleanup.policy': 'compact' });
    const producer = await client.producer();
    const bytes = new Uint8Array([0, 255, 128, 7]).subarray(1);
    const beforeMs = Date.now();
    await producer.send([
      { topic, partition: 0, key: 'text', value: bytes, headers: { traceparent: '00-ab-cd-01' } },
      { topic, partition: 0, key: bytes, value: null },
    ]);
    await producer.close();
    const batches: IncomingBatch[] = [];
    await client.readRange(topic, [{ partition: 0, from: 0n, to: 2n }], (batch) => batches.push(batch));
    const [one, two] = batches.flatMap(({ records }) => records);
    assert.equal(one?.key?.toString(), 'text');
    assert.deepEqual([...(one?.value ?? [])], [255, 128, 7]);
    assert.deepEqual(one?.headers, { traceparent: '00-ab-cd-01' });
    assert.ok((one?.timestampMs ?? 0) >= beforeMs && (one?.timestampMs ?? 0) <= Date.now());
    assert.deepEqual([...(two?.key ?? [])], [255, 128, 7]);
    assert.equal(two?.value, null);
  });

  it('keeps the times records bring along, and finds them by these', async () => {
    const topic = await newTopic(1, { 'retention.ms': '-1' });
    const producer = await client.producer({ compression: 'zstd' });
    const times = [1_700_000_000_000, 1_700_000_000_500, 1_699_999_999_000, 1_760_000_000_000];
    await producer.send(times.map((timestampMs, at) => ({ ...record(topic, 0, `${at}`), timestampMs })));
    await producer.close();
    const found: number[] = [];
    await client.readRange(topic, [{ partition: 0, from: 0n, to: 4n }], ({ records }) =>
      found.push(...records.map(({ timestampMs }) => timestampMs)),
    );
    assert.deepEqual(found, times);
    assert.deepEqual(await admin.offsetsByTime(topic, 1_700_000_000_001), new Map([[0, 1n]]));
    assert.deepEqual(await admin.offsetsByTime(topic, 1_750_000_000_000), new Map([[0, 3n]]));
  });

  for (const compression of ['none', 'gzip', 'zstd'] as const) {
    it(`round-trips large batches with compression ${compression}`, async () => {
      const topic = await newTopic(1);
      const producer = await client.producer({ compression });
      const values = Array.from({ length: 500 }, (_, at) => `${at}:${'lorem ipsum '.repeat(at % 50)}`);
      await producer.send(values.map((value) => record(topic, 0, value)));
      await producer.close();
      const inbox = new Inbox();
      await client.readRange(topic, [{ partition: 0, from: 0n, to: 500n }], inbox.take);
      assert.deepEqual(inbox.all(), values);
    });
  }

  it('refuses a topic and a partition that do not exist, and a record that is too large', async () => {
    const topic = await newTopic(1, { 'max.message.bytes': '10000' });
    const producer = await client.producer();
    const refused = { name: 'MirrorstreamError', code: 'kafkaRefused', retryable: false };
    await assert.rejects(producer.send([record(topic, 7, 'x')]), refused);
    await assert.rejects(producer.send([record(topic, 0, 'x'.repeat(20_000))]), refused);
    await assert.rejects(producer.send([record(uniqueName('missing'), 0, 'x')]), refused);
    await producer.send([record(topic, 0, 'still works')]);
    await producer.close();
  });

  it('creates topics once, with their settings, and refuses another partition count', async () => {
    const topic = uniqueName('contract');
    const spec = { topic, partitions: 2, config: { 'cleanup.policy': 'compact', 'segment.bytes': '1048576' } };
    await admin.ensureTopics([spec]);
    await admin.ensureTopics([spec]);
    assert.deepEqual([...(await admin.partitionCounts([topic, uniqueName('missing')]))], [[topic, 2]]);
    assert.equal((await admin.topicConfig(topic)).get('cleanup.policy'), 'compact');
    await assert.rejects(admin.ensureTopics([{ ...spec, partitions: 3 }]), { code: 'badInput' });
    await admin.deleteTopics([topic]);
    assert.equal((await admin.partitionCounts([topic])).size, 0);
  });

  it('finds offsets by time, and the end where nothing is that late', async () => {
    const topic = await newTopic(2);
    const producer = await client.producer();
    await producer.send([record(topic, 0, 'early')]);
    const betweenMs = await waitFor(() => Date.now() + 1, { what: 'the clock' });
    await waitFor(() => Date.now() > betweenMs, { what: 'a later millisecond' });
    await producer.send([record(topic, 0, 'late')]);
    await producer.close();
    assert.deepEqual(
      await admin.offsetsByTime(topic, betweenMs),
      new Map([
        [0, 1n],
        [1, 0n],
      ]),
    );
    assert.deepEqual(
      await admin.offsetsByTime(topic, Date.now() + 60_000),
      new Map([
        [0, 2n],
        [1, 0n],
      ]),
    );
  });

  it('reads exactly the range asked for, and returns at once when there is nothing in it', async () => {
    const topic = await newTopic(2);
    const producer = await client.producer();
    await producer.send(Array.from({ length: 100 }, (_, at) => record(topic, 0, `v${at}`)));
    await producer.close();
    const inbox = new Inbox();
    await client.readRange(
      topic,
      [
        { partition: 0, from: 40n, to: 60n },
        { partition: 1, from: 0n, to: 0n },
      ],
      inbox.take,
    );
    assert.deepEqual(
      inbox.offsets.get(`${topic}/0`),
      Array.from({ length: 20 }, (_, at) => BigInt(40 + at)),
    );
    await client.readRange(topic, [{ partition: 1, from: 0n, to: 100n }], () => assert.fail('nothing is there'));
    await client.readRange(topic, [{ partition: 0, from: 99n, to: 1_000n }], inbox.take);
    assert.equal(inbox.values.get(`${topic}/0`)?.at(-1), 'v99');
  });

  it('follows topics from their beginning, says when it has caught up, and stops', async () => {
    const topics = [await newTopic(2), await newTopic(1)];
    const producer = await client.producer();
    const [a, b] = topics as [string, string];
    await producer.send([record(a, 0, '1'), record(a, 1, '2'), record(b, 0, '3')]);
    const inbox = new Inbox();
    const follower = await client.follow(topics, 'earliest', inbox.take, fail);
    await follower.caughtUp();
    assert.deepEqual(inbox.all().sort(), ['1', '2', '3']);
    await producer.send([record(b, 0, '4')]);
    await follower.caughtUp();
    assert.deepEqual(inbox.values.get(`${b}/0`), ['3', '4']);
    await follower.stop();
    await producer.send([record(b, 0, '5')]);
    assert.equal(inbox.count, 4);
    const late = new Inbox();
    const fromNow = await client.follow([b], 'latest', late.take, fail);
    await fromNow.caughtUp();
    await producer.send([record(b, 0, '6')]);
    await fromNow.caughtUp();
    assert.deepEqual(late.all(), ['6']);
    await fromNow.stop();
    await producer.close();
  });

  describe('a consumer in a group', () => {
    const consume = (
      topic: string,
      group: string,
      inbox: Inbox,
      more: Partial<Parameters<KafkaClient['consume']>[1]> = {},
    ) =>
      client.consume({ group, topics: [topic] }, { onAssigned: nowhere, onBatch: inbox.take, onCrash: fail, ...more });

    it('goes on from where its commits are set to, which is refused while it has members', async () => {
      const topic = await newTopic(1);
      const group = uniqueName('group');
      const producer = await client.producer();
      await producer.send(['a', 'b', 'c'].map((value) => record(topic, 0, value)));
      assert.equal(await admin.groupMembers(group), 0);
      await admin.setCommitted(group, [{ topic, partition: 0, offset: 2n, metadata: 'here' }]);
      assert.deepEqual(await admin.committed(group, topic), [{ topic, partition: 0, offset: 2n, metadata: 'here' }]);
      const inbox = new Inbox();
      const one = await consume(topic, group, inbox);
      await waitFor(() => inbox.count === 1, { what: 'what lies behind it' });
      assert.deepEqual(inbox.all(), ['c']);
      assert.equal(await admin.groupMembers(group), 1);
      await assert.rejects(admin.setCommitted(group, [{ topic, partition: 0, offset: 0n }]), /has members/);
      assert.equal((await admin.committed(group, topic))[0]?.offset, 2n);
      await one.stop();
      assert.equal(await admin.groupMembers(group), 0);
      await producer.close();
    });

    it('starts at the beginning without a commit, and behind the commit with one; metadata comes back', async () => {
      const topic = await newTopic(2);
      const group = uniqueName('group');
      const producer = await client.producer();
      await producer.send([record(topic, 0, 'a'), record(topic, 0, 'b'), record(topic, 1, 'c')]);
      const first = new Inbox();
      const one = await consume(topic, group, first);
      await waitFor(() => first.count === 3, { what: 'all records' });
      assert.equal(first.batches.at(-1)?.highWatermarkOffset, BigInt(first.batches.at(-1)?.partition === 0 ? 2 : 1));
      await one.commit([
        { topic, partition: 0, offset: 1n, metadata: 'results=17' },
        { topic, partition: 1, offset: 1n },
      ]);
      await one.stop();
      assert.deepEqual(await admin.committed(group, topic), [
        { topic, partition: 0, offset: 1n, metadata: 'results=17' },
        { topic, partition: 1, offset: 1n, metadata: '' },
      ]);
      const second = new Inbox();
      const two = await consume(topic, group, second);
      await waitFor(() => second.count === 1, { what: 'what was not committed' });
      assert.deepEqual(second.all(), ['b']);
      await two.stop();
      await producer.close();
      assert.equal((await admin.committed(uniqueName('nobody'), topic))[0]?.offset, null);
      await admin.deleteGroups([group, uniqueName('nobody')]);
      assert.equal((await admin.committed(group, topic))[0]?.offset, null);
    });

    it('starts where onAssigned says, after it has been answered', async () => {
      const topic = await newTopic(3);
      const producer = await client.producer();
      await producer.send([0, 1, 2].flatMap((p) => [record(topic, p, `${p}a`), record(topic, p, `${p}b`)]));
      const inbox = new Inbox();
      const released = Promise.withResolvers<void>();
      const calls: (readonly TopicPartition[])[][] = [];
      const starting = consume(topic, uniqueName('group'), inbox, {
        async onAssigned(assigned, previous) {
          calls.push([assigned, previous]);
          await released.promise;
          return new Map<string, StartPosition>([
            [`${topic}/0`, { kind: 'offset', offset: 1n }],
            [`${topic}/1`, { kind: 'latest' }],
            [`${topic}/2`, { kind: 'earliest' }],
          ]);
        },
      });
      await waitFor(() => calls.length === 1, { what: 'the assignment' });
      assert.equal(inbox.count, 0);
      released.resolve();
      const consumer = await starting;
      await waitFor(() => inbox.count === 3, { what: 'three records' });
      assert.deepEqual(inbox.all().sort(), ['0b', '2a', '2b']);
      await producer.send([record(topic, 1, '1c')]);
      await waitFor(() => inbox.count === 4, { what: 'the new record' });
      assert.deepEqual(inbox.values.get(`${topic}/1`), ['1c']);
      assert.deepEqual(
        calls.map(([assigned, previous]) => [assigned?.length, previous?.length]),
        [[3, 0]],
      );
      await consumer.stop();
      await producer.close();
    });

    it('delivers nothing from a paused partition while others go on, and all of it after resuming', async () => {
      const topic = await newTopic(2);
      const producer = await client.producer();
      const inbox = new Inbox();
      const consumer = await consume(topic, uniqueName('group'), inbox);
      consumer.pause([{ topic, partition: 0 }]);
      for (let at = 0; at < 5; at++) await producer.send([record(topic, 0, `p${at}`), record(topic, 1, `r${at}`)]);
      await waitFor(() => inbox.values.get(`${topic}/1`)?.length === 5, { what: 'the partition that is not paused' });
      assert.equal(inbox.values.get(`${topic}/0`), undefined);
      consumer.resume([{ topic, partition: 0 }]);
      await waitFor(() => inbox.values.get(`${topic}/0`)?.length === 5, { what: 'the resumed partition' });
      assert.deepEqual(inbox.values.get(`${topic}/0`), ['p0', 'p1', 'p2', 'p3', 'p4']);
      consumer.pause([0, 1].map((partition) => ({ topic, partition })));
      consumer.resume([0, 1].map((partition) => ({ topic, partition })));
      await producer.send([record(topic, 1, 'again')]);
      await waitFor(() => inbox.all().includes('again'), { what: 'a record after all was paused', deadlineMs: 2_000 });
      await consumer.stop();
      await producer.close();
    });

    it('shares partitions with a second member and takes them back when it leaves, without loss', async () => {
      const topic = await newTopic(8);
      const group = uniqueName('group');
      const producer = await client.producer();
      const inboxes = [new Inbox(), new Inbox()] as const;
      const reset = { onAssigned: nowhere };
      const committing = (inbox: Inbox, consumer: () => GroupConsumer | undefined) => ({
        ...reset,
        async onRevoking(assigned: readonly TopicPartition[]) {
          await consumer()?.commit(
            assigned.flatMap((at) => {
              const last = inbox.offsets.get(partitionKey(at))?.at(-1);
              return last === undefined ? [] : [{ ...at, offset: last + 1n }];
            }),
          );
        },
      });
      let sent = 0;
      const sendSome = async () => {
        const values = Array.from({ length: 80 }, () => record(topic, sent % 8, `${sent++}`));
        await producer.send(values);
      };
      let one: GroupConsumer | undefined;
      one = await consume(
        topic,
        group,
        inboxes[0],
        committing(inboxes[0], () => one),
      );
      assert.equal(one.assigned().length, 8);
      await sendSome();
      await waitFor(() => inboxes[0].count === 80, { what: 'the first records' });
      const kept = inboxes[0].count;
      let two: GroupConsumer | undefined;
      two = await consume(
        topic,
        group,
        inboxes[1],
        committing(inboxes[1], () => two),
      );
      const first = one;
      await waitFor(() => first.assigned().length === 4, { what: 'half of the partitions' });
      assert.equal(two.assigned().length, 4);
      await sendSome();
      const total = () => new Set([...inboxes[0].all(), ...inboxes[1].all()]).size;
      await waitFor(() => total() === sent, { what: 'all records, in both' });
      assert.ok(inboxes[0].count > kept && inboxes[1].count > 0);
      await two.commit(
        two.assigned().map((at) => ({ ...at, offset: (inboxes[1].offsets.get(partitionKey(at))?.at(-1) ?? -1n) + 1n })),
      );
      await two.stop();
      await waitFor(() => first.assigned().length === 8, { what: 'all partitions back' });
      await sendSome();
      await waitFor(() => total() === sent, { what: 'all records' });
      assert.equal(inboxes[0].count + inboxes[1].count, sent, 'everything was committed, so nothing comes twice');
      await assert.rejects(two.commit([{ topic, partition: 0, offset: 1n }]), { code: 'kafkaUnavailable' });
      await first.stop();
      await producer.close();
    });

    it('goes on within its positions when others come and go and it has committed nothing', async () => {
      const topic = await newTopic(2);
      const group = uniqueName('group');
      const producer = await client.producer();
      await producer.send([record(topic, 0, 'a'), record(topic, 1, 'b')]);
      const inbox = new Inbox();
      const joins: string[] = [];
      const one = await consume(topic, group, inbox, {
        async onAssigned(assigned, previous) {
          joins.push(`${previous.length}>${assigned.length}`);
          return new Map();
        },
      });
      await waitFor(() => inbox.count === 2, { what: 'both records' });
      const two = await consume(topic, group, new Inbox());
      await waitFor(() => joins.length === 2, { what: 'the rebalance' });
      await two.stop();
      await waitFor(() => joins.length === 3, { what: 'the second rebalance' });
      assert.deepEqual(joins, ['0>2', '2>1', '1>2']);
      const mine = inbox.all();
      assert.equal(mine.filter((value) => value === (one.assigned().length === 2 ? mine[0] : '')).length >= 1, true);
      await waitFor(() => inbox.count >= 3, { what: 'the partition that was away, from its commit' });
      assert.equal(inbox.count, 3, 'the retained partition went on where it was');
      await one.stop();
      await producer.close();
    });

    it('stops within two seconds, also while it is joining', async () => {
      const topic = await newTopic(1);
      const consumer = await consume(topic, uniqueName('group'), new Inbox());
      const fromMs = performance.now();
      await consumer.stop();
      assert.ok(performance.now() - fromMs < 2_000);
      const lonely = connectKafka({ brokers: [(await sharedKafka()).bootstrap], clientId: 'contract' });
      const starting = lonely.consume(
        { group: uniqueName('group'), topics: [uniqueName('missing')] },
        {
          onAssigned: nowhere,
          onBatch: () => {},
          onCrash: fail,
        },
      );
      const closedMs = performance.now();
      await Promise.all([assert.rejects(starting, { code: 'kafkaUnavailable' }), lonely.close()]);
      assert.ok(performance.now() - closedMs < 2_000);
    });

    it('reports a handler that throws, and is dead then', async () => {
      const topic = await newTopic(1);
      const crashed = Promise.withResolvers<Error>();
      const consumer = await consume(topic, uniqueName('group'), new Inbox(), {
        onBatch: () => {
          throw new TypeError('a bug');
        },
        onCrash: crashed.resolve,
      });
      const producer = await client.producer();
      await producer.send([record(topic, 0, 'x')]);
      assert.equal((await crashed.promise).message, 'a bug');
      await consumer.stop();
      await producer.close();
    });
  });
});
