// Runs the demo's sessions through the proxy: a dozen clients that connect, work with pauses, leave and come again.
import { Client } from 'pg';
import { type Activity, activities, type SessionState } from './activities.ts';
import { type SeededRandom, seededRandom } from './random.ts';
import { demoDatabase, demoUser } from './schema.ts';

export interface WorkloadOptions {
  readonly host: string;
  readonly port: number;
  readonly seed: number;
  /** Part of every key; no two runs on the same data may share it. */
  readonly runNumber: number;
  readonly sessions?: number; // default 12
  readonly thinkTimeMs?: { readonly min: number; readonly max: number }; // default 10 to 120
}

export interface WorkloadStats {
  readonly activities: number;
  readonly connections: number;
  /** Failures of the workload itself: lost connections, errors that are not part of the play. */
  readonly failures: number;
  readonly lastFailure: string | null;
}

export interface Workload {
  stats(): WorkloadStats;
  /** Lets each session finish what it does, and leave. */
  stop(): Promise<void>;
}

const defaults = { sessions: 12, thinkTimeMs: { min: 10, max: 120 } };
const limits = { connectTimeoutMs: 5000, retryPauseMs: 500, activitiesPerConnection: { min: 20, spread: 60 } };

export function startWorkload(options: WorkloadOptions): Workload {
  const run = new WorkloadRun(options);
  return { stats: () => run.stats(), stop: () => run.stop() };
}

class WorkloadRun {
  readonly #options: WorkloadOptions;
  readonly #slots: readonly Promise<void>[];
  readonly #stopping = new AbortController();
  #activities = 0;
  #connections = 0;
  #failures = 0;
  #lastFailure: string | null = null;

  constructor(options: WorkloadOptions) {
    this.#options = options;
    const count = options.sessions ?? defaults.sessions;
    this.#slots = Array.from({ length: count }, (_, slot) => this.#runSlot(slot));
  }

  stats(): WorkloadStats {
    return {
      activities: this.#activities,
      connections: this.#connections,
      failures: this.#failures,
      lastFailure: this.#lastFailure,
    };
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#slots);
  }

  async #runSlot(slot: number): Promise<void> {
    const { seed, runNumber } = this.#options;
    const random = seededRandom(seed * 1000 + slot);
    for (let connection = 0; !this.#stopping.signal.aborted; connection++) {
      try {
        await this.#runConnection(`r${runNumber}s${slot}c${connection}`, random);
      } catch (error) {
        if (this.#stopping.signal.aborted) return;
        this.#failures++;
        this.#lastFailure = describeFailure(error);
        await this.#pause(limits.retryPauseMs);
      }
    }
  }

  async #runConnection(key: string, random: SeededRandom): Promise<void> {
    const { host, port } = this.#options;
    const client = new Client({
      host,
      port,
      user: demoUser,
      database: demoDatabase,
      application_name: 'mirrorstream demo',
      connectionTimeoutMillis: limits.connectTimeoutMs,
    });
    client.on('error', () => {}); // The query under way, or the next one, reports it.
    try {
      await client.connect();
      this.#connections++;
      const session: SessionState = { client, key, random, sequence: 0, think: () => this.#think(random) };
      const { min, spread } = limits.activitiesPerConnection;
      for (let left = min + random.below(spread); left > 0; ) {
        // Each round does everything once, in a new order: nothing is left to chance in a short run.
        for (const activity of random.shuffled(activities)) {
          if (left-- <= 0 || this.#stopping.signal.aborted) return;
          await this.#runActivity(activity, session);
          await this.#think(random);
        }
      }
    } finally {
      await client.end().catch(() => {});
    }
  }

  async #runActivity(activity: Activity, session: SessionState): Promise<void> {
    session.sequence++;
    await activity.run(session);
    this.#activities++;
  }

  #think(random: SeededRandom): Promise<void> {
    const { min, max } = this.#options.thinkTimeMs ?? defaults.thinkTimeMs;
    return this.#pause(min + random.fraction() * (max - min));
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const { signal } = this.#stopping;
      if (signal.aborted) return resolve();
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal.addEventListener('abort', done);
    });
  }
}

/** The code alone where there is one: the text may hold values. */
function describeFailure(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return code ?? message ?? 'unknown';
}
