// What the captured transactions say about their order, and whether the server's own order contradicts it. Sweeps, not pairs.
import type { EnvelopeBatch, OrderedExchange } from '@mirrorstream/envelope';
import { TransactionOutcome } from '@mirrorstream/envelope';

/** One captured exchange, times on the host's monotonic clock. */
interface CapturedExchange {
  readonly sentUs: number;
  readonly doneUs: number;
  readonly afterSeq: number;
  readonly doneSeq: number;
  readonly updates: readonly RowUpdate[];
}

/** A row of an answer: which row has which version now, by which transaction. */
interface RowUpdate {
  readonly row: number;
  readonly version: number;
  readonly xid: number;
}

/** A committed transaction that updated something. */
export interface CapturedTransaction {
  readonly source: string;
  readonly updates: readonly (RowUpdate & { readonly by: CapturedExchange })[];
  readonly xid: number;
  /** The exchange of the first update, and the one that committed: the same for a transaction of one exchange. */
  readonly write: CapturedExchange;
  readonly commit: CapturedExchange;
}

export const sourceOf = ({ incarnation, worker }: { incarnation: string; worker: number }): string =>
  `${incarnation}/${worker}`;

/** The committed transactions with updates, in no particular order. */
export function committedTransactions(batches: readonly EnvelopeBatch[]): CapturedTransaction[] {
  const open = new Map<string, CapturedExchange[]>();
  const found: CapturedTransaction[] = [];
  for (const batch of batches) {
    for (const { record } of batch.records) {
      if (record.case !== 'envelope') continue;
      const { sessionId, startedMonoUs, lastPart, outcome } = record.value;
      const exchanges = open.get(sessionId) ?? [];
      for (const { sentUs, doneUs, afterSeq, doneSeq, answer } of record.value.exchanges) {
        exchanges.push({
          sentUs: Number(startedMonoUs + sentUs),
          doneUs: Number(startedMonoUs + doneUs),
          afterSeq: Number(afterSeq),
          doneSeq: Number(doneSeq),
          updates: updatesIn(answer?.raw ?? new Uint8Array(0)),
        });
      }
      if (!lastPart) open.set(sessionId, exchanges);
      else {
        open.delete(sessionId);
        const transaction = transactionOf(sourceOf(batch), exchanges);
        if (outcome === TransactionOutcome.COMMITTED && transaction !== null) found.push(transaction);
      }
    }
  }
  return found;
}

function transactionOf(source: string, exchanges: readonly CapturedExchange[]): CapturedTransaction | null {
  const write = exchanges.find(({ updates }) => updates.length > 0);
  const commit = exchanges.at(-1);
  if (write === undefined || commit === undefined) return null;
  const updates = exchanges.flatMap((by) => by.updates.map((update) => ({ ...update, by })));
  return { source, updates, xid: updates[0]?.xid ?? 0, write, commit };
}

const dataRow = 0x44;

/** DataRow = 'D', Int32 length, Int16 3, { Int32 length, text } id, version, xid. */
function updatesIn(raw: Uint8Array): RowUpdate[] {
  const bytes = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength);
  const updates: RowUpdate[] = [];
  for (let at = 0; at + 5 <= bytes.length; at += 1 + bytes.readInt32BE(at + 1)) {
    if (bytes[at] !== dataRow) continue;
    const values: number[] = [];
    for (let i = 0, value = at + 7; i < bytes.readInt16BE(at + 5); i++) {
      const length = bytes.readInt32BE(value);
      values.push(Number(bytes.toString('latin1', value + 4, value + 4 + length)));
      value += 4 + length;
    }
    const [row = 0, version = 0, xid = 0] = values;
    updates.push({ row, version, xid });
  }
  return updates;
}

/** How a claim is read: A is before B if `done(A) <= after(B)`. */
export interface Claim {
  readonly done: (exchange: CapturedExchange) => number;
  readonly after: (exchange: CapturedExchange) => number;
}

/** Within one worker. */
export const byNumber: Claim = { done: ({ doneSeq }) => doneSeq, after: ({ afterSeq }) => afterSeq };
/** Over workers and processes of a host: strictly earlier, in whole µs. */
export const byTime: Claim = { done: ({ doneUs }) => doneUs, after: ({ sentUs }) => sentUs - 1 };

export interface Verdict {
  /** Pairs of transactions on the same row; of them, those that the claim orders. */
  readonly pairs: number;
  readonly ordered: number;
  readonly contradictions: readonly string[];
}

/**
 * Versions of a row follow the order of its commits, since an update holds the row until its transaction ends. So B, whose version
 * is lower, was committed before A's update was answered; a claim that A's update was answered before B's commit was even sent
 * contradicts the server.
 */
