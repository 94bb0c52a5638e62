// A command's connection to its stack's Kafka, for as long as it works, and what the services have said of themselves there.
import type { Snapshot } from '@mirrorstream/domain';
import { connectKafka, type KafkaClient } from '@mirrorstream/kafka';
import { followSnapshots } from './snapshot-feed.ts';
import { inTime, pause, type StackScope, unreachable } from './stack-scope.ts';

/** A command that has its answer does not wait long for connections to end. */
export const closeGraceMs = 1_000;

export async function withKafka<T>(scope: StackScope, work: (client: KafkaClient) => Promise<T>): Promise<T> {
  const client = connectKafka({ ...scope.access, clientId: `mirrorstream-${scope.stage}` });
  try {
    return await work(client);
  } finally {
    await Promise.race([client.close(), pause(closeGraceMs)]);
  }
}

export interface Snapshots {
  /** All up to now, the newest last; more come until `stop`. Throws `kafkaUnavailable` when following them broke off. */
  soFar(): readonly Snapshot[];
  stop(): Promise<void>;
}

/** Resolves when all are there that had been published. Throws `kafkaUnavailable`. */
export async function gatherSnapshots(client: KafkaClient, scope: StackScope): Promise<Snapshots> {
  const snapshots: Snapshot[] = [];
  let crash: Error | undefined;
  const feed = await followSnapshots(
    client,
    (snapshot) => void snapshots.push(snapshot),
    (error) => {
      crash = error;
    },
  );
  await inTime(feed.caughtUp(), scope);
  return {
    soFar: () => {
      if (crash !== undefined) throw unreachable(scope, crash);
      return snapshots;
    },
    stop: () => feed.stop(),
  };
}
