// From a result to a verdict: the class of each statement, and for a difference its shape, one line of detail and an example.
import { type Classification, classify, notCompared, type RawAnswer } from '@mirrorstream/compare';
import { type NotComparedReason, notComparedReasons, type StatementClass } from '@mirrorstream/domain';
import type { EnvelopeRef, encodeVerdictBatch, Result, StatementResult } from '@mirrorstream/envelope';
import { ResultOutcome } from '@mirrorstream/envelope';
import type { SqlAnalyzer, Variability } from '@mirrorstream/sql';
import type { ExemplarQuota } from './exemplar-quota.ts';
import { outcomeOf } from './ledger.ts';

type VerdictBatchInit = Parameters<typeof encodeVerdictBatch>[0];
export type VerdictInit = NonNullable<VerdictBatchInit['verdicts']>[number];
type StatementVerdictInit = NonNullable<VerdictInit['statements']>[number];

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
const noBytes = new Uint8Array(0);

/** The kept answers of an exchange: they come with its first difference and serve the later ones as well. */
interface KeptAnswers {
  readonly captured: Uint8Array;
  readonly replayed: Uint8Array;
  readonly truncated: boolean;
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

  judge(result: Result, ref: EnvelopeRef, resultOffset: bigint): Judged {
    const classes: Classification[] = [];
    const statements: StatementVerdictInit[] = [];
    const kept = new Map<number, KeptAnswers>();
    const budget = { leftBytes: this.limits.maxExemplarBytes };
    for (const statement of result.statements) {
      if (statement.capturedRaw.length + statement.replayedRaw.length > 0)
        kept.set(statement.exchange, {
          captured: statement.capturedRaw,
          replayed: statement.replayedRaw,
          truncated: statement.rawTruncated,
        });
      const answers = kept.get(statement.exchange) ?? null;
      const found = explainedByOrder(this.classifyStatement(statement, answers), statement, result);
      classes.push(found);
      statements.push(this.describe(statement, found, answers, budget));
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

  private classifyStatement(statement: StatementResult, kept: KeptAnswers | null): Classification {
    if (statement.notCompared !== '') return notCompared(reasonOf(statement.notCompared));
    if (statement.equal) return { class: 'match', notCompared: '', detail: '' };
    const { captured, replayed } = statement;
    if (captured === undefined || replayed === undefined)
      return notCompared('internal', 'the result lacks an observation');
    const found = classify(captured, replayed, {
      ...(kept === null ? {} : { captured: rawOf(kept.captured, statement, kept) }),
      ...(kept === null ? {} : { replayed: rawOf(kept.replayed, statement, kept) }),
    });
    return this.explainedByVariability(statement.sql, found);
  }

  /** A difference that the clock, chance or the server itself explains is not a divergence; an error always is. */
  private explainedByVariability(sql: string, found: Classification): Classification {
    if (!dataClasses.has(found.class) || sql === '') return found;
    const variability = this.sql.variability(sql);
    return isExplained(variability, found.class)
      ? notCompared(variability === 'serverSpecific' ? 'serverSpecific' : 'volatile', found.detail)
      : found;
  }

  private describe(
    statement: StatementResult,
    found: Classification,
    kept: KeptAnswers | null,
    budget: { leftBytes: number },
  ): StatementVerdictInit {
    const verdict: StatementVerdictInit = {
      exchange: statement.exchange,
      statement: statement.statement,
      class: found.class,
      notCompared: found.notCompared,
      detail: budget.leftBytes > 0 ? found.detail : '',
    };
    budget.leftBytes -= found.detail.length * 3;
    if (found.class === 'match' || found.class === 'notCompared') return verdict;
    const fingerprint = this.sql.fingerprint(statement.sql);
    if (budget.leftBytes <= 0 || !this.quota.take(fingerprint, found.class)) return { ...verdict, fingerprint };
    return { ...verdict, fingerprint, exemplar: this.exemplarOf(statement, kept, budget) };
  }

  private exemplarOf(
    statement: StatementResult,
    kept: KeptAnswers | null,
    budget: { leftBytes: number },
  ): NonNullable<StatementVerdictInit['exemplar']> {
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
    };
  }
}

/** A difference where production's own order was open, or was not kept: counted apart, no finding. */
function explainedByOrder(found: Classification, { race }: StatementResult, { order }: Result): Classification {
  if (found.class === 'match' || found.class === 'notCompared') return found;
  if (order === 'givenUp') return notCompared('orderGivenUp', `${found.class}: ${found.detail}`);
  return race ? notCompared('race', `${found.class}: ${found.detail}`) : found;
}

const dataClasses: ReadonlySet<StatementClass> = new Set(['value', 'orderOnly', 'rowCount']);

function isExplained(variability: Variability, name: StatementClass): boolean {
  switch (variability) {
    case 'none':
      return false;
    case 'volatileTarget':
      return name !== 'rowCount';
    case 'volatile':
    case 'serverSpecific':
      return true;
    default:
      return variability satisfies never;
  }
}

function reasonOf(name: string): NotComparedReason {
  return notComparedReasons.find((reason) => reason === name) ?? 'internal';
}

function rawOf(bytes: Uint8Array, statement: StatementResult, kept: KeptAnswers): RawAnswer {
  return { bytes, statement: statement.statement, truncated: kept.truncated };
}