export function checkVersions(transactions: readonly CapturedTransaction[], { done, after }: Claim): Verdict {
  const contradictions: string[] = [];
  let pairs = 0;
  let ordered = 0;
  for (const [row, updates] of updatesByRow(transactions)) {
    updates.sort((a, b) => a.version - b.version);
    let earliest = Number.POSITIVE_INFINITY;
    for (const { version, by, transaction } of updates.toReversed()) {
      if (earliest <= after(transaction.commit)) contradictions.push(`row ${row}: something above version ${version}`);
      earliest = Math.min(earliest, done(by));
    }
    pairs += (updates.length * (updates.length - 1)) / 2;
    const dones = Float64Array.from(updates, ({ transaction }) => done(transaction.commit)).sort();
    for (const { by } of updates) ordered += countUpTo(dones, after(by));
  }
  return { pairs, ordered, contradictions };
}

function updatesByRow(transactions: readonly CapturedTransaction[]) {
  const rows = new Map<number, { version: number; by: CapturedExchange; transaction: CapturedTransaction }[]>();
  for (const transaction of transactions) {
    for (const { row, version, by } of transaction.updates) {
      const updates = rows.get(row) ?? [];
      updates.push({ version, by, transaction });
      rows.set(row, updates);
    }
  }
  return rows;
}

function countUpTo(sorted: Float64Array, limit: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as number) <= limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Whether some quantity of the server that only grows contradicts a claim: for every A before B, its value at A (fixed before A was
 * answered) must not be above its value at B (taken after B was sent). All pairs, by the largest value among those before B.
 */
export function checkGrowing(
  transactions: readonly CapturedTransaction[],
  { done, after }: Claim,
  exchangeOf: (transaction: CapturedTransaction) => CapturedExchange,
  growing: (transaction: CapturedTransaction) => number,
): readonly string[] {
  const byDone = transactions.toSorted((a, b) => done(exchangeOf(a)) - done(exchangeOf(b)));
  const bySent = transactions.toSorted((a, b) => after(exchangeOf(a)) - after(exchangeOf(b)));
  const contradictions: string[] = [];
  let largest = Number.NEGATIVE_INFINITY;
  let next = 0;
  for (const later of bySent) {
    for (; next < byDone.length; next++) {
      const earlier = byDone[next] as CapturedTransaction;
      if (done(exchangeOf(earlier)) > after(exchangeOf(later))) break;
      largest = Math.max(largest, growing(earlier));
    }
    if (largest > growing(later))
      contradictions.push(`transaction ${later.xid}: ${largest} is above ${growing(later)}`);
  }
  return contradictions;
}

/** Heartbeats that were followed, in their partition, by something they had said would not come. */
export function brokenPromises(batches: readonly EnvelopeBatch[]): {
  readonly heartbeats: number;
  readonly broken: number;
} {
  const promised = new Map<string, { monoUs: bigint; doneSeq: bigint }>();
  let heartbeats = 0;
  let broken = 0;
  for (const batch of batches) {
    const key = `${sourceOf(batch)}/${batch.partition}`;
    for (const { record } of batch.records) {
      if (record.case === 'heartbeat') {
        heartbeats += 1;
        promised.set(key, record.value);
      } else if (record.case === 'envelope') {
        const { monoUs = -1n, doneSeq = 0n } = promised.get(key) ?? {};
        for (const exchange of record.value.exchanges) {
          if (exchange.doneSeq === 0n) continue;
          const doneUs = record.value.startedMonoUs + exchange.doneUs;
          if (doneUs <= monoUs || exchange.doneSeq <= doneSeq) broken += 1;
        }
      }
    }
  }
  return { heartbeats, broken };
}

/** Exchanges that the merge gave out after one that they had been answered before. */
export function misplaced(merged: readonly OrderedExchange[]): number {
  const places = merged.map((it, place) => ({ place, sentUs: it.sentUs, doneUs: it.doneUs }));
  const byDone = places.filter(({ doneUs }) => doneUs !== null).toSorted((a, b) => Number(a.doneUs) - Number(b.doneUs));
  const bySent = places.toSorted((a, b) => a.sentUs - b.sentUs);
  let last = -1;
  let next = 0;
  let count = 0;
  for (const { place, sentUs } of bySent) {
    for (; next < byDone.length && Number(byDone[next]?.doneUs) < sentUs; next++)
      last = Math.max(last, byDone[next]?.place ?? -1);
    if (last > place) count += 1;
  }
  return count;
}
