// Where a text of SQL says ids and where its answer has them: parameters, constants and columns, each with its key space.
//
// A value counts as an id only where the text itself says so: compared for equality with a column of a key space (=, <>, IN, ANY, rows,
// through sub-selects, WITH, VALUES and unnest), or put into one. Everything else is left alone; what cannot be resolved, too.
import { fieldOf } from '../tree.ts';
import type { KeyCatalog } from './key-catalog.ts';
import { KeyUses, type LiteralKey, type ParameterKey } from './key-uses.ts';
import { LAST_VALUE } from './relations.ts';
import { StatementWalk } from './statement-walk.ts';

export interface KeyOutput {
  /** `lastValue`: of the sequence that the session drew from last. */
  readonly space: string;
  readonly fresh: boolean;
}

/** Of one statement, in the order of the text. */
export interface StatementKeys {
  /** By position in the answer; null: no id. Null at all: the columns are not known. */
  readonly outputs: readonly (KeyOutput | null)[] | null;
  /** Its rows come in the order of ids. */
  readonly sortedByKey: boolean;
  /** The space whose sequence it draws from, for lastval(). */
  readonly draws: string | null;
}

export interface KeyPlan {
  readonly parameters: ReadonlyMap<number, ParameterKey>;
  readonly literals: readonly LiteralKey[];
  readonly statements: readonly StatementKeys[];
}

export const lastValue = LAST_VALUE;

/** Of a parse tree as libpg-query gives it. */
export function keyPlan(tree: unknown, sql: string, catalog: KeyCatalog): KeyPlan {
  const uses = new KeyUses();
  const statements = fieldOf(tree, 'stmts');
  const found = (Array.isArray(statements) ? statements : []).map((each): StatementKeys => {
    const walk = new StatementWalk(catalog, uses);
    const outputs = walk.statement(fieldOf(each, 'stmt'));
    return {
      outputs: outputs?.map(({ space, fresh }) => (space === null ? null : { space, fresh })) ?? null,
      sortedByKey: walk.sortedByKey,
      draws: walk.draws,
    };
  });
  return { parameters: uses.parameters(), literals: uses.literals(sql), statements: found };
}
