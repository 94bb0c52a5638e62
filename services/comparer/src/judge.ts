// From a result to a verdict: the class of each statement, and for a difference its shape, one line of detail and an example.
import { type Classification, classify, match, notCompared, type RawAnswer } from '@mirrorstream/compare';
import {
  divergenceClasses,
  type NotComparedReason,
  notComparedReasons,
  type StatementClass,
} from '@mirrorstream/domain';
import type { EnvelopeRef, encodeVerdictBatch, Result, StatementResult } from '@mirrorstream/envelope';
import { ResultOutcome } from '@mirrorstream/envelope';
import type { SqlAnalyzer } from '@mirrorstream/sql';
import { rulesOf } from './answer-rules.ts';
import type { Causes, Judgement, Suspicion } from './causes.ts';
import type { ExemplarQuota } from './exemplar-quota.ts';
import { outcomeOf } from './ledger.ts';
import { classifyMapped, withMappedColumns } from './mapped-ids.ts';

type VerdictBatchInit = Parameters<typeof encodeVerdictBatch>[0];
export type VerdictInit = NonNullable<VerdictBatchInit['verdicts']>[number];
type Plain = { readonly $typeName?: never };
type StatementVerdictInit = Extract<NonNullable<VerdictInit['statements']>[number], Plain>;

export interface Judged {
  readonly verdict: VerdictInit;
  readonly classes: readonly Classification[];
  /** About what the verdict takes when encoded. */
  readonly sizeBytes: number;
}

export interface JudgeLimits {
  /** Kept answers of one verdict; what goes beyond is left out of its later examples. */
  readonly maxExemplarBytes: number;
  readonly maxNormalizedChars: number;
}

const VERDICT_BYTES = 120;
const STATEMENT_BYTES = 48;
const EXEMPLAR_BYTES = 250;
/** Names of columns that a verdict carries. */
const MAX_COLUMNS = 50;
/** About what a name takes. */
const COLUMN_BYTES = 20;
const noBytes = new Uint8Array(0);

/** The kept answers of an exchange: they come with its first difference and serve the later ones as well. */
interface KeptAnswers {
  readonly captured: Uint8Array;
  readonly replayed: Uint8Array;
  readonly truncated: boolean;
  /** They hold one statement's frames alone. */
  readonly alone: boolean;
  readonly capturedBefore: number;
  readonly replayedBefore: number;
}

export class Judge {
  private readonly sql: SqlAnalyzer;
  private readonly quota: ExemplarQuota;
  private readonly limits: JudgeLimits;

  constructor(sql: SqlAnalyzer, quota: ExemplarQuota, limits: JudgeLimits) {
    this.sql = sql;
    this.quota = quota;
    this.limits = limits;
  }

  judge(result: Result, ref: EnvelopeRef, resultOffset: bigint, causes: Causes): Judged {
    const { judged, kept } = this.classifyAll(result);
    const suspicions = causes.explain(result, ref, judged);
    const budget = { leftBytes: this.limits.maxExemplarBytes };
    const classes: Classification[] = [];
    const statements: StatementVerdictInit[] = [];
    for (const [i, each] of judged.entries()) {
      const suspicion = suspicions[i] ?? null;
      const found: Classification = suspicion === null ? each.found : { ...each.found, class: 'suspect' };
      classes.push(found);
      const verdict = this.describe(each, found, kept[i] ?? null, budget);
      statements.push(suspicion === null ? verdict : { ...verdict, cause: causeInit(suspicion, each.found.class) });
    }
    const usedBytes = this.limits.maxExemplarBytes - budget.leftBytes;
    return {
      verdict: {
        ref,
        resultOffset,
        outcome: result.outcome === ResultOutcome.UNSPECIFIED ? ResultOutcome.FAILED : result.outcome,
        reason: outcomeOf(result).reason,
        capturedAtUs: result.capturedAtUs,
        statements,
      },
      classes,
      sizeBytes: VERDICT_BYTES + statements.length * STATEMENT_BYTES + usedBytes,
    };
  }

  /** Each statement by itself, and the answers that were kept for it. */
  private classifyAll(result: Result): {
    readonly judged: readonly Judgement[];
    readonly kept: readonly (KeptAnswers | null)[];
  } {
    const byExchange = new Map<number, KeptAnswers>();
    const judged: Judgement[] = [];
    const kept: (KeptAnswers | null)[] = [];
    for (const statement of result.statements) {
      const answers = answersOf(statement, byExchange);
      const { sql } = statement;
      kept.push(answers);
      judged.push({
        statement,
        found: explainedByOrder(this.classifyStatement(statement, answers), statement, result),
        fingerprint: sql === '' ? '' : this.sql.fingerprint(sql),
        facts: () => this.sql.facts(sql),
      });
    }
    return { judged, kept };
  }

  private classifyStatement(statement: StatementResult, kept: KeptAnswers | null): Classification {
    if (statement.notCompared !== '') return notCompared(reasonOf(statement.notCompared));
    const mapped = classifyMapped(statement);
    if (mapped !== null) return mapped;
    if (statement.equal) return match;
    const { captured, replayed, sql } = statement;
    if (captured === undefined || replayed === undefined)
      return notCompared('internal', 'the result lacks an observation');
    const shape = this.sql.answerShape(sql, statement.statement);
    const raws = kept === null ? {} : rawsOf(statement, kept);
    const found = classify(captured, replayed, raws, (names, count, rows) =>
      withMappedColumns(rulesOf(shape, names, count, rows), statement, count),
    );
    // What the clock, chance or the server itself chose differs by nature; an error never does.
    if (shape.predicate === 'none' || !dataClasses.has(found.class)) return found;
    return notCompared(shape.predicate, found.detail);
  }

