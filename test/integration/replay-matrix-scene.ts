// One line from a source to two mirrors, the same version and the next: what a conversation came to on each, statement by statement.
import { envelopesTopic, resultsTopic, verdictsTopic } from '@mirrorstream/domain';
import {
  decodeEnvelopeBatch,
  decodeResultBatch,
  decodeVerdictBatch,
  type EnvelopeRef,
  type Result,
  ResultOutcome,
  type Verdict,
} from '@mirrorstream/envelope';
import type { PostgresServer } from '@mirrorstream/local';
import {
  execute,
  type PostgresAddress,
  sharedKafka,
  spawnService,
  startPostgres,
  waitFor,
  withClient,
} from '@mirrorstream/testkit';
import { RecordedClient } from './capture-exact-scene.ts';
import { type Mirror, ReplayerScene } from './replayer-scene.ts';

export const mirrorNames = ['the same version', 'the next version'] as const;
export type MirrorName = (typeof mirrorNames)[number];

/** What a conversation may do beside talking on the first client, which is closed for it at the end. */
export interface Stage {
  readonly client: RecordedClient;
  /** One more session through the proxy, closed at the end. */
  another(parameters?: Readonly<Record<string, string>>): Promise<RecordedClient>;
  /** Runs statements on the source and on both mirrors, past the proxy. */
  everywhere(...statements: string[]): Promise<void>;
  readonly sourceUrl: string;
}

export interface Played {
  /** Per mirror: what was not replayed, and each statement that is no match: `class: sql (detail)`. */
  readonly unusual: Readonly<Record<MirrorName, readonly string[]>>;
  readonly transactions: number;
  /** Statements that are matches, of each mirror. */
  readonly matches: Readonly<Record<MirrorName, number>>;
}

interface Line {
  readonly mirror: Mirror;
  readonly results: Map<string, Result>;
  readonly verdicts: Map<string, Verdict>;
}

const keyOf = ({ sessionId, sessionSeq, part }: Pick<EnvelopeRef, 'sessionId' | 'sessionSeq' | 'part'>): string =>
  `${sessionId}/${sessionSeq}/${part}`;

export class MatrixScene {
  readonly scene: ReplayerScene;
  readonly #lines: Record<MirrorName, Line>;
  readonly #servers: readonly PostgresServer[];
  /** Keys of all captured parts, in order. */
  readonly #captured: string[] = [];
  #told = 0;
  #ended = 0;
  #opened = 0;
  #crashed: Error | null = null;

  private constructor(scene: ReplayerScene, lines: Record<MirrorName, Line>, servers: readonly PostgresServer[]) {
    this.scene = scene;
    this.#lines = lines;
    this.#servers = servers;
  }

  /** `schema` is run on all three databases before the proxy sees anything. `replayerFlags`: how the replayers play. */
  static async open(
    schema: readonly string[],
    replayerFlags: readonly string[] = ['--pacing', 'asap'],
  ): Promise<MatrixScene> {
    const settings = { max_prepared_transactions: '8' };
    const [kafka, ...servers] = await Promise.all([
      sharedKafka(),
      startPostgres({ name: 'matrix-source', settings }),
      startPostgres({ name: 'matrix-same', settings }),
      startPostgres({ name: 'matrix-next', major: 18, settings }),
    ]);
    const [source, ...targets] = servers.map(addressOf) as [PostgresAddress, ...PostgresAddress[]];
    const scene = await ReplayerScene.open(kafka.bootstrap, source);
    const lines = await Promise.all(
      targets.map(async (target): Promise<Line> => {
        const mirror = await scene.newMirror(target);
        await scene.startReplayer(mirror, '--allow-side-effect', 'all', ...replayerFlags);
        const args = ['comparer', '--mirror', mirror.name, '--brokers', kafka.bootstrap, '--exemplars', '1000'];
        const comparer = await spawnService(args);
        await comparer.waitForLine(/"ready":true/);
        return { mirror, results: new Map(), verdicts: new Map() };
      }),
    );
    const [same, next] = lines as [Line, Line];
    const matrix = new MatrixScene(scene, { 'the same version': same, 'the next version': next }, servers);
    await matrix.#everywhere(...schema);
    await matrix.#follow();
    return matrix;
  }

  urlOf(name: MirrorName): string {
    return this.#lines[name].mirror.url;
  }

