// One session's part in the mapping of ids: rewrites what it sends, learns from what both servers answered, and says which answers are
// the same but for their ids.
import { StatementEnd } from '@mirrorstream/envelope';
import type { StatementComparison, StatementIds } from '../stage-one.ts';
import { type AnswerPair, learntIds, type OutputPlace, sameness } from './answer-pair.ts';
import { cellsOf, rowsOfStatements, type StatementRows } from './answer-rows.ts';
import type { IdMapping, TextPlans } from './id-mapping.ts';
import { type ExchangeIds, type Execution, IdRewriter } from './id-rewriter.ts';

/** Backend frames of a whole exchange from both sides; null: not kept to their end. */
export interface WholeAnswers {
  readonly captured: Uint8Array | null;
  readonly replayed: Uint8Array | null;
}

interface SplitAnswers {
  readonly captured: Uint8Array;
  readonly replayed: Uint8Array;
  readonly capturedRows: readonly StatementRows[];
  readonly replayedRows: readonly StatementRows[];
}

const schemaTags = /^(?:CREATE|ALTER|DROP|IMPORT|SELECT INTO)\b/;
const noBytes = new Uint8Array(0);
const nothingSaid: StatementIds = { rewritten: 0, mark: '', columns: [] };

export class SessionIds {
  readonly #mapping: IdMapping;
  readonly #scope: string;
  readonly #rewriter: IdRewriter;
  #plans: TextPlans | null = null;
  #database = '';
  #prefix = '';
  /** The space of the sequence that the session drew from last, as far as its statements say. */
  #lastDrawn: string | null = null;

  constructor(mapping: IdMapping, sessionId: string) {
    this.#mapping = mapping;
    this.#scope = mapping.scope === 'session' ? sessionId : '';
    this.#rewriter = new IdRewriter(mapping.map, this.#scope);
  }

  /** A new connection to the database that sessions of this one go to. */
  connected(database: string): void {
    this.#database = database;
    this.#plans = this.#mapping.plansOf(database);
    this.#prefix = `${database}/`;
    this.#lastDrawn = null;
    this.#rewriter.connected(this.#plans, this.#prefix);
  }

  /** The next bytes begin an exchange. */
  begin(): ExchangeIds {
    this.#rewriter.begin();
    return { executions: [], rewritten: 0 };
  }

  /** What goes out instead of [from, to) of the bytes; null: they do. Without `ids` it is no exchange of production's. */
  outgoing(bytes: Uint8Array, from: number, to: number, ids: ExchangeIds | null): Uint8Array | null {
    if (ids === null) this.#rewriter.begin();
    return this.#rewriter.outgoing(bytes, from, to, ids);
  }

  /** What the answers to an exchange teach, and what they come to with the ids taken into account. */
  settle(
    ids: ExchangeIds,
    statements: readonly StatementComparison[],
    answers: () => WholeAnswers,
  ): readonly StatementComparison[] {
    if (statements.some(({ replayed }) => schemaTags.test(replayed.commandTag)))
      this.#mapping.onSchemaChange(this.#database);
    let split: SplitAnswers | null | undefined;
    const settled = statements.map((statement, at) => {
      const execution = ids.executions[at];
      if (execution === undefined) return statement;
      const outputs = this.#outputsOf(execution);
      let found = statement;
      if (outputs?.some((output) => output !== null)) {
        split = split === undefined ? splitAnswers(answers()) : split;
        found = this.#settleOne(statement, execution, outputs, split, at);
      }
      if (statement.replayed.end === StatementEnd.COMPLETE) this.#lastDrawn = execution.plan?.draws ?? this.#lastDrawn;
      return execution.unmapped && isUnexplained(found) ? { ...found, notCompared: 'idUnmapped' as const } : found;
    });
    const raws = settled.some(isUnexplained);
    return settled.map((statement, at) => {
      const kept = raws || statement.capturedRaw.length === 0 ? statement : { ...statement, ...withoutRaws };
      if (at > 0 || ids.rewritten === 0) return kept;
      return { ...kept, ids: { ...(kept.ids ?? nothingSaid), rewritten: ids.rewritten } };
    });
  }

