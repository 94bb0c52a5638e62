// One source and two mirrors, the same version with faults planted and the next version without; what the comparers found on each.
import assert from 'node:assert/strict';
import { envelopesTopic, verdictsTopic } from '@mirrorstream/domain';
import { decodeEnvelopeBatch, decodeVerdictBatch, type StatementVerdict } from '@mirrorstream/envelope';
import type { Finding, PerformanceEntry } from '@mirrorstream/findings';
import type { PostgresServer } from '@mirrorstream/local';
import { createSqlAnalyzer } from '@mirrorstream/sql';
import {
  execute,
  type PostgresAddress,
  removeDirectory,
  type SpawnedService,
  sharedKafka,
  spawnService,
  startPostgres,
  temporaryDirectory,
  uniqueName,
  waitFor,
  withClient,
} from '@mirrorstream/testkit';
import { run } from '../e2e/up-process.ts';
import type { Expected, PlantedCase, Sent } from './planted-cases.ts';
import { type Mirror, ReplayerScene } from './replayer-scene.ts';

export const mirrorNames = ['planted', 'next'] as const;
export type MirrorName = (typeof mirrorNames)[number];

interface Line {
  readonly mirror: Mirror;
  readonly transactions: Set<string>;
  /** By the session's user. */
  readonly statements: Map<string, StatementVerdict[]>;
  readonly comparer: SpawnedService;
}

/** What `mirrorstream findings` says of a mirror. */
export interface SaidFindings {
  /** `class fingerprint`, sorted. */
  readonly findings: readonly string[];
  /** Fingerprints, by the time that is lost. */
  readonly slower: readonly string[];
}

export class PlantedScene {
  readonly scene: ReplayerScene;
  readonly #servers: readonly PostgresServer[];
  readonly #lines: Readonly<Record<MirrorName, Line>>;
  readonly #users = new Map<string, string>();
  readonly #captured = new Set<string>();
  #crashed: Error | null = null;

  private constructor(scene: ReplayerScene, servers: readonly PostgresServer[], lines: Record<MirrorName, Line>) {
    this.scene = scene;
    this.#servers = servers;
    this.#lines = lines;
  }

  static async open(cases: readonly PlantedCase[]): Promise<PlantedScene> {
    const settings = { autovacuum: 'off' };
    const [kafka, source, planted, next] = await Promise.all([
      sharedKafka(),
      startPostgres({ name: 'planted-source', settings }),
      startPostgres({ name: 'planted-same', settings }),
      startPostgres({ name: 'planted-next', major: 18, settings }),
    ]);
    const scene = await ReplayerScene.open(kafka.bootstrap, addressOf(source));
    const database = new URL(scene.sourceUrl).pathname.slice(1);
    for (const server of [planted, next]) await execute(server.url, `CREATE DATABASE ${database}`);
    await Promise.all([source, planted, next].map((server) => prepare(urlOf(server, database), cases)));
    await plant(urlOf(planted, database), cases);
    const open = async (server: PostgresServer): Promise<Line> => {
      // Without a user: each session is played as the one it had in production.
      const mirror = { name: uniqueName('planted'), url: urlOf(server, database, '') };
      await scene.startReplayer(mirror, '--pacing', 'asap', '--replay-delay-ms', '0');
      const comparer = await spawnService(['comparer', '--mirror', mirror.name, '--brokers', kafka.bootstrap]);
      await comparer.waitForLine(/"ready":true/);
      return { mirror, transactions: new Set(), statements: new Map(), comparer };
    };
    const lines = { planted: await open(planted), next: await open(next) };
    const opened = new PlantedScene(scene, [source, planted, next], lines);
    await opened.#follow();
    return opened;
  }

