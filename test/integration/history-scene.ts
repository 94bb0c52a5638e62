// Recorded traffic with a window in its middle, and the commands of history run as a person would.
import assert from 'node:assert/strict';
import { envelopesTopic } from '@mirrorstream/domain';
import { decodeEnvelopeBatch } from '@mirrorstream/envelope';
import { removeDirectory, temporaryDirectory, waitFor } from '@mirrorstream/testkit';
import pg from 'pg';
import { Command, type Ended } from '../e2e/up-process.ts';
import { type Mirror, ReplayerScene } from './replayer-scene.ts';

/** The part of `mirrorstream.run/1` that tests look at. */
export interface RunReport {
  readonly schema: string;
  readonly run: string;
  readonly state: string;
  readonly detail?: string;
  readonly starts: number;
  readonly transactions: Readonly<Record<string, number>>;
  readonly inFlightByPartition: Readonly<Record<string, number>>;
  readonly reasons: Readonly<Record<string, number>>;
  readonly statements: Readonly<Record<string, number>>;
  readonly duplicates: number;
  readonly scheduleErrorMs: { readonly p50Ms: number } | null;
}

export class HistoryScene {
  readonly scene: ReplayerScene;
  readonly folder: string;
  readonly #clients: pg.Client[] = [];
  readonly #commands: Command[] = [];
  readonly #env: Readonly<Record<string, string>>;

  private constructor(scene: ReplayerScene, folder: string, env: Readonly<Record<string, string>>) {
    this.scene = scene;
    this.folder = folder;
    this.#env = env;
  }

  /** `env`: of the commands, and so of the services they start. */
  static async open(brokers: string, env: Readonly<Record<string, string>> = {}): Promise<HistoryScene> {
    const folder = await temporaryDirectory('history');
    return new HistoryScene(await ReplayerScene.open(brokers), folder, env);
  }

  async close(): Promise<void> {
    for (const command of this.#commands) await command.clear();
    await this.endSessions();
    await this.scene.close();
    await removeDirectory(this.folder);
  }

  /** A session through the proxy. */
  async session(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.scene.proxyUrl });
    client.on('error', () => {});
    await client.connect();
    this.#clients.push(client);
    return client;
  }

  async endSessions(): Promise<void> {
    await Promise.all(this.#clients.splice(0).map((client) => client.end().catch(() => {})));
  }

  /** A moment with nothing around it: what was sent before began before it, what is sent after begins after it. */
  async moment(): Promise<string> {
    const atMs = Date.now() + 30;
    await waitFor(() => Date.now() > atMs + 30, { what: 'the clock' });
    return new Date(atMs).toISOString();
  }

  /** Parts of transactions that go on, published so far. */
  async openParts(): Promise<number> {
    const topic = envelopesTopic(this.scene.source);
    const ranges = (await this.scene.admin.offsets(topic)).map(({ partition, low: from, high: to }) => ({
      partition,
      from,
      to,
    }));
    let parts = 0;
    await this.scene.client.readRange(topic, ranges, ({ records }) => {
      for (const { value } of records)
        for (const { record } of decodeEnvelopeBatch(value ?? new Uint8Array(0)).records)
          if (record.case === 'envelope' && !record.value.lastPart) parts += 1;
    });
    return parts;
  }

  /** `mirrorstream …`, with this scene's Kafka. */
  start(...args: readonly string[]): Command {
    return this.startAt(this.scene.brokers, ...args);
  }

  /** The same, with its way to Kafka. */
  startAt(brokers: string, ...args: readonly string[]): Command {
    const command = new Command([...args, '--brokers', brokers], this.folder, { NO_COLOR: '1', ...this.#env });
    this.#commands.push(command);
    return command;
  }

  run(...args: readonly string[]): Promise<Ended> {
    return this.start(...args).ended;
  }

  startReplay(mirror: Mirror, ...args: readonly string[]): Command {
    const source = args.includes('--source-name') ? [] : ['--source-name', this.scene.source];
    return this.start(
      'replay',
      '--mirror',
      `${mirror.name}=${mirror.url}`,
      ...source,
      '--data-dir',
      `${this.folder}/data`,
      '--json',
      ...args,
    );
  }

  /** To its end; the report. */
  async replay(mirror: Mirror, ...args: readonly string[]): Promise<RunReport> {
    const ended = await this.startReplay(mirror, ...args).ended;
    assert.equal(ended.code, 0, ended.stderr);
    return reportOf(ended);
  }

  show(run: string): Promise<RunReport> {
    return this.run('runs', 'show', run, '--json').then(reportOf);
  }
}

export function reportOf({ stdout, stderr }: Ended): RunReport {
  assert.notEqual(stdout, '', stderr);
  const report = JSON.parse(stdout) as RunReport;
  assert.equal(report.schema, 'mirrorstream.run/1');
  return report;
}
