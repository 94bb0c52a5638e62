// The records of runs in the status topic: found, listed, written, and taken away with all that a run has left in Kafka.
import {
  comparerGroup,
  deadLetterTopic,
  findingsTopic,
  type ImportSnapshot,
  importKey,
  type RunSnapshot,
  replayerGroup,
  resultsTopic,
  runKey,
  type Snapshot,
  snapshotKey,
  statusTopic,
  verdictsTopic,
} from '@mirrorstream/domain';
import type { Admin, KafkaClient, Producer } from '@mirrorstream/kafka';
import { followSnapshots, type SnapshotFeed } from '../snapshot-feed.ts';
import { inTime, type StackScope, unreachable } from '../stack-scope.ts';

/** Everything the status topic says about runs and imports, kept up to date. */
export class RunStore {
  readonly #newest = new Map<string, Snapshot>();
  readonly #scope: StackScope;
  #feed: SnapshotFeed | undefined;
  #crash: Error | undefined;

  private constructor(scope: StackScope) {
    this.#scope = scope;
  }

  /** Resolves when the topic has been read to its end. */
  static async open(client: KafkaClient, scope: StackScope): Promise<RunStore> {
    const store = new RunStore(scope);
    store.#feed = await followSnapshots(
      client,
      (snapshot) => void store.#newest.set(snapshotKey(snapshot), snapshot),
      (error) => {
        store.#crash = error;
      },
      (key) => void store.#newest.delete(key),
    );
    await inTime(store.#feed.caughtUp(), scope);
    return store;
  }

  run(mirror: string, run: string): RunSnapshot | undefined {
    const found = this.#get(runKey(this.#scope.environment, mirror, run));
    return found?.kind === 'run' ? found : undefined;
  }

  /** Of the environment, the newest plan first. */
  runs(): RunSnapshot[] {
    return this.#all()
      .filter((one): one is RunSnapshot => one.kind === 'run' && one.environment === this.#scope.environment)
      .sort((a, b) => b.plannedAtMs - a.plannedAtMs);
  }

  import(source: string): ImportSnapshot | undefined {
    const found = this.#get(importKey(source));
    return found?.kind === 'import' ? found : undefined;
  }

  /** What the services of a run have said of themselves. */
  of(mirror: string, run: string): Snapshot[] {
    return this.#all().filter(
      (one) =>
        (one.kind === 'replayer' || one.kind === 'comparer') &&
        one.environment === this.#scope.environment &&
        one.mirror === mirror &&
        one.run === run,
    );
  }

  async stop(): Promise<void> {
    await this.#feed?.stop();
  }

  #get(key: string): Snapshot | undefined {
    this.#check();
    return this.#newest.get(key);
  }

  #all(): Snapshot[] {
    this.#check();
    return [...this.#newest.values()];
  }

  #check(): void {
    if (this.#crash !== undefined) throw unreachable(this.#scope, this.#crash);
  }
}

export async function writeSnapshot(producer: Producer, snapshot: Snapshot): Promise<void> {
  const value = Buffer.from(JSON.stringify(snapshot));
  await producer.send([{ topic: statusTopic, partition: 0, key: snapshotKey(snapshot), value }]);
}

export async function eraseSnapshots(producer: Producer, keys: readonly string[]): Promise<void> {
  await producer.send(keys.map((key) => ({ topic: statusTopic, partition: 0, key, value: null })));
}

/** Results, verdicts, findings, dead letters, positions and counts of a run; its own record goes last, so that an interrupted deletion is seen. */
export async function deleteRun(store: RunStore, admin: Admin, producer: Producer, run: RunSnapshot): Promise<void> {
  const { environment, mirror, run: name } = run;
  const topics = [resultsTopic, verdictsTopic, findingsTopic, deadLetterTopic].map((topic) =>
    topic(environment, mirror, name),
  );
  await admin.deleteGroups([replayerGroup(environment, mirror, name), comparerGroup(environment, mirror, name)]);
  await admin.deleteTopics(topics);
  await eraseSnapshots(producer, [...store.of(mirror, name).map(snapshotKey), snapshotKey(run)]);
}