  /** Has a conversation through the proxy, and waits until both mirrors' comparers have judged all of it. */
  async play(talk: (stage: Stage) => Promise<void>): Promise<Played> {
    const clients: RecordedClient[] = [];
    const another = async (parameters: Readonly<Record<string, string>> = {}) => {
      this.#opened += 1;
      const client = await RecordedClient.connect(this.scene.proxyUrl, parameters);
      clients.push(client);
      return client;
    };
    const client = await another();
    try {
      const everywhere = (...statements: string[]) => this.#everywhere(...statements);
      await talk({ client, another, everywhere, sourceUrl: this.scene.sourceUrl });
      for (const each of clients) await each.terminate();
    } finally {
      for (const each of clients) each.destroy();
    }
    await waitFor(() => this.#check() && this.#ended >= this.#opened, { what: 'the ends of the sessions in the log' });
    const parts = this.#captured.slice(this.#told);
    this.#told = this.#captured.length;
    const all = mirrorNames.map((name) => [name, this.#lines[name]] as const);
    await waitFor(
      () => this.#check() && all.every(([, it]) => parts.every((key) => it.verdicts.has(key) && it.results.has(key))),
      {
        what: 'result and verdict of every part, on both mirrors',
      },
    );
    const judged = (name: MirrorName) => parts.flatMap((key) => judgements(this.#lines[name], key));
    const each = <T>(of: (name: MirrorName) => T) =>
      ({
        'the same version': of('the same version'),
        'the next version': of('the next version'),
      }) as const;
    return {
      unusual: each((name) => judged(name).filter((line) => line !== 'match')),
      matches: each((name) => judged(name).filter((line) => line === 'match').length),
      transactions: parts.length,
    };
  }

  /** What is in all tables, sequences and large objects, and which transactions are prepared, as text. */
  async contents(): Promise<Readonly<Record<MirrorName | 'source', string>>> {
    const [source, same, next] = await Promise.all(
      [this.scene.sourceUrl, this.urlOf('the same version'), this.urlOf('the next version')].map(contentsOf),
    );
    return { source: source as string, 'the same version': same as string, 'the next version': next as string };
  }

  async close(): Promise<void> {
    await this.scene.close();
    for (const server of this.#servers) await server.stop();
  }

  async #everywhere(...statements: string[]): Promise<void> {
    const urls = [this.scene.sourceUrl, ...mirrorNames.map((name) => this.urlOf(name))];
    await Promise.all(urls.map((url) => execute(url, ...statements)));
  }

  #check(): true {
    if (this.#crashed !== null) throw this.#crashed;
    return true;
  }

  async #follow(): Promise<void> {
    const { client, source } = this.scene;
    const fail = (error: Error) => {
      this.#crashed = error;
    };
    const follow = (topic: string, take: (value: Uint8Array) => void) =>
      client.follow(
        [topic],
        'earliest',
        ({ records }) => {
          for (const { value } of records) if (value !== null) take(value);
        },
        fail,
      );
    await follow(envelopesTopic(source), (value) => {
      for (const { record } of decodeEnvelopeBatch(value).records) {
        if (record.case === 'envelope') this.#captured.push(keyOf(record.value));
        if (record.case === 'sessionEnd') this.#ended += 1;
      }
    });
    for (const { mirror, results, verdicts } of mirrorNames.map((name) => this.#lines[name])) {
      await follow(resultsTopic('default', mirror.name), (value) => {
        for (const result of decodeResultBatch(value).results) if (result.ref) results.set(keyOf(result.ref), result);
      });
      await follow(verdictsTopic('default', mirror.name), (value) => {
        for (const verdict of decodeVerdictBatch(value).verdicts)
          if (verdict.ref) verdicts.set(keyOf(verdict.ref), verdict);
      });
    }
  }
}

function judgements({ results, verdicts }: Line, key: string): readonly string[] {
  const result = results.get(key);
  const verdict = verdicts.get(key);
  if (verdict === undefined || verdict.outcome !== ResultOutcome.REPLAYED)
    return [`not replayed: ${verdict?.reason ?? 'no verdict'}`];
  return verdict.statements.map(({ exchange, statement, class: name, notCompared, detail }) => {
    if (name === 'match') return name;
    const sql = result?.statements.find((it) => it.exchange === exchange && it.statement === statement)?.sql ?? '';
    return name === 'notCompared' ? `${notCompared}: ${sql}` : `${name}: ${sql} (${detail})`;
  });
}

function addressOf({ host, port, url }: PostgresServer): PostgresAddress {
  return { name: 'matrix', major: 17, host, port, superuser: 'postgres', url };
}

async function contentsOf(url: string): Promise<string> {
  return withClient(url, async (client) => {
    const lines: string[] = [];
    const tables = await client.query<{ name: string; kind: string }>(
      `SELECT c.oid::regclass::text AS name, relkind AS kind FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
       WHERE relkind IN ('r', 'S') AND nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema' ORDER BY 1`,
    );
    for (const { name, kind } of tables.rows) {
      const row = kind === 'S' ? '(last_value, is_called)::text' : 'md5(t::text)';
      const { rows } = await client.query<{ it: string }>(`SELECT ${row} AS it FROM ${name} t ORDER BY 1`);
      lines.push(`${name}: ${rows.length} rows ${rows.map(({ it }) => it).join(' ')}`);
    }
    const large = await client.query<{ it: string }>(
      'SELECT oid::text || md5(lo_get(oid)) AS it FROM pg_largeobject_metadata ORDER BY oid',
    );
    const prepared = await client.query<{ gid: string }>('SELECT gid FROM pg_prepared_xacts ORDER BY gid');
    lines.push(`large objects: ${large.rows.map(({ it }) => it).join(' ')}`);
    lines.push(`prepared: ${prepared.rows.map(({ gid }) => gid).join(' ')}`);
    return lines.join('\n');
  });
}
