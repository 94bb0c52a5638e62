// What comparer tests stand on: a broker with the topics of a mirror, the comparer as a process, and what it has published.
import assert from 'node:assert/strict';
import {
  type ComparerSnapshot,
  deadLetterTopic,
  findingsTopic,
  resultsTopic,
  snapshotSchema,
  statementClasses,
  statusTopic,
  verdictsTopic,
} from '@mirrorstream/domain';
import { decodeVerdictBatch, encodeResultBatch } from '@mirrorstream/envelope';
import { aggregateRecordSchema } from '@mirrorstream/findings';
import { type Admin, connectKafka, type IncomingRecord, type KafkaClient, type Producer } from '@mirrorstream/kafka';
import { ensureControlTopic } from '@mirrorstream/service-kit';
import { type SpawnedService, spawnService, uniqueName, waitFor } from '@mirrorstream/testkit';
import { Expected, PARTITIONS, type ResultInit, ResultSource } from './comparer-stream.ts';

export type Counts = ReadonlyMap<string, number>;

export class ComparerScene {
  readonly brokers: string;
  readonly producer: Producer;
  private readonly client: KafkaClient;
  private readonly admin: Admin;

  private constructor(brokers: string, client: KafkaClient, admin: Admin, producer: Producer) {
    this.brokers = brokers;
    this.client = client;
    this.admin = admin;
    this.producer = producer;
  }

  static async open(brokers: string): Promise<ComparerScene> {
    const client = connectKafka({ brokers: [brokers], clientId: 'comparer-test' });
    const admin = await client.admin();
    await admin.ensureTopics([{ topic: statusTopic, partitions: 1, config: { 'cleanup.policy': 'compact' } }]);
    return new ComparerScene(brokers, client, admin, await client.producer());
  }

  async close(): Promise<void> {
    await this.producer.close();
    await this.admin.close();
    await this.client.close();
  }

  ensureControlTopic(): Promise<void> {
    return ensureControlTopic(this.admin);
  }

  async newMirror(): Promise<string> {
    const mirror = uniqueName('mirror');
    const topics = [resultsTopic, verdictsTopic, findingsTopic, deadLetterTopic].map((name) => name('default', mirror));
    await this.admin.ensureTopics(topics.map((topic) => ({ topic, partitions: PARTITIONS, config: {} })));
    return mirror;
  }

  async startComparer(mirror: string, ...flags: string[]): Promise<SpawnedService> {
    const args = ['comparer', '--brokers', this.brokers, '--mirror', mirror, '--checkpoint-ms', '20', ...flags];
    const service = await spawnService(args);
    await service.waitForLine(/"ready":true/);
    return service;
  }

  /** Produces `rounds` records for each partition; calls `between` after each round. */
  async produceStream(
    mirror: string,
    seed: number,
    rounds: number,
    between: (round: number) => Promise<void> = async () => {},
  ): Promise<Expected> {
    const expected = new Expected();
    const sources = Array.from({ length: PARTITIONS }, (_, i) => new ResultSource(seed + i, i, expected));
    const recordOf = (partition: number, results: ResultInit[]) => ({
      topic: resultsTopic('default', mirror),
      partition,
      key: null,
      value: encodeResultBatch({ environment: 'default', mirror, run: 'live', replayer: 'test', partition, results }),
    });
    for (let round = 0; round < rounds; round++) {
      await this.producer.send(sources.map((source, partition) => recordOf(partition, source.next())));
      await between(round);
    }
    return expected;
  }

  async readAll(topic: string): Promise<IncomingRecord[]> {
    const records: IncomingRecord[] = [];
    const offsets = await this.admin.offsets(topic);
    const ranges = offsets.map(({ partition, low, high }) => ({ partition, from: low, to: high }));
    await this.client.readRange(topic, ranges, (batch) => records.push(...batch.records));
    return records;
  }

  /** The counts of all partitions added up, from the newest snapshot of each. */
  async totals(mirror: string): Promise<Counts> {
    const newest = new Map<string, ComparerSnapshot>();
    for (const { key, value } of await this.readAll(statusTopic)) {
      const name = key?.toString() ?? '';
      if (!name.startsWith(`comparer/default/${mirror}/`) || value === null) continue;
      const snapshot = snapshotSchema.parse(JSON.parse(value.toString()));
      if (snapshot.kind === 'comparer') newest.set(name, snapshot);
    }
    const sum = new Map<string, number>();
    for (const { outcomes, statements, duplicates } of newest.values())
      for (const [name, count] of Object.entries({ ...outcomes, ...statements, duplicates }))
        if (count > 0) sum.set(name, (sum.get(name) ?? 0) + count);
    return sum;
  }

  /** Statements by class, from the newest record of each aggregate: each statement is in exactly one. */
  async aggregated(mirror: string): Promise<Counts> {
    const newest = new Map<string, Buffer>();
    for (const { key, value } of await this.readAll(findingsTopic('default', mirror)))
      newest.set(key?.toString() ?? '', value ?? Buffer.alloc(0));
    const sum = new Map<string, number>();
    for (const value of newest.values()) {
      const { classes, calls } = aggregateRecordSchema.parse(JSON.parse(value.toString())).aggregate;
      for (const [name, found] of Object.entries(classes)) sum.set(name, (sum.get(name) ?? 0) + (found?.count ?? 0));
      assert.equal(
        Object.values(classes).reduce((all, found) => all + (found?.count ?? 0), 0),
        calls,
      );
    }
    return sum;
  }

  waitForResolved(mirror: string, least: number): Promise<unknown> {
    return waitFor(async () => resolved(await this.totals(mirror)) >= least, {
      what: `${least} transactions to be counted`,
      deadlineMs: 60_000,
      everyMs: 20,
    });
  }

  /** How many verdicts there are per transaction. */
  async verdictsOf(mirror: string): Promise<Counts> {
    const seen = new Map<string, number>();
    for (const { value } of await this.readAll(verdictsTopic('default', mirror)))
      for (const { ref } of decodeVerdictBatch(value ?? new Uint8Array(0)).verdicts) {
        const id = `${ref?.sessionId}/${ref?.sessionSeq}`;
        seen.set(id, (seen.get(id) ?? 0) + 1);
      }
    return seen;
  }

  async assertExact(mirror: string, expected: Expected): Promise<void> {
    assert.deepEqual(sorted(await this.totals(mirror)), sorted(expected.counts));
    const names: readonly string[] = statementClasses;
    const statements = [...expected.counts].filter(([name]) => names.includes(name));
    assert.deepEqual(sorted(await this.aggregated(mirror)), sorted(new Map(statements)));
    const judged = [...(await this.verdictsOf(mirror)).keys()].sort();
    assert.deepEqual(judged, [...expected.transactions].sort());
  }
}

export function resolved(counts: Counts): number {
  return (counts.get('replayed') ?? 0) + (counts.get('failed') ?? 0);
}

export async function stopInOrder(service: SpawnedService): Promise<void> {
  service.signal('SIGTERM');
  const exit = await service.exited;
  assert.equal(exit.code, 0, service.lines().slice(-5).join('\n'));
}

function sorted(counts: Counts): [string, number][] {
  return [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
}
