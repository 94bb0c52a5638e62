// What the tests of the capture proxy's operation share: proxies in front of the shared source, and what Kafka then holds of them.
import assert from 'node:assert/strict';
import {
  type CaptureSettings,
  type CaptureSnapshot,
  captureControlKey,
  controlTopic,
  envelopesTopic,
  snapshotSchema,
  statusTopic,
} from '@mirrorstream/domain';
import { decodeEnvelopeBatch, type EnvelopeBatch, type Exchange } from '@mirrorstream/envelope';
import { connectKafka, type IncomingBatch } from '@mirrorstream/kafka';
import { ensureControlTopic } from '@mirrorstream/service-kit';
import {
  execute,
  queryFrame,
  type SpawnedService,
  sharedKafka,
  sharedPostgres,
  spawnService,
  uniqueName,
  WireConnection,
  waitFor,
  withClient,
} from '@mirrorstream/testkit';

export interface ProxyScene {
  readonly service: SpawnedService;
  readonly sourceName: string;
  readonly brokers: string;
  /** `127.0.0.1:port` */
  readonly listen: string;
  /** The database's URL with the proxy in place of the server. */
  via(url: string): string;
}

export interface ProxyOptions {
  readonly sourceName?: string;
  readonly node?: string;
  readonly brokers?: string;
  readonly listen?: string;
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

const proxies: SpawnedService[] = [];

/** For `after`: no proxy outlives its file. */
export async function endProxies(): Promise<void> {
  for (const service of proxies) await service.kill9();
}

export async function startProxy(options: ProxyOptions = {}): Promise<ProxyScene> {
  const source = await sharedPostgres('source');
  const brokers = options.brokers ?? (await sharedKafka()).bootstrap;
  const sourceName = options.sourceName ?? uniqueName('proxy');
  const service = await spawnService(
    [
      'capture-proxy',
      ...['--listen', options.listen ?? '127.0.0.1:0', '--source', `${source.host}:${source.port}`],
      ...['--source-name', sourceName, '--brokers', brokers, '--node', options.node ?? 'test', '--partitions', '4'],
      ...(options.flags ?? []),
    ],
    options.env,
  );
  proxies.push(service);
  const { listen } = JSON.parse(await service.waitForLine(/"ready":true/)) as { listen: string };
  const via = (url: string): string => {
    const through = new URL(url);
    through.host = listen;
    return through.href;
  };
  return { service, sourceName, brokers, listen, via };
}

/** SIGTERM, and the proxy ends with 0. */
export async function stopInOrder({ service }: ProxyScene): Promise<void> {
  const exit = await service.stop({ graceMs: 60_000 });
  assert.deepEqual([exit.code, exit.signal], [0, null], exit.lastLogLines.join('\n'));
}

/** The newest snapshot of each incarnation, of all proxies of the source. */
export async function snapshotsOf({
  brokers,
  sourceName,
}: Pick<ProxyScene, 'brokers' | 'sourceName'>): Promise<CaptureSnapshot[]> {
  const newest = new Map<string, CaptureSnapshot>();
  await readAll(brokers, statusTopic, ({ records }) => {
    for (const { value } of records) {
      const snapshot = captureSnapshotIn(value, sourceName);
      if (snapshot !== null) newest.set(snapshot.incarnation, snapshot);
    }
  });
  return [...newest.values()];
}

/** A record of the status topic; null: not one of that source's. Other tests use the topic as well, and leave there what they like. */
export function captureSnapshotIn(value: Uint8Array | null, sourceName: string): CaptureSnapshot | null {
  const { data } = snapshotSchema.safeParse(value === null ? null : JSON.parse(Buffer.from(value).toString()));
  return data?.kind === 'capture' && data.source === sourceName ? data : null;
}

/** What the topic holds: complete transactions (repeated ones once), gaps, batches. */
export interface Published {
  readonly transactions: number;
  readonly gapTransactions: number;
  readonly gaps: number;
  readonly batches: readonly EnvelopeBatch[];
}

export async function published({
  brokers,
  sourceName,
}: Pick<ProxyScene, 'brokers' | 'sourceName'>): Promise<Published> {
  const batches: EnvelopeBatch[] = [];
  await readAll(brokers, envelopesTopic(sourceName), ({ records }) => {
    for (const { value } of records) if (value !== null) batches.push(decodeEnvelopeBatch(value));
  });
  const ended = new Set<string>();
  let gapTransactions = 0;
  let gaps = 0;
  for (const { record } of batches.flatMap(({ records }) => records)) {
    if (record.case === 'envelope' && record.value.lastPart)
      ended.add(`${record.value.sessionId}/${record.value.sessionSeq}`);
    if (record.case !== 'gap') continue;
    gaps += 1;
    gapTransactions += Number(record.value.transactions);
  }
  return { transactions: ended.size, gapTransactions, gaps, batches };
}

/** All that was published is one exchange, and it was cancelled. */
export async function assertOneCancelNoted(proxy: ProxyScene): Promise<void> {
  assert.deepEqual(
    (await exchangesOf(proxy)).map(({ cancelledAfterUs }) => cancelledAfterUs > 0n),
    [true],
  );
}

/** The requests of the exchanges that are published and say that a cancel went by. */
export async function cancelledRequests(proxy: ProxyScene): Promise<readonly string[]> {
  return (await exchangesOf(proxy))
    .filter(({ cancelledAfterUs }) => cancelledAfterUs > 0n)
    .map(({ request }) => Buffer.from(request).toString('latin1'));
}

async function exchangesOf(proxy: ProxyScene): Promise<readonly Exchange[]> {
  return (await published(proxy)).batches
    .flatMap(({ records }) => records)
    .flatMap(({ record }) => (record.case === 'envelope' ? record.value.exchanges : []));
}

/** A number of the proxy's, over all its workers; it was started with --health. */
export async function sumOfMetric({ service }: ProxyScene, beginning: string): Promise<number> {
  const { port } = JSON.parse(await service.waitForLine(/the health endpoint listens/)) as { port: number };
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const lines = text.split('\n').filter((line) => line.startsWith(`mirrorstream_capture_proxy_${beginning}`));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

/** Writes a control record as it is, and returns its revision. A string is written as it stands. */
export async function writeControl(
  { brokers, sourceName }: Pick<ProxyScene, 'brokers' | 'sourceName'>,
  record: Partial<CaptureSettings> | string,
): Promise<string> {
  const client = connectKafka({ brokers: [brokers], clientId: 'test' });
  try {
    await ensureControlTopic(await client.admin());
    const producer = await client.producer();
    const value = Buffer.from(typeof record === 'string' ? record : JSON.stringify({ version: 1, ...record }));
    const [written] = await producer.send([
      { topic: controlTopic, partition: 0, key: captureControlKey(sourceName), value },
    ]);
    return String(written?.baseOffset);
  } finally {
    await client.close();
  }
}

/** Writes it, and waits until the proxy (all its workers) says that it is in force. */
export async function control(proxy: ProxyScene, settings: Partial<CaptureSettings>, workers = 1): Promise<void> {
  const revision = await writeControl(proxy, settings);
  await waitFor(
    () => proxy.service.lines().filter((line) => line.includes(`"revision":"${revision}"`)).length >= workers,
    {
      what: `revision ${revision} to be in force`,
      everyMs: 5,
    },
  );
}

export const sumOf = (snapshots: readonly CaptureSnapshot[], pick: (snapshot: CaptureSnapshot) => number): number =>
  snapshots.reduce((total, snapshot) => total + pick(snapshot), 0);

async function readAll(brokers: string, topic: string, onBatch: (batch: IncomingBatch) => void): Promise<void> {
  const client = connectKafka({ brokers: [brokers], clientId: 'test' });
  try {
    const admin = await client.admin();
    const ends = (await admin.offsets(topic)).filter(({ low, high }) => low < high);
    const ranges = ends.map(({ partition, low, high }) => ({ partition, from: low, to: high }));
    await client.readRange(topic, ranges, onBatch);
  } finally {
    await client.close();
  }
}

/** The table that a load fills. */
export const createKept = (url: string): Promise<void> => execute(url, 'CREATE TABLE kept (i int)');

export async function kept(url: string): Promise<number> {
  const { rows } = await withClient(url, (client) => client.query('SELECT count(*)::int AS kept FROM kept'));
  return (rows[0] as { kept: number }).kept;
}

/** Clients without think time that stay connected: each transaction is BEGIN, INSERT into kept, COMMIT. */
export class Load {
  /** Answered, in whole. */
  committed = 0;
  /** Connections that were ended from the other side: how many exchanges of a transaction had been answered by then. */
  readonly cutAt: number[] = [];
  readonly #clients: Promise<void>[] = [];
  #stopping = false;

  static async start(url: string, clients: number): Promise<Load> {
    const load = new Load();
    const connections = await Promise.all(Array.from({ length: clients }, () => WireConnection.connect(url)));
    for (const connection of connections) load.#clients.push(load.#run(connection));
    return load;
  }

  /** Waits until so many more transactions have committed. */
  async more(transactions: number): Promise<void> {
    const until = this.committed + transactions;
    await waitFor(() => this.committed >= until, { what: 'the load to go on', everyMs: 2 });
  }

  async stop(): Promise<number> {
    this.#stopping = true;
    await Promise.all(this.#clients);
    return this.committed;
  }

  async #run(connection: WireConnection): Promise<void> {
    while (!this.#stopping) {
      for (const [answered, sql] of ['BEGIN', 'INSERT INTO kept VALUES (1)', 'COMMIT'].entries()) {
        const exchange = await connection.exchange(queryFrame(sql)).catch(() => null);
        if (exchange === null) {
          this.cutAt.push(answered);
          return;
        }
        assert.equal(exchange.sqlState, undefined);
      }
      this.committed += 1;
    }
    await connection.close();
  }
}