  #settleOne(
    statement: StatementComparison,
    execution: Execution,
    outputs: readonly OutputPlace[],
    split: SplitAnswers | null,
    at: number,
  ): StatementComparison {
    const { map } = this.#mapping;
    const { captured, replayed } = statement;
    const teaches = outputs.some((output) => output?.fresh);
    const pair = split === null || !hasSameShape(statement) ? null : pairOf(outputs, execution, split, at);
    if (pair === null) {
      if (teaches && captured.rows + replayed.rows > 0) {
        if (split === null) map.counts.notKept += 1;
        else map.counts.unpaired += 1;
      }
      return statement;
    }
    const learnt = teaches ? learntIds(pair) : [];
    if (learnt === null) map.counts.unpaired += 1;
    for (const each of learnt ?? []) map.learn(this.#scope, this.#prefix + each.space, each.captured, each.observed);
    if (statement.notCompared !== '') return statement;
    const { mark, columns } = sameness(pair, execution.plan?.sortedByKey === true, (space, id) =>
      map.find(this.#scope, this.#prefix + space, id),
    );
    if (statement.equal) return mark !== '' ? statement : otherIds(statement, split as SplitAnswers);
    if (mark === '' && columns.length === 0) return statement;
    return { ...statement, ids: { rewritten: 0, mark, columns } };
  }

  /** With lastval() resolved; null: not known. */
  #outputsOf({ plan }: Execution): readonly OutputPlace[] | null {
    const lastValue = this.#plans?.lastValue;
    if (plan?.outputs == null) return null;
    return plan.outputs.map((output) => {
      if (output?.space !== lastValue) return output;
      return this.#lastDrawn === null ? null : { space: this.#lastDrawn, fresh: true };
    });
  }
}

const withoutRaws = {
  ...{ capturedRaw: noBytes, replayedRaw: noBytes, rawTruncated: false },
  ...{ rawAlone: false, capturedRowsBefore: 0, replayedRowsBefore: 0 },
} as const;

/** A difference that ids do not explain. */
export const isUnexplained = ({ equal, notCompared, ids }: StatementComparison): boolean =>
  !equal && notCompared === '' && ids?.mark !== 'equal';

/** Both have rows, and as many. */
function hasSameShape({ captured, replayed }: StatementComparison): boolean {
  return (
    captured.end === replayed.end &&
    captured.sqlState === '' &&
    replayed.sqlState === '' &&
    captured.commandTag === replayed.commandTag &&
    captured.rows === replayed.rows &&
    captured.rows > 0
  );
}

/** The bytes agree, and they are not the ids that the mirror gave. */
function otherIds(statement: StatementComparison, split: SplitAnswers): StatementComparison {
  const { captured, replayed } = split;
  const ids: StatementIds = { rewritten: 0, mark: 'other', columns: [] };
  return { ...statement, ...withoutRaws, equal: false, capturedRaw: captured, replayedRaw: replayed, ids };
}

function splitAnswers({ captured, replayed }: WholeAnswers): SplitAnswers | null {
  if (captured === null || replayed === null) return null;
  return { captured, replayed, capturedRows: rowsOfStatements(captured), replayedRows: rowsOfStatements(replayed) };
}

/** Null: what is kept is not what was counted. */
function pairOf(
  outputs: readonly OutputPlace[],
  { formats }: Execution,
  { captured, replayed, capturedRows, replayedRows }: SplitAnswers,
  at: number,
): AnswerPair | null {
  const [ours, theirs] = [capturedRows[at], replayedRows[at]];
  if (ours === undefined || theirs === undefined || ours.rows.length !== theirs.rows.length) return null;
  const pair: AnswerPair = {
    outputs,
    formats: formats ?? ours.formats ?? [],
    captured: ours.rows.map((span) => cellsOf(captured, span)),
    replayed: theirs.rows.map((span) => cellsOf(replayed, span)),
  };
  const fits = [...pair.captured, ...pair.replayed].every(({ length }) => length === outputs.length);
  return fits ? pair : null;
}