  private describe(
    { statement, fingerprint }: Judgement,
    found: Classification,
    kept: KeptAnswers | null,
    budget: { leftBytes: number },
  ): StatementVerdictInit {
    const isShown = budget.leftBytes > 0;
    const verdict: StatementVerdictInit = {
      exchange: statement.exchange,
      statement: statement.statement,
      class: found.class,
      notCompared: found.notCompared,
      fingerprint,
      detail: isShown ? found.detail : '',
      columns: isShown ? found.columns.slice(0, MAX_COLUMNS) : [],
      ...errorsOf(statement, found),
    };
    budget.leftBytes -= (found.detail.length + found.columns.length * COLUMN_BYTES) * 3;
    if (found.class === 'match' || found.class === 'notCompared') return verdict;
    if (budget.leftBytes <= 0 || !this.quota.take(fingerprint, found.class)) return verdict;
    return { ...verdict, exemplar: this.exemplarOf(statement, kept, budget) };
  }

  private exemplarOf(
    statement: StatementResult,
    kept: KeptAnswers | null,
    budget: { leftBytes: number },
  ): Extract<StatementVerdictInit['exemplar'], Plain> {
    const normalizedSql = this.sql.normalize(statement.sql).slice(0, this.limits.maxNormalizedChars).toWellFormed();
    const answersBytes = (kept?.captured.length ?? 0) + (kept?.replayed.length ?? 0);
    const fits = answersBytes <= budget.leftBytes;
    budget.leftBytes -= EXEMPLAR_BYTES + statement.sql.length + normalizedSql.length + (fits ? answersBytes : 0);
    return {
      sql: statement.sql,
      normalizedSql,
      ...(statement.captured === undefined ? {} : { captured: statement.captured }),
      ...(statement.replayed === undefined ? {} : { replayed: statement.replayed }),
      capturedRaw: fits ? (kept?.captured ?? noBytes) : noBytes,
      replayedRaw: fits ? (kept?.replayed ?? noBytes) : noBytes,
      rawTruncated: !fits || (kept?.truncated ?? false),
      rawAlone: kept?.alone ?? false,
      capturedRowsBefore: BigInt(kept?.capturedBefore ?? 0),
      replayedRowsBefore: BigInt(kept?.replayedBefore ?? 0),
    };
  }
}

/** A difference where production's own order was open, or was not kept: counted apart, no finding. */
function explainedByOrder(found: Classification, { race }: StatementResult, { order }: Result): Classification {
  if (!divergences.has(found.class)) return found;
  if (order === 'givenUp') return notCompared('orderGivenUp', `${found.class}: ${found.detail}`);
  return race ? notCompared('race', `${found.class}: ${found.detail}`) : found;
}

const dataClasses: ReadonlySet<StatementClass> = new Set([
  'numericEpsilon',
  'maskedMatch',
  'orderOnly',
  'collation',
  'rowCount',
  'value',
]);
const errorClasses: ReadonlySet<StatementClass> = new Set(['errorNew', 'errorGone', 'errorChanged', 'suspect']);
const divergences: ReadonlySet<StatementClass> = new Set(divergenceClasses);

function errorsOf({ captured, replayed }: StatementResult, found: Classification): Partial<StatementVerdictInit> {
  if (!errorClasses.has(found.class)) return {};
  return { errorCaptured: captured?.sqlState ?? '', errorReplayed: replayed?.sqlState ?? '' };
}

function causeInit({ cause, via }: Suspicion, wouldBe: StatementClass): Extract<StatementVerdictInit['cause'], Plain> {
  const { sessionId, sessionSeq, offset, index, fingerprint, class: name } = cause;
  return {
    ...{ sessionId, index, fingerprint, via, wouldBe, class: name },
    sessionSeq: BigInt(sessionSeq),
    offset: BigInt(offset),
  };
}

function reasonOf(name: string): NotComparedReason {
  return notComparedReasons.find((reason) => reason === name) ?? 'internal';
}

/** Those of the statement itself; else, of a replayer that kept whole exchanges, those that came with an earlier one of its exchange. */
function answersOf(statement: StatementResult, byExchange: Map<number, KeptAnswers>): KeptAnswers | null {
  if (statement.capturedRaw.length + statement.replayedRaw.length === 0)
    return byExchange.get(statement.exchange) ?? null;
  const own: KeptAnswers = {
    captured: statement.capturedRaw,
    replayed: statement.replayedRaw,
    truncated: statement.rawTruncated,
    alone: statement.rawAlone,
    capturedBefore: Number(statement.capturedRowsBefore),
    replayedBefore: Number(statement.replayedRowsBefore),
  };
  if (!own.alone) byExchange.set(statement.exchange, own);
  return own;
}

function rawsOf(statement: StatementResult, kept: KeptAnswers): { captured: RawAnswer; replayed: RawAnswer } {
  const position = kept.alone ? 0 : statement.statement;
  const side = (bytes: Uint8Array, rowsBefore: number): RawAnswer => ({
    bytes,
    statement: position,
    truncated: kept.truncated,
    rowsBefore,
  });
  return { captured: side(kept.captured, kept.capturedBefore), replayed: side(kept.replayed, kept.replayedBefore) };
}
