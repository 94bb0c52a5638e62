// The comparer as a process on a real broker: exact counts, over repeats, poison, kill -9 in mid-stream and a changing group.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  type ComparerSnapshot,
  deadLetterTopic,
  resultsTopic,
  snapshotSchema,
  statusTopic,
  verdictsTopic,
} from '@mirrorstream/domain';
import { decodeVerdictBatch, encodeResultBatch, ResultOutcome, StatementEnd } from '@mirrorstream/envelope';
import {
  type Admin,
  connectKafka,
  type IncomingRecord,
  type KafkaClient,
  type OutgoingRecord,
  type Producer,
} from '@mirrorstream/kafka';
import {
  type SeededRandom,
  type SpawnedService,
  seededRandom,
  sharedKafka,
  spawnService,
  uniqueName,
  waitFor,
} from '@mirrorstream/testkit';

const PARTITIONS = 4;

type ResultInit = NonNullable<Parameters<typeof encodeResultBatch>[0]['results']>[number];

const answer = {
  end: StatementEnd.COMPLETE,
  commandTag: 'SELECT 1',
  rows: 1n,
  digested: true,
  orderedDigest: 1n,
  multisetDigest: 1n,
  columnsDigest: 5n,
  columnCount: 1,
};
const failure = { end: StatementEnd.ERROR, sqlState: '23514', severity: 'ERROR', digested: true };

const replayedAnswers = {
  orderOnly: { ...answer, orderedDigest: 2n },
  value: { ...answer, orderedDigest: 2n, multisetDigest: 2n },
  rowCount: { ...answer, commandTag: 'SELECT 2', rows: 2n },
  columns: { ...answer, columnsDigest: 6n },
  errorNew: failure,
} as const;
const classes = ['match', 'match', 'match', 'orderOnly', 'value', 'rowCount', 'columns', 'errorNew'] as const;

/** What the comparer must come to: transactions and statements by name, and the transactions there must be a verdict for. */
class Expected {
  readonly counts = new Map<string, number>();
  readonly transactions = new Set<string>();
  add(name: string, count = 1): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + count);
  }
}

/** Makes results of a few sessions in one partition, some of them twice, and keeps book of what they should count as. */
class ResultSource {
  private readonly random: SeededRandom;
  private readonly partition: number;
  private readonly expected: Expected;
  private readonly seqs = [0, 0, 0];
  private last: ResultInit[] = [];

  constructor(seed: number, partition: number, expected: Expected) {
    this.random = seededRandom(seed);
    this.partition = partition;
    this.expected = expected;
  }

  /** The results of one record. */
  next(): ResultInit[] {
    const results = Array.from({ length: this.random.integer(1, 8) }, () => this.result());
    const repeated = this.random.integer(0, 3) === 0 ? this.last : [];
    this.expected.add('duplicates', repeated.length);
    this.last = results;
    return [...repeated, ...results];
  }

  private result(): ResultInit {
    const session = this.random.integer(0, this.seqs.length - 1);
    const seq = (this.seqs[session] ?? 0) + 1;
    this.seqs[session] = seq;
    const sessionId = `session-${this.partition}-${session}`;
    const ref = { sessionId, sessionSeq: BigInt(seq), part: 0, lastPart: true };
    this.expected.transactions.add(`${sessionId}/${seq}`);
    if (this.random.integer(0, 9) === 0) {
      this.expected.add('failed');
      return { ref, outcome: ResultOutcome.FAILED, reason: 'connectionLost', transactions: 1 };
    }
    this.expected.add('replayed');
    const statements = Array.from({ length: this.random.integer(1, 4) }, (_, exchange) => {
      const name = this.random.pick(classes);
      this.expected.add(name);
      const sql = `SELECT ${this.random.integer(1, 99)} FROM table_${this.random.integer(1, 5)}`;
      return name === 'match'
        ? { exchange, equal: true, captured: answer, replayed: answer }
        : { exchange, sql, captured: answer, replayed: replayedAnswers[name] };
    });
    return { ref, outcome: ResultOutcome.REPLAYED, statements, transactions: 1 };
  }
}

