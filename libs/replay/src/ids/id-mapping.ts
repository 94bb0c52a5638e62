// What a lane is given to map ids with: where they are in texts and answers, and who shares what was learnt.
import type { IdMap } from './id-map.ts';

/** `session`: each session knows what it has seen itself. `mirror`: the sessions of one process share what they know. */
export const idScopes = ['session', 'mirror'] as const;
export type IdScope = (typeof idScopes)[number];

interface Place {
  readonly space: string;
  /** An array of ids. */
  readonly list: boolean;
}

/** Of one statement. */
export interface StatementPlan {
  /** By position in the answer; null: no id. Null at all: the columns are not known. */
  readonly outputs: readonly ({ readonly space: string; readonly fresh: boolean } | null)[] | null;
  readonly sortedByKey: boolean;
  /** The space whose sequence it draws from, for lastval(). */
  readonly draws: string | null;
}

/** Where a text says ids, and where its answer has them. */
export interface TextPlan {
  readonly parameters: ReadonlyMap<number, Place>;
  /** Bytes [from, to) of the text in UTF-8, in its order. */
  readonly literals: readonly (Place & {
    readonly from: number;
    readonly to: number;
    readonly text: string;
    readonly quoted: boolean;
  })[];
  readonly statements: readonly StatementPlan[];
}

/** Of one database of the mirror. */
export interface TextPlans {
  /** Null: nobody can look into it. */
  plan(sql: string): TextPlan | null;
  /** The output space of lastval(). */
  readonly lastValue: string;
}

export interface IdMapping {
  readonly map: IdMap;
  readonly scope: IdScope;
  /** Of the database that sessions of this one go to; null: not known. */
  readonly plansOf: (database: string) => TextPlans | null;
  /** A session of this database changed its schema on the mirror. */
  readonly onSchemaChange: (database: string) => void;
}
