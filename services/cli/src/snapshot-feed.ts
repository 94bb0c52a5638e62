// Follows the status topic and hands on every valid snapshot, in order.
import { type Snapshot, snapshotSchema, statusTopic } from '@mirrorstream/domain';
import type { KafkaClient } from '@mirrorstream/kafka';

export interface SnapshotFeed {
  /** All that was there when following began has been handed on. */
  caughtUp(): Promise<void>;
  stop(): Promise<void>;
  /** Records that are no snapshot this code knows. */
  invalid(): number;
}

/** The topic must exist. `onErased`: that key holds nothing any more. */
export async function followSnapshots(
  client: KafkaClient,
  onSnapshot: (snapshot: Snapshot) => void,
  onCrash: (error: Error) => void,
  onErased: (key: string) => void = () => {},
): Promise<SnapshotFeed> {
  let invalid = 0;
  const follower = await client.follow(
    [statusTopic],
    'earliest',
    ({ records }) => {
      for (const { key, value } of records) {
        if (value === null) {
          onErased(key?.toString() ?? '');
          continue;
        }
        const snapshot = parse(value);
        if (snapshot === undefined) invalid++;
        else onSnapshot(snapshot);
      }
    },
    onCrash,
  );
  return { caughtUp: () => follower.caughtUp(), stop: () => follower.stop(), invalid: () => invalid };
}

function parse(value: Buffer): Snapshot | undefined {
  try {
    return snapshotSchema.safeParse(JSON.parse(value.toString('utf8'))).data;
  } catch {
    return undefined;
  }
}
