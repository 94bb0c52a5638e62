// A seeded stream of results for the comparer, and the book of what it must count them as.
import { type encodeResultBatch, ResultOutcome, StatementEnd } from '@mirrorstream/envelope';
import { type SeededRandom, seededRandom } from '@mirrorstream/testkit';

export const PARTITIONS = 4;

export type ResultInit = NonNullable<Parameters<typeof encodeResultBatch>[0]['results']>[number];

const answer = {
  end: StatementEnd.COMPLETE,
  commandTag: 'SELECT 1',
  rows: 1n,
  digested: true,
  orderedDigest: 1n,
  multisetDigest: 1n,
  columnsDigest: 5n,
  columnCount: 1,
};
const failure = { end: StatementEnd.ERROR, sqlState: '23514', severity: 'ERROR', digested: true };

const replayedAnswers = {
  orderOnly: { ...answer, orderedDigest: 2n },
  value: { ...answer, orderedDigest: 2n, multisetDigest: 2n },
  rowCount: { ...answer, commandTag: 'SELECT 2', rows: 2n },
  columns: { ...answer, columnsDigest: 6n },
  errorNew: failure,
} as const;
const classes = ['match', 'match', 'match', 'orderOnly', 'value', 'rowCount', 'columns', 'errorNew'] as const;

const consequences: ReadonlySet<string> = new Set(['value', 'rowCount', 'errorNew']);

/** What the comparer must come to: transactions and statements by name, and the transactions there must be a verdict for. */
export class Expected {
  readonly counts = new Map<string, number>();
  readonly transactions = new Set<string>();
  add(name: string, count = 1): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + count);
  }
}

/** Makes results of a few sessions in one partition, some of them twice, and keeps book of what they should count as. */
export class ResultSource {
  private readonly random: SeededRandom;
  private readonly partition: number;
  private readonly expected: Expected;
  private readonly seqs = [0, 0, 0];
  private last: ResultInit[] = [];

  constructor(seed: number, partition: number, expected: Expected) {
    this.random = seededRandom(seed);
    this.partition = partition;
    this.expected = expected;
  }

  /** The results of one record. */
  next(): ResultInit[] {
    const results = Array.from({ length: this.random.integer(1, 8) }, () => this.result());
    const repeated = this.random.integer(0, 3) === 0 ? this.last : [];
    this.expected.add('duplicates', repeated.length);
    this.last = results;
    return [...repeated, ...results];
  }

  private result(): ResultInit {
    const session = this.random.integer(0, this.seqs.length - 1);
    const seq = (this.seqs[session] ?? 0) + 1;
    this.seqs[session] = seq;
    const sessionId = `session-${this.partition}-${session}`;
    const ref = { sessionId, sessionSeq: BigInt(seq), part: 0, lastPart: true };
    this.expected.transactions.add(`${sessionId}/${seq}`);
    if (this.random.integer(0, 9) === 0) {
      this.expected.add('failed');
      return { ref, outcome: ResultOutcome.FAILED, reason: 'connectionLost', transactions: 1 };
    }
    this.expected.add('replayed');
    let failed = false;
    const statements = Array.from({ length: this.random.integer(1, 4) }, (_, exchange) => {
      const name = this.random.pick(classes);
      // What comes after a failure on one side may come from it, but for what no data explains.
      this.expected.add(failed && consequences.has(name) ? 'suspect' : name);
      failed ||= name === 'errorNew';
      const sql = `SELECT ${this.random.integer(1, 99)} FROM table_${this.random.integer(1, 5)}`;
      return name === 'match'
        ? { exchange, equal: true, captured: answer, replayed: answer }
        : { exchange, sql, captured: answer, replayed: replayedAnswers[name] };
    });
    return { ref, outcome: ResultOutcome.REPLAYED, statements, transactions: 1 };
  }
}