describe('the comparer', () => {
  let brokers: string;
  let client: KafkaClient;
  let admin: Admin;
  let producer: Producer;
  before(async () => {
    brokers = (await sharedKafka()).bootstrap;
    client = connectKafka({ brokers: [brokers], clientId: 'comparer-test' });
    [admin, producer] = [await client.admin(), await client.producer()];
    await admin.ensureTopics([{ topic: statusTopic, partitions: 1, config: { 'cleanup.policy': 'compact' } }]);
  });
  after(async () => {
    await producer.close();
    await admin.close();
    await client.close();
  });

  async function newMirror(): Promise<string> {
    const mirror = uniqueName('mirror');
    const topics = [resultsTopic, verdictsTopic, deadLetterTopic].map((name) => name('default', mirror));
    await admin.ensureTopics(topics.map((topic) => ({ topic, partitions: PARTITIONS, config: {} })));
    return mirror;
  }

  const startComparer = async (mirror: string): Promise<SpawnedService> => {
    const service = await spawnService(['comparer', '--brokers', brokers, '--mirror', mirror, '--checkpoint-ms', '20']);
    await service.waitForLine(/"ready":true/);
    return service;
  };

  const recordOf = (mirror: string, partition: number, results: ResultInit[]): OutgoingRecord => ({
    topic: resultsTopic('default', mirror),
    partition,
    key: null,
    value: encodeResultBatch({ environment: 'default', mirror, run: 'live', replayer: 'test', partition, results }),
  });

  async function readAll(topic: string): Promise<IncomingRecord[]> {
    const records: IncomingRecord[] = [];
    const ranges = (await admin.offsets(topic)).map(({ partition, low, high }) => ({ partition, from: low, to: high }));
    await client.readRange(topic, ranges, (batch) => records.push(...batch.records));
    return records;
  }

  /** The counts of all partitions added up, from the newest snapshot of each. */
  async function totals(mirror: string): Promise<Map<string, number>> {
    const newest = new Map<string, ComparerSnapshot>();
    for (const { key, value } of await readAll(statusTopic)) {
      const name = key?.toString() ?? '';
      if (!name.startsWith(`comparer/default/${mirror}/`) || value === null) continue;
      const snapshot = snapshotSchema.parse(JSON.parse(value.toString()));
      if (snapshot.kind === 'comparer') newest.set(name, snapshot);
    }
    const sum = new Map<string, number>();
    const add = (name: string, count: number) => {
      if (count > 0) sum.set(name, (sum.get(name) ?? 0) + count);
    };
    for (const snapshot of newest.values()) {
      for (const [name, count] of Object.entries(snapshot.outcomes)) add(name, count);
      for (const [name, count] of Object.entries(snapshot.statements)) add(name, count);
      add('duplicates', snapshot.duplicates);
    }
    return sum;
  }

  const resolved = (counts: ReadonlyMap<string, number>): number =>
    (counts.get('replayed') ?? 0) + (counts.get('failed') ?? 0);

  const waitForResolved = (mirror: string, least: number): Promise<unknown> =>
    waitFor(async () => resolved(await totals(mirror)) >= least, {
      what: `${least} transactions to be counted`,
      deadlineMs: 60_000,
      everyMs: 20,
    });

  async function verdictsOf(mirror: string): Promise<Map<string, number>> {
    const seen = new Map<string, number>();
    for (const { value } of await readAll(verdictsTopic('default', mirror)))
      for (const { ref } of decodeVerdictBatch(value ?? new Uint8Array(0)).verdicts) {
        const id = `${ref?.sessionId}/${ref?.sessionSeq}`;
        seen.set(id, (seen.get(id) ?? 0) + 1);
      }
    return seen;
  }

  async function stopInOrder(service: SpawnedService): Promise<void> {
    service.signal('SIGTERM');
    const exit = await service.exited;
    assert.equal(exit.code, 0, service.lines().slice(-5).join('\n'));
  }

  /** Produces `rounds` records for each partition; calls `between` a few times on the way. */
  async function produceStream(
    mirror: string,
    seed: number,
    rounds: number,
    between: (round: number) => Promise<void> = async () => {},
  ): Promise<Expected> {
    const expected = new Expected();
    const sources = Array.from({ length: PARTITIONS }, (_, i) => new ResultSource(seed + i, i, expected));
    for (let round = 0; round < rounds; round++) {
      await producer.send(sources.map((source, partition) => recordOf(mirror, partition, source.next())));
      await between(round);
    }
    return expected;
  }

  it('counts every transaction and statement once, repeated results too, and publishes one verdict each', async () => {
    const mirror = await newMirror();
    const expected = await produceStream(mirror, 1, 50);
    const service = await startComparer(mirror);
    await waitForResolved(mirror, resolved(expected.counts));
    await stopInOrder(service);
    assert.deepEqual(sorted(await totals(mirror)), sorted(expected.counts));
    const verdicts = await verdictsOf(mirror);
    assert.deepEqual([...verdicts.keys()].sort(), [...expected.transactions].sort());
    assert.ok([...verdicts.values()].every((count) => count === 1));
  });

  it('comes to the same exact counts when it is killed with -9 in mid-stream, again and again', async () => {
    const mirror = await newMirror();
    let service = await startComparer(mirror);
    let kills = 0;
    const expected = await produceStream(mirror, 100, 160, async (round) => {
      if (round % 50 !== 49) return;
      const before = resolved(await totals(mirror));
      await waitForResolved(mirror, before + 1);
      await service.kill9();
      kills += 1;
      service = await startComparer(mirror);
    });
    await waitForResolved(mirror, resolved(expected.counts));
    await stopInOrder(service);
    assert.equal(kills, 3);
    assert.deepEqual(sorted(await totals(mirror)), sorted(expected.counts));
    assert.deepEqual([...(await verdictsOf(mirror)).keys()].sort(), [...expected.transactions].sort());
  });

  it('keeps the counts exact while a second comparer joins, works and dies', async () => {
    const mirror = await newMirror();
    const first = await startComparer(mirror);
    let second: SpawnedService | undefined;
    const expected = await produceStream(mirror, 200, 120, async (round) => {
      if (round === 30) second = await startComparer(mirror);
      if (round === 80) await second?.kill9();
    });
    await waitForResolved(mirror, resolved(expected.counts));
    await stopInOrder(first);
    assert.deepEqual(sorted(await totals(mirror)), sorted(expected.counts));
  });

  it('sets a poisoned record aside in the dead letter topic and goes on', async () => {
    const mirror = await newMirror();
    const poison = Buffer.from('this is no result batch');
    await producer.send([{ topic: resultsTopic('default', mirror), partition: 2, key: null, value: poison }]);
    const expected = await produceStream(mirror, 300, 10);
    const service = await startComparer(mirror);
    await waitForResolved(mirror, resolved(expected.counts));
    await stopInOrder(service);
    assert.deepEqual(sorted(await totals(mirror)), sorted(expected.counts));
    const [dead, ...others] = await readAll(deadLetterTopic('default', mirror));
    assert.equal(others.length, 0);
    assert.deepEqual(dead?.value, poison);
    assert.deepEqual(
      [dead?.headers['partition'], dead?.headers['offset'], dead?.headers['reason']],
      ['2', '0', 'undecodable'],
    );
  });

  it('refuses a missing mirror name with exit code 2', async () => {
    const service = await spawnService(['comparer', '--brokers', brokers]);
    const exit = await service.exited;
    assert.equal(exit.code, 2);
    assert.match(service.lines().join('\n'), /--mirror/);
  });
});

function sorted(counts: ReadonlyMap<string, number>): [string, number][] {
  return [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
}