  /** The traffic of all cases, each in a session of its own, through the proxy; waits until both mirrors' comparers have judged it. */
  async play(cases: readonly PlantedCase[]): Promise<void> {
    for (const one of cases) {
      const url = new URL(this.scene.proxyUrl);
      url.username = roleOf(one);
      await withClient(url.href, async (client) => {
        for (let round = 0; round < (one.rounds ?? 5); round++)
          for (const sent of one.traffic) await client.query(queryOf(one, sent)).catch(() => {});
      });
    }
    await this.scene.stopProxy();
    const captured = (await this.scene.captured()).size;
    await waitFor(() => this.#check() && this.#captured.size === captured, {
      what: 'all that was captured to be read',
    });
    const all = Object.values(this.#lines);
    await waitFor(() => this.#check() && all.every(({ transactions }) => transactions.size === captured), {
      what: 'a verdict on every transaction, on both mirrors',
      deadlineMs: 60_000,
    });
  }

  /** Of the case's session: each class that is a finding, with the fingerprint it was found for. */
  statements(name: MirrorName, of: PlantedCase): readonly StatementVerdict[] {
    return this.#lines[name].statements.get(roleOf(of)) ?? [];
  }

  /** After the comparers have stopped, and so published everything. */
  async findings(name: MirrorName): Promise<SaidFindings> {
    const { mirror, comparer } = this.#lines[name];
    await comparer.stop({ graceMs: 30_000 });
    const folder = await temporaryDirectory('planted');
    const args = ['findings', '--mirror', mirror.name, '--brokers', this.scene.brokers, '--json'];
    const { code, stdout, stderr } = await run(args, folder).finally(() => removeDirectory(folder));
    assert.equal(code, 0, stderr);
    const said = JSON.parse(stdout) as { findings: readonly Finding[]; regressions: readonly PerformanceEntry[] };
    return {
      findings: said.findings.map((it) => `${it.class} ${it.fingerprint}`).sort(),
      slower: said.regressions.map(({ fingerprint }) => fingerprint),
    };
  }

  async close(): Promise<void> {
    await this.scene.close();
    for (const { comparer } of Object.values(this.#lines)) await comparer.kill9();
    for (const server of this.#servers) await server.stop();
  }

  #check(): true {
    if (this.#crashed !== null) throw this.#crashed;
    return true;
  }

  async #follow(): Promise<void> {
    const follow = (topic: string, take: (value: Uint8Array) => void) =>
      this.scene.client.follow(
        [topic],
        'earliest',
        ({ records }) => {
          for (const { value } of records) if (value !== null) take(value);
        },
        (error) => {
          this.#crashed = error;
        },
      );
    await follow(envelopesTopic(this.scene.source), (value) => {
      for (const { record } of decodeEnvelopeBatch(value).records) {
        if (record.case === 'sessionStart') this.#users.set(record.value.sessionId, record.value.context?.user ?? '');
        if (record.case === 'envelope') this.#captured.add(`${record.value.sessionId}/${record.value.sessionSeq}`);
      }
    });
    for (const { mirror, transactions, statements } of Object.values(this.#lines))
      await follow(verdictsTopic('default', mirror.name), (value) => {
        for (const { ref, statements: judged } of decodeVerdictBatch(value).verdicts) {
          if (ref === undefined) continue;
          transactions.add(`${ref.sessionId}/${ref.sessionSeq}`);
          const user = this.#users.get(ref.sessionId) ?? '';
          statements.set(user, [...(statements.get(user) ?? []), ...judged]);
        }
      });
  }
}

const analyzer = await createSqlAnalyzer();

/** As the comparer would name that statement's shape. */
export const fingerprintOf = (of: PlantedCase, sql: string): string => analyzer.fingerprint(textOf(of, sql));

/** `class fingerprint` of each. */
export const namesOf = (of: PlantedCase, expected: readonly Expected[]): string[] =>
  expected.map((it) => `${it.class} ${fingerprintOf(of, it.sql)}`).sort();

const roleOf = ({ name }: PlantedCase): string => `c_${name}`;
const textOf = (of: PlantedCase, text: string): string =>
  text.replaceAll('$t', `t_${of.name}`).replaceAll('$r', roleOf(of));

function queryOf(of: PlantedCase, sent: Sent): { text: string; values?: unknown[] } {
  return typeof sent === 'string'
    ? { text: textOf(of, sent) }
    : { text: textOf(of, sent.sql), values: [...sent.values] };
}

function urlOf(server: PostgresServer, database: string, user?: string): string {
  const url = new URL(server.url);
  url.pathname = `/${database}`;
  if (user !== undefined) url.username = user;
  return url.href;
}

async function prepare(url: string, cases: readonly PlantedCase[]): Promise<void> {
  await withClient(url, async (client) => {
    for (const one of cases) {
      const role = roleOf(one);
      const statements = [
        `CREATE ROLE ${role} LOGIN`,
        `GRANT CREATE ON DATABASE ${new URL(url).pathname.slice(1)} TO ${role}`,
        `CREATE SCHEMA ${role} AUTHORIZATION ${role}`,
        `SET ROLE ${role}`,
        `SET search_path = ${role}`,
        ...(one.schema ?? []).map((text) => textOf(one, text)),
        'RESET ALL',
        'RESET ROLE',
      ];
      await runAll(client, one, statements);
    }
  });
}

async function plant(url: string, cases: readonly PlantedCase[]): Promise<void> {
  await withClient(url, async (client) => {
    for (const one of cases) {
      const statements = (one.plant ?? []).map((text) => textOf(one, text));
      await runAll(client, one, [`SET search_path = ${roleOf(one)}`, ...statements, 'RESET ALL']);
    }
  });
}

async function runAll(
  client: { query(text: string): Promise<unknown> },
  { name }: PlantedCase,
  statements: readonly string[],
): Promise<void> {
  for (const text of statements)
    await client.query(text).catch((error: Error) => {
      throw new Error(`${name}: ${error.message}: ${text}`);
    });
}

function addressOf({ host, port, url }: PostgresServer): PostgresAddress {
  return { name: 'planted', major: 17, host, port, superuser: 'postgres', url };
}
