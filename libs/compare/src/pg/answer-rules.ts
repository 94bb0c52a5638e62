// What a statement's text says of its answer, as far as it matters for comparing two of them. Made by who can read the text.

export type ColumnTrait = '' | 'openOrder' | 'server' | 'volatile';

export interface ColumnRule {
  /** Why it may differ although the data are the same; '': it may not. */
  readonly trait: ColumnTrait;
  /** EXTRACT: double precision in one version, numeric in another. */
  readonly extract: boolean;
}

export interface AnswerRules {
  /** Of each column; missing ones are plain. */
  readonly columns: readonly ColumnRule[];
  /** Columns of the outermost ORDER BY, in its order, up to the first one that the answer does not show. */
  readonly keys: readonly number[];
  readonly keysComplete: boolean;
  /** All columns of the outermost ORDER BY that the answer shows, wherever they stand in it. */
  readonly shownKeys: readonly number[];
  /** No two rows are equal in ORDER BY. */
  readonly orderTotal: boolean;
  /**
   * Which rows come: `all` that the data has; `ends`: LIMIT or OFFSET cut what ORDER BY has put in order, so ties at the ends are open;
   * `some`: nothing says which.
   */
  readonly rows: 'all' | 'ends' | 'some';
  /** Something within the statement leaves open which rows it takes, so their number is open as well. */
  readonly open: boolean;
}

export const plainColumn: ColumnRule = { trait: '', extract: false };

export const noRules: AnswerRules = {
  columns: [],
  keys: [],
  keysComplete: true,
  shownKeys: [],
  orderTotal: false,
  rows: 'all',
  open: false,
};

/** Rules for an answer of these columns and so many rows; names are null where the answer did not describe its columns. */
export type RulesOf = (names: readonly string[] | null, columnCount: number, rows: number) => AnswerRules;
