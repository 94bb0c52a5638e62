// What became of the transactions that went through a contender: in Kafka, or on the mirror.
import { type CaptureSnapshot, MirrorstreamError, snapshotSchema, statusTopic } from '@mirrorstream/domain';
import { connectKafka } from '@mirrorstream/kafka';
import { waitUntil } from '@mirrorstream/local';
import { withClient } from '@mirrorstream/testkit';
import { urlOf } from './large-results.ts';

/** Since the contender began. */
export interface Arrived {
  readonly transactions: number;
  readonly dropped: number | null;
}

export interface ArrivalCounter {
  /** Waits until at least so many have arrived or been dropped, or for some time in vain. */
  upTo(expected: number): Promise<Arrived>;
  close(): Promise<void>;
}

/** A snapshot comes about once a second. */
const captureDeadlineMs = 15_000;

export async function countInKafka(brokers: string, sourceName: string): Promise<ArrivalCounter> {
  const client = connectKafka({ brokers: [brokers], clientId: 'bench' });
  const admin = await client.admin();
  const read = async (): Promise<Arrived> => {
    const newest = new Map<string, CaptureSnapshot>();
    const ends = await admin.offsets(statusTopic);
    const ranges = ends.map(({ partition, low, high }) => ({ partition, from: low, to: high }));
    await client.readRange(statusTopic, ranges, ({ records }) => {
      for (const { value } of records) {
        const snapshot = snapshotSchema.parse(JSON.parse(String(value)));
        if (snapshot.kind === 'capture' && snapshot.source === sourceName) newest.set(snapshot.incarnation, snapshot);
      }
    });
    const all = [...newest.values()];
    return {
      transactions: all.reduce((sum, { transactions }) => sum + transactions, 0),
      dropped: all.reduce((sum, { dropped }) => sum + dropped.transactions, 0),
    };
  };
  return {
    upTo: (expected) => reading(read, expected, captureDeadlineMs),
    close: async () => {
      await admin.close();
      await client.close();
    },
  };
}

/** A backend that has nothing to do shows its counts after at most 10 s (PGSTAT_IDLE_INTERVAL in pgstat.c). */
const mirrorDeadlineMs = 13_000;

/** Health checks of the pool are counted too, one in some seconds; our own questions are asked in another database. */
export async function countOnMirror(port: number): Promise<ArrivalCounter> {
  const read = (): Promise<Arrived> =>
    withClient(urlOf(port, 'template1'), async (client) => {
      const { rows } = await client.query<{ count: string }>(
        "SELECT xact_commit + xact_rollback AS count FROM pg_stat_database WHERE datname = 'postgres'",
      );
      return { transactions: Number(rows[0]?.count ?? 0), dropped: null };
    });
  return { upTo: (expected) => reading(read, expected, mirrorDeadlineMs), close: async () => undefined };
}

async function reading(read: () => Promise<Arrived>, expected: number, deadlineMs: number): Promise<Arrived> {
  let last = await read();
  const enough = async (): Promise<boolean> => {
    last = await read();
    return last.transactions + (last.dropped ?? 0) >= expected;
  };
  try {
    await waitUntil(enough, { what: 'the transactions to arrive', deadlineMs, everyMs: 250, stage: 'bench' });
  } catch (error) {
    // That some did not arrive is a result, no failure.
    if (!(error instanceof MirrorstreamError && error.code === 'notReady')) throw error;
  }
  return last;
}
