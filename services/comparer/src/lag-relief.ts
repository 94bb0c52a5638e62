// What a comparer that is behind leaves out of a result before it is judged, each thing counted by its name.
import { divergenceClasses } from '@mirrorstream/domain';
import { type Observation, type Result, StatementEnd, type StatementResult } from '@mirrorstream/envelope';
import type { SqlAnalyzer } from '@mirrorstream/sql';
import type { ExemplarQuota } from './exemplar-quota.ts';
import type { FindingsTable } from './findings-table.ts';
import type { LagStage } from './lag-guard.ts';

/** exemplar: a difference without an example; stageTwo: one that was not looked into; text: a statement counted without its shape. */
export const reliefs = ['exemplar', 'stageTwo', 'text'] as const;
export type Relief = (typeof reliefs)[number];

const behind = 'comparerBehind';

export class LagRelief {
  readonly #dropped = { stageTwo: 0, text: 0 };
  readonly #sql: SqlAnalyzer;
  readonly #quota: ExemplarQuota;

  constructor(sql: SqlAnalyzer, quota: ExemplarQuota) {
    this.#sql = sql;
    this.#quota = quota;
  }

  get dropped(): Readonly<Record<Relief, number>> {
    return { ...this.#dropped, exemplar: this.#quota.withheld };
  }

  /** The result as it is to be judged. */
  lighten(result: Result, stage: LagStage, table: FindingsTable): Result {
    this.#quota.closed = stage !== 'keepingUp';
    if (stage === 'keepingUp' || result.statements.length === 0) return result;
    return { ...result, statements: result.statements.map((one) => this.#lighten(one, stage, table)) };
  }

  #lighten(statement: StatementResult, stage: LagStage, table: FindingsTable): StatementResult {
    const differs = !statement.equal && statement.notCompared === '';
    if (stage === 'withoutDetail')
      return differs && this.#isKnownToDifferInValues(statement, table) ? this.#unlooked(statement) : statement;
    const named = this.#sql.isKnown(statement.sql) ? statement : this.#withoutText(statement);
    return differs ? this.#unlooked(named) : named;
  }

  #unlooked(statement: StatementResult): StatementResult {
    this.#dropped.stageTwo += 1;
    return { ...statement, notCompared: behind };
  }

  #withoutText(statement: StatementResult): StatementResult {
    this.#dropped.text += 1;
    return { ...statement, sql: '' };
  }

  #isKnownToDifferInValues({ sql, captured, replayed }: StatementResult, table: FindingsTable): boolean {
    return differInValuesAlone(captured, replayed) && table.hasDiverged(this.#sql.fingerprint(sql), divergenceClasses);
  }
}

/** Both answered without an error, and the same number of rows: only the answers themselves say more. */
function differInValuesAlone(a: Observation | undefined, b: Observation | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  return (
    a.end === StatementEnd.COMPLETE &&
    b.end === StatementEnd.COMPLETE &&
    a.rows === b.rows &&
    a.commandTag === b.commandTag
  );
}
