// What became of the transactions that went through a contender: in Kafka, or on the mirror.
import { type CaptureSnapshot, MirrorstreamError, snapshotSchema, statusTopic } from '@mirrorstream/domain';
import { connectKafka } from '@mirrorstream/kafka';
import { waitUntil } from '@mirrorstream/local';
import { withClient } from '@mirrorstream/testkit';
import { rowsOf, urlOf } from './large-results.ts';
import type { Workload } from './plan.ts';

/** Since the contender began. */
export interface Arrived {
  readonly transactions: number;
  readonly dropped: number | null;
}

export interface ArrivalCounter {
  /** Waits until at least so many have arrived or been dropped, or for some time in vain. */
  upTo(expected: number, workload: Workload): Promise<Arrived>;
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

/** What one transaction of each load, and nothing else, leaves in the mirror's statistics: pools send much of their own. */
const traceOf: Readonly<Record<Workload, readonly [table: string, count: string]>> = {
  select: ['pgbench_accounts', 'idx_scan'],
  connect: ['pgbench_accounts', 'idx_scan'],
  tpcb: ['pgbench_history', 'n_tup_ins'],
  'select-large': ['bench_large', 'seq_scan'],
  'copy-out': ['bench_large', 'seq_scan'],
  'copy-in': ['bench_sink', 'n_tup_ins'],
};

export function countOnMirror(port: number, megabytes: number): ArrivalCounter {
  const read = (workload: Workload): Promise<Arrived> =>
    withClient(urlOf(port), async (client) => {
      const [table, count] = traceOf[workload];
      const { rows } = await client.query<{ count: string | null }>(
        `SELECT ${count} AS count FROM pg_stat_user_tables WHERE relname = '${table}'`,
      );
      const perTransaction = workload === 'copy-in' ? rowsOf(megabytes) : 1;
      return { transactions: Number(rows[0]?.count ?? 0) / perTransaction, dropped: null };
    });
  return {
    upTo: (expected, workload) => reading(() => read(workload), expected, mirrorDeadlineMs),
    close: async () => undefined,
  };
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
