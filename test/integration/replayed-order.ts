// Which differences of a replay an overlap in production explains: by the numbers capture gave, and by the rows that statements name.
import { type EnvelopeBatch, type Exchange, type Result, ResultOutcome } from '@mirrorstream/envelope';

interface Span {
  readonly session: string;
  readonly rows: readonly string[];
  readonly afterSeq: number;
  readonly doneSeq: number;
}

/** A transaction as captured: its exchanges, and when they were in production. */
interface Transaction {
  readonly session: string;
  readonly spans: Span[];
}

export interface ReplayedOrder {
  readonly transactions: number;
  readonly statements: number;
  /** Transactions in which something differs. */
  readonly diverged: number;
  /** Of them: marked as a race, given up. */
  readonly race: number;
  readonly givenUp: number;
  /** Explained by a write on the same rows that overlapped it, or overlapped an earlier one that is explained. */
  readonly direct: number;
  readonly followed: number;
  readonly unexplained: readonly string[];
  readonly unmarked: number;
  readonly notReplayed: number;
}

/** One worker's captures. */
export function explainDifferences(batches: readonly EnvelopeBatch[], results: readonly Result[]): ReplayedOrder {
  const transactions = transactionsOf(batches);
  const writes = writesByRow(transactions);
  const accounts = [...writes].filter(([row]) => row.startsWith('a')).flatMap(([, spans]) => spans);
  const tainted = new Map<string, number>();
  let [statements, race, givenUp, direct, followed, unmarked, notReplayed] = [0, 0, 0, 0, 0, 0, 0];
  const unexplained: string[] = [];
  const diverged = new Set<string>();
  const ended = results.filter(({ ref }) => ref?.lastPart === true && ref.sessionId !== '');
  const placeOf = (result: Result): number => transactions.get(keyOf(result))?.spans.at(-1)?.doneSeq ?? 0;
  for (const result of results.toSorted((a, b) => placeOf(a) - placeOf(b))) {
    if (result.outcome !== ResultOutcome.REPLAYED) notReplayed += 1;
    if (result.order === 'givenUp') {
      givenUp += 1;
      // What is late or early by that can show to whoever comes next.
      for (const { rows } of transactions.get(keyOf(result))?.spans ?? [])
        for (const row of rows) if (!tainted.has(row)) tainted.set(row, placeOf(result));
    }
    statements += result.statements.length;
    const first = result.statements.find(({ equal, notCompared }) => !equal && notCompared === '');
    if (first === undefined || diverged.has(keyOf(result))) continue;
    diverged.add(keyOf(result));
    if (first.race) race += 1;
    else unmarked += 1;
    const played = (transactions.get(keyOf(result))?.spans ?? []).slice(0, first.exchange + 1);
    // Played again after a failure, it has seen what came while it was open in production.
    const spans =
      result.order === 'retried' ? wholeSpans(transactions.get(keyOf(result))?.spans ?? [], played) : played;
    const rows = spans.flatMap((span) => span.rows);
    const serialization = [first.captured?.sqlState, first.replayed?.sqlState].includes('40001');
    if (
      serialization
        ? isConcurrent(transactions.get(keyOf(result))?.spans ?? [], accounts)
        : spans.some((span) => span.rows.some((row) => overlapsAny(span, writes.get(row) ?? [])))
    )
      direct += 1;
    else if (rows.some((row) => (tainted.get(row) ?? Number.POSITIVE_INFINITY) < placeOf(result))) followed += 1;
    else {
      unexplained.push(`${keyOf(result)} exchange ${first.exchange}: ${first.sql}`);
      continue;
    }
    for (const row of rows) if (!tainted.has(row)) tainted.set(row, placeOf(result));
  }
  const counts = { transactions: ended.length, statements, diverged: diverged.size, race, givenUp };
  return { ...counts, direct, followed, unexplained, unmarked, notReplayed };
}

const keyOf = ({ ref }: Result): string => `${ref?.sessionId}/${ref?.sessionSeq}`;

function transactionsOf(batches: readonly EnvelopeBatch[]): Map<string, Transaction> {
  const found = new Map<string, Transaction>();
  for (const { records } of batches) {
    for (const { record } of records) {
      if (record.case !== 'envelope') continue;
      const { sessionId, sessionSeq, exchanges } = record.value;
      const key = `${sessionId}/${sessionSeq}`;
      const transaction = found.get(key) ?? { session: sessionId, spans: [] };
      for (const exchange of exchanges) transaction.spans.push(spanOf(sessionId, exchange));
      found.set(key, transaction);
    }
  }
  return found;
}

function spanOf(session: string, { request, afterSeq, doneSeq }: Exchange): Span {
  const named = /\/\* (.*?) \*\//.exec(Buffer.from(request).toString('latin1'))?.[1] ?? '';
  return {
    session,
    rows: named.split(' ').filter((row) => row !== ''),
    afterSeq: Number(afterSeq),
    doneSeq: Number(doneSeq),
  };
}

function wholeSpans(all: readonly Span[], played: readonly Span[]): readonly Span[] {
  const [afterSeq, doneSeq] = [all[0]?.afterSeq ?? 0, all.at(-1)?.doneSeq ?? 0];
  return played.map((span) => ({ ...span, afterSeq, doneSeq }));
}

/** Reads too: under SERIALIZABLE they decide who fails. */
function writesByRow(transactions: ReadonlyMap<string, Transaction>): Map<string, Span[]> {
  const found = new Map<string, Span[]>();
  for (const { spans } of transactions.values())
    for (const span of spans) for (const row of span.rows) push(found, row, span);
  return found;
}

/** Who fails for SERIALIZABLE depends on all that is under way, and a sequential scan locks its whole table. */
function isConcurrent(spans: readonly Span[], others: readonly Span[]): boolean {
  const [first, last] = [spans[0], spans.at(-1)];
  return first !== undefined && last !== undefined && overlapsAny({ ...last, afterSeq: first.afterSeq }, others);
}

const overlapsAny = (span: Span, others: readonly Span[]): boolean =>
  others.some(
    (other) => other.session !== span.session && other.afterSeq < span.doneSeq && span.afterSeq < other.doneSeq,
  );

function push(map: Map<string, Span[]>, row: string, span: Span): void {
  const spans = map.get(row);
  if (spans === undefined) map.set(row, [span]);
  else spans.push(span);
}
