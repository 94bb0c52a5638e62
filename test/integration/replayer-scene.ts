// A source behind the capture proxy, a mirror, replayers as processes, and what they published: the set of the replayer's tests.
import assert from 'node:assert/strict';
import {
  changeMirrorControl,
  controlTopic,
  deadLetterTopic,
  encodeMirrorControl,
  envelopesTopic,
  type MirrorChange,
  mirrorControlKey,
  type ReplayerSnapshot,
  replayerGroup,
  resultsTopic,
  snapshotSchema,
  statusTopic,
} from '@mirrorstream/domain';
import {
  decodeEnvelopeBatch,
  decodeResultBatch,
  type EnvelopeBatch,
  type Result,
  ResultOutcome,
} from '@mirrorstream/envelope';
import { type Admin, connectKafka, type IncomingRecord, type KafkaClient } from '@mirrorstream/kafka';
import { ensureControlTopic } from '@mirrorstream/service-kit';
import {
  createDatabase,
  type PostgresAddress,
  type SpawnedService,
  sharedPostgres,
  spawnService,
  uniqueName,
  waitFor,
} from '@mirrorstream/testkit';

export interface Mirror {
  readonly name: string;
  readonly url: string;
}

/** A transaction as its results tell: one entry per result of a last part. */
export type Outcomes = ReadonlyMap<string, readonly Result[]>;

const environment = 'default';

export class ReplayerScene {
  readonly source = uniqueName('replay');
  readonly brokers: string;
  /** Where replayers find Kafka, if by another way. */
  replayerBrokers: string;
  readonly client: KafkaClient;
  readonly admin: Admin;
  /** The source's database, directly. */
  sourceUrl = '';
  /** The same through the proxy. */
  proxyUrl = '';
  readonly #services: SpawnedService[] = [];
  readonly #cleanUps: (() => Promise<void>)[] = [];
  #proxy: SpawnedService | null = null;
  #otherProxy: SpawnedService | null = null;

  private constructor(brokers: string, client: KafkaClient, admin: Admin) {
    this.brokers = brokers;
    this.replayerBrokers = brokers;
    this.client = client;
    this.admin = admin;
  }

  static async open(
    brokers: string,
    source?: PostgresAddress,
    partitions = 4,
    proxyFlags: readonly string[] = [],
  ): Promise<ReplayerScene> {
    const client = connectKafka({ brokers: [brokers], clientId: 'replayer-test' });
    const scene = new ReplayerScene(brokers, client, await client.admin());
    await scene.#startProxy(source ?? (await sharedPostgres('source')), partitions, proxyFlags);
    return scene;
  }

