// Compares what a rerun came to with the comparer's own judge: the results as it would read them, and a class for each statement.
import {
  decodeResultBatch,
  type EnvelopeRef,
  encodeResults,
  type Result,
  ResultOutcome,
  type StatementResult,
} from '@mirrorstream/envelope';
import type { LaneResult } from '@mirrorstream/replay';
import type { SqlAnalyzer } from '@mirrorstream/sql';
import type { StatementJudgement } from '../inspect/story.ts';
import { isOwnExchange, type RolledBack } from './rolled-back.ts';

const outcomeOf: Readonly<Record<LaneResult['outcome'], ResultOutcome>> = {
  replayed: ResultOutcome.REPLAYED,
  filtered: ResultOutcome.FILTERED,
  unexposed: ResultOutcome.UNEXPOSED,
  shed: ResultOutcome.SHED,
  failed: ResultOutcome.FAILED,
};

/** As a comparer would read them: without the exchanges that were added, and what was cut off. */
export function readResults(
  played: readonly LaneResult[],
  cut: RolledBack['cut'],
  {
    environment,
    mirror,
    partition,
  }: { readonly environment: string; readonly mirror: string; readonly partition: number },
): readonly Result[] {
  const results = played.map((result) => ({ ...result, outcome: outcomeOf[result.outcome] }));
  const bytes = encodeResults({ environment, mirror, run: 'rerun', replayer: 'rerun', partition, results });
  const isTold = ({ exchange, statement }: StatementResult): boolean =>
    !isOwnExchange(exchange) && !(cut?.exchange === exchange && statement >= cut.statements);
  return decodeResultBatch(bytes).results.map((result) => ({
    ...result,
    statements: result.statements.filter(isTold),
  }));
}

/** The part of the comparer's judge that is used here. */
interface Judge {
  judge(
    result: Result,
    ref: EnvelopeRef,
    resultOffset: bigint,
    causes: { explain(): readonly null[] },
  ): { readonly verdict: { readonly statements: readonly JudgedStatement[] } };
}

interface JudgedStatement {
  readonly exchange: number;
  readonly statement: number;
  readonly class: string;
  readonly notCompared: string;
  readonly detail: string;
  readonly fingerprint: string;
  readonly columns: readonly string[];
}

interface JudgeModule {
  readonly Judge: new (sql: SqlAnalyzer, quota: { take(): boolean }, limits: object) => Judge;
}

/** By `exchange/statement`. One transaction by itself has no earlier divergence that could explain it: nothing is suspect. */
export async function judgeHere(
  results: readonly Result[],
  sql: SqlAnalyzer,
): Promise<ReadonlyMap<string, StatementJudgement>> {
  // Nothing imports a service; the command loads it by its path, as it does to run it.
  const path = new URL('../../../comparer/src/judge.ts', import.meta.url).href;
  const { Judge: ComparersJudge } = (await import(path)) as JudgeModule;
  const judge = new ComparersJudge(
    sql,
    { take: () => false },
    { maxExemplarBytes: 16 * 1024 * 1024, maxNormalizedChars: 4_000 },
  );
  const found = new Map<string, StatementJudgement>();
  for (const result of results) {
    if (result.ref === undefined) continue;
    const { verdict } = judge.judge(result, result.ref, 0n, { explain: () => [] });
    for (const one of verdict.statements)
      found.set(`${one.exchange}/${one.statement}`, {
        class: one.class,
        notCompared: one.notCompared,
        detail: one.detail,
        fingerprint: one.fingerprint,
        columns: one.columns,
        cause: null,
      });
  }
  return found;
}
