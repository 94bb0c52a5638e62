// A small database for tests of ID mapping: plans by text, written down rather than parsed.
import { IdMap } from './id-map.ts';
import type { IdMapping, IdScope, StatementPlan, TextPlan } from './id-mapping.ts';

export const key = (space: string, fresh = false) => ({ space, fresh });
export const LAST_VALUE = 'lastval';

export const statementPlan = (sketch: Partial<StatementPlan> = {}): StatementPlan => ({
  outputs: null,
  sortedByKey: false,
  draws: null,
  ...sketch,
});

export function textPlan(sketch: Partial<TextPlan> = {}): TextPlan {
  return { parameters: new Map(), literals: [], statements: [statementPlan()], ...sketch };
}

export const withParameter = (space: string, sketch: Partial<StatementPlan> = {}): TextPlan =>
  textPlan({ parameters: new Map([[1, { space, list: false }]]), statements: [statementPlan(sketch)] });

/** Its one constant, wherever it stands. */
export function withLiteral(sql: string, text: string, space: string, sketch: Partial<StatementPlan> = {}): TextPlan {
  const from = Buffer.from(sql.slice(0, sql.lastIndexOf(text))).length;
  const literal = { space, list: false, from, to: from + text.length, text, quoted: false };
  return textPlan({ literals: [literal], statements: [statementPlan(sketch)] });
}

export function idScene(plans: Readonly<Record<string, TextPlan>>, scope: IdScope = 'mirror') {
  const map = new IdMap({ maxEntries: 1000, maxBytes: 1e6 });
  const changes: string[] = [];
  const mapping: IdMapping = {
    map,
    scope,
    plansOf: () => ({ lastValue: LAST_VALUE, plan: (sql) => plans[sql] ?? textPlan() }),
    onSchemaChange: (database) => changes.push(database),
  };
  return { map, mapping, changes };
}