  async #startProxy(server: PostgresAddress, partitions: number, flags: readonly string[]): Promise<void> {
    const database = await createDatabase(server, { after: (work) => this.#cleanUps.push(work) });
    this.sourceUrl = database.url;
    const { proxy, url } = await this.#proxyTo(database.url, 'test', ['--partitions', String(partitions), ...flags]);
    this.#proxy = proxy;
    this.proxyUrl = url;
    await waitFor(async () => (await this.admin.partitionCounts([envelopesTopic(this.source)])).size > 0, {
      what: 'the envelopes topic',
    });
  }

  async #proxyTo(database: string, node: string, flags: readonly string[]) {
    const proxy = await this.#spawn([
      'capture-proxy',
      ...['--listen', '127.0.0.1:0', '--source', new URL(database).host, '--source-name', this.source],
      ...['--brokers', this.brokers, '--node', node, ...flags],
    ]);
    const { listen } = JSON.parse(await proxy.waitForLine(/"ready":true/)) as { listen: string };
    const through = new URL(database);
    through.host = listen;
    return { proxy, url: through.href };
  }

  /** Another proxy before the same source; its address. */
  async startOtherProxy(): Promise<string> {
    const partitions = (await this.admin.offsets(envelopesTopic(this.source))).length;
    const { proxy, url } = await this.#proxyTo(this.sourceUrl, 'other', ['--partitions', String(partitions)]);
    this.#otherProxy = proxy;
    return url;
  }

  /** After it, all that went through the proxies is in Kafka. */
  async stopProxy(): Promise<void> {
    for (const proxy of [this.#proxy, this.#otherProxy]) {
      const exit = await proxy?.stop({ graceMs: 60_000 });
      assert.equal(exit?.code ?? 0, 0, exit?.lastLogLines.join('\n'));
    }
  }

  async newMirror(server?: PostgresAddress): Promise<Mirror> {
    const at = server ?? (await sharedPostgres('control'));
    const database = await createDatabase(at, { after: (work) => this.#cleanUps.push(work) });
    return { name: uniqueName('mirror'), url: database.url };
  }

  async startReplayer(mirror: Mirror, ...flags: readonly string[]): Promise<SpawnedService> {
    const service = await this.spawnReplayer(mirror, flags);
    await service.waitForLine(/"ready":true/);
    return service;
  }

  /** Does not wait for it to be ready. */
  spawnReplayer(
    mirror: Mirror,
    flags: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
  ): Promise<SpawnedService> {
    return this.#spawn(
      [
        'replayer',
        ...['--mirror', mirror.name, '--source-name', this.source, '--brokers', this.replayerBrokers],
        ...['--environment', environment, '--target-env', 'TEST_TARGET', '--replay-delay-ms', '0', ...flags],
      ],
      { TEST_TARGET: mirror.url, ...env },
    );
  }

  /** Sessions and sequence numbers of all whole transactions captured so far. */
  async captured(): Promise<ReadonlySet<string>> {
    const keys = new Set<string>();
    await this.#readAll(envelopesTopic(this.source), ({ value, headers }) => {
      if (value === null || headers['poison'] !== undefined) return;
      for (const { record } of decodeEnvelopeBatch(value).records)
        if (record.case === 'envelope' && record.value.lastPart)
          keys.add(`${record.value.sessionId}/${record.value.sessionSeq}`);
    });
    return keys;
  }

  /** All that is captured so far, in the order of each partition. */
  async batches(): Promise<readonly EnvelopeBatch[]> {
    const batches: EnvelopeBatch[] = [];
    await this.#readAll(envelopesTopic(this.source), ({ value }) => {
      if (value !== null) batches.push(decodeEnvelopeBatch(value));
    });
    return batches;
  }

  /** Waits until the mirror's replayers have settled so many transactions, by their snapshots: cheap for many. */
  async waitForResults(mirror: Mirror, transactions: number): Promise<void> {
    let before = 0;
    for (;;) {
      const resolved = await waitFor(
        async () => {
          const now = await this.resolved(mirror);
          return now > before || now >= transactions ? now : null;
        },
        { what: `more than ${before} of ${transactions} transactions`, deadlineMs: 60_000, everyMs: 200 },
      );
      if (resolved >= transactions) return;
      before = resolved;
    }
  }

  async outcomes(mirror: Mirror): Promise<Outcomes> {
    const found = new Map<string, Result[]>();
    for (const result of await this.results(mirror)) {
      if (!result.ref?.lastPart || result.ref.sessionId === '') continue;
      const key = `${result.ref.sessionId}/${result.ref.sessionSeq}`;
      found.set(key, [...(found.get(key) ?? []), result]);
    }
    return found;
  }

  async results(mirror: Mirror): Promise<readonly Result[]> {
    const results: Result[] = [];
    await this.#readAll(resultsTopic(environment, mirror.name), ({ value }) => {
      if (value !== null) results.push(...decodeResultBatch(value).results);
    });
    return results;
  }

  async deadLetters(mirror: Mirror): Promise<readonly IncomingRecord[]> {
    const records: IncomingRecord[] = [];
    await this.#readAll(deadLetterTopic(environment, mirror.name), (record) => records.push(record));
    return records;
  }

  /** Waits until so many transactions are captured and each has a result, and returns them. */
  async waitForAll(mirror: Mirror, transactions: number): Promise<Outcomes> {
    return waitFor(
      async () => {
        const captured = await this.captured();
        assert.ok(captured.size <= transactions, `${captured.size} transactions captured, ${transactions} expected`);
        if (captured.size < transactions) return null;
        const outcomes = await this.outcomes(mirror);
        return [...captured].every((key) => outcomes.has(key)) ? outcomes : null;
      },
      { what: `results of ${transactions} transactions`, deadlineMs: 60_000, everyMs: 100 },
    );
  }

  /** Per partition: what the group committed, and the end of the log. */
  async positions(mirror: Mirror): Promise<readonly { committed: bigint; high: bigint; metadata: string }[]> {
    const topic = envelopesTopic(this.source);
    const committed = await this.admin.committed(replayerGroup(environment, mirror.name), topic);
    return (await this.admin.offsets(topic)).map(({ partition, high, low }) => {
      const found = committed.find((each) => each.partition === partition);
      return { committed: found?.offset ?? low, high, metadata: found?.metadata ?? '' };
    });
  }

  /** Ends the traffic, and waits until everything of it is committed. */
  async waitForCommits(mirror: Mirror): Promise<void> {
    await this.stopProxy();
    await waitFor(async () => (await this.positions(mirror)).every(({ committed, high }) => committed === high), {
      what: 'the last commits',
      everyMs: 100,
    });
  }

  /** Transactions settled by all processes that play to the mirror. */
  async resolved(mirror: Mirror): Promise<number> {
    return (await this.#newestSnapshots(mirror)).reduce((sum, { resolved }) => sum + resolved, 0);
  }

  /** Waits until so many processes share all partitions. */
  async waitForOwners(mirror: Mirror, processes: number): Promise<void> {
    await waitFor(
      async () => {
        const owned = (await this.#newestSnapshots(mirror)).map((it) => Object.keys(it.partitions));
        const distinct = new Set(owned.flat());
        const all = (await this.admin.offsets(envelopesTopic(this.source))).length;
        return owned.length === processes && distinct.size === all && owned.flat().length === all;
      },
      { what: `${processes} replayers that share the partitions`, deadlineMs: 60_000, everyMs: 200 },
    );
  }

  async #newestSnapshots(mirror: Mirror): Promise<readonly ReplayerSnapshot[]> {
    const newest = new Map<string, ReplayerSnapshot>();
    await this.#readAll(statusTopic, ({ value }) => {
      const parsed = snapshotSchema.safeParse(JSON.parse(String(value)));
      if (parsed.success && parsed.data.kind === 'replayer' && parsed.data.mirror === mirror.name)
        newest.set(parsed.data.instance, parsed.data);
    });
    return [...newest.values()];
  }

  /** The captured draw of each session that has said something. */
  async draws(): Promise<ReadonlyMap<string, number>> {
    const draws = new Map<string, number>();
    await this.#readAll(envelopesTopic(this.source), ({ value }) => {
      if (value === null) return;
      for (const { record } of decodeEnvelopeBatch(value).records)
        if (record.case === 'envelope') draws.set(record.value.sessionId, record.value.samplingDraw);
    });
    return draws;
  }

  /** Writes the mirror's control record; null takes it away. Resolves when the replayer says that it does so. */
  async control(mirror: Mirror, change: MirrorChange | null): Promise<void> {
    const revision = await this.writeControl(mirror, change);
    await waitFor(async () => BigInt((await this.snapshot(mirror))?.admission?.revision ?? -1) >= revision, {
      what: 'the replayer to follow the control topic',
      everyMs: 100,
    });
  }

  /** Returns the record's revision. */
  async writeControl(mirror: Mirror, change: MirrorChange | null): Promise<bigint> {
    await ensureControlTopic(this.admin);
    const producer = await this.client.producer();
    const value = change === null ? null : Buffer.from(encodeMirrorControl(changeMirrorControl(null, change)));
    const key = mirrorControlKey(environment, mirror.name);
    const [written] = await producer.send([{ topic: controlTopic, partition: 0, key, value }]);
    await producer.close();
    return written?.baseOffset ?? 0n;
  }

  async snapshot(mirror: Mirror): Promise<ReplayerSnapshot | null> {
    let newest: ReplayerSnapshot | null = null;
    await this.#readAll(statusTopic, ({ value }) => {
      const parsed = snapshotSchema.safeParse(JSON.parse(String(value)));
      if (parsed.success && parsed.data.kind === 'replayer' && parsed.data.mirror === mirror.name) newest = parsed.data;
    });
    return newest;
  }

  async close(): Promise<void> {
    for (const service of this.#services) await service.kill9();
    for (const cleanUp of this.#cleanUps) await cleanUp();
    await this.client.close();
  }

  async #spawn(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<SpawnedService> {
    const service = await spawnService(args, env);
    this.#services.push(service);
    return service;
  }

  async #readAll(topic: string, onRecord: (record: IncomingRecord) => void): Promise<void> {
    if ((await this.admin.partitionCounts([topic])).size === 0) return;
    const ranges = (await this.admin.offsets(topic)).filter(({ low, high }) => low < high);
    if (ranges.length === 0) return;
    await this.client.readRange(
      topic,
      ranges.map(({ partition, low, high }) => ({ partition, from: low, to: high })),
      ({ records }) => records.forEach(onRecord),
    );
  }
}

const outcomeNames = new Map<number, string>(
  Object.entries(ResultOutcome).map(([name, value]) => [value, name.toLowerCase()]),
);

/** How often each outcome came, each transaction counted once; `failed/reason` for failures. */
export function tally(outcomes: Outcomes): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const [first] of outcomes.values()) {
    const name = outcomeNames.get(first?.outcome ?? 0) ?? '';
    const key = first?.reason === '' ? name : `${name}/${first?.reason}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

/** Statements that are neither equal nor excused. */
export function differences(outcomes: Outcomes): readonly string[] {
  return [...outcomes.values()].flatMap((results) =>
    results.flatMap(({ statements }) =>
      statements.filter(({ equal, notCompared }) => !equal && notCompared === '').map(({ sql }) => sql),
    ),
  );
}

export const repeated = (outcomes: Outcomes): number =>
  [...outcomes.values()].reduce((total, results) => total + results.length - 1, 0);
