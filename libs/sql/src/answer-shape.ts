// What a statement's text says of its answer: which columns differ by nature, whether the order of rows is given, and which rows come.
//
// All of it is read from the parse tree alone: nothing is known of tables, their columns or their unique keys.
import { columnTrait, namedTraits, readsOrdered, type Trait } from './column-traits.ts';
import { fieldOf, sameNode, textOf } from './tree.ts';
import { type Predicate, predicateOf } from './variability.ts';

/** A column of the answer: by its place, from 0, or where a star hides the place by its name. */
export type ColumnPlace = { readonly position: number } | { readonly name: string };

export interface ColumnShape {
  readonly trait: Trait;
  /** Of EXTRACT: double precision before PostgreSQL 14, numeric since. */
  readonly extract: boolean;
}

export interface AnswerShape {
  /** false: several statements in one text, one that does not parse, or one whose answer is another's (EXECUTE, FETCH). */
  readonly known: boolean;
  /** At most one row comes: an aggregate over everything. */
  readonly oneRow: boolean;
  /** Keys of the outermost ORDER BY; null: one that is no column of the answer. */
  readonly keys: readonly (ColumnPlace | null)[];
  /** ORDER BY names all that GROUP BY groups by: no two rows are equal in it. */
  readonly keysUnique: boolean;
  /** LIMIT or FETCH FIRST without ties; `count` is null where a parameter or an expression says it. */
  readonly cut: { readonly count: number | null; readonly offset: boolean } | null;
  /** Something within leaves open which rows it takes: a LIMIT without ORDER BY, DISTINCT ON, SKIP LOCKED. */
  readonly open: boolean;
  /** Which rows come depends on the clock or on chance, or the answer tells of the server itself. */
  readonly predicate: Predicate;
  /** Columns before the first star, and those after the last one; `trailing` is null where there is no star. */
  readonly leading: readonly ColumnShape[];
  readonly trailing: readonly ColumnShape[] | null;
  /** Traits by name, for the columns a star stands for. */
  readonly named: ReadonlyMap<string, Trait>;
}

export const unknownShape: AnswerShape = {
  known: false,
  oneRow: false,
  keys: [],
  keysUnique: false,
  cut: null,
  open: false,
  predicate: 'none',
  leading: [],
  trailing: [],
  named: new Map(),
};

const aggregates: ReadonlySet<string> = new Set([
  ...['count', 'sum', 'avg', 'min', 'max', 'bool_and', 'bool_or', 'every', 'bit_and', 'bit_or', 'bit_xor', 'any_value'],
  ...['array_agg', 'string_agg', 'json_agg', 'jsonb_agg', 'json_object_agg', 'jsonb_object_agg', 'xmlagg', 'range_agg'],
  ...['stddev', 'stddev_pop', 'stddev_samp', 'variance', 'var_pop', 'var_samp', 'corr'],
  ...['percentile_cont', 'percentile_disc', 'mode'],
]);
const MAX_DEPTH = 200;

/** Of the statement at `position` of a parse tree as libpg_query gives it. */
export function answerShape(tree: unknown, position: number): AnswerShape {
  const statements = fieldOf(tree, 'stmts');
  if (!Array.isArray(statements)) return unknownShape;
  const statement = fieldOf(statements[statements.length === 1 ? 0 : position], 'stmt');
  const select = fieldOf(statement, 'SelectStmt');
  if (select !== undefined) return selectShape(select, statement);
  for (const type of ['InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt']) {
    const body = fieldOf(statement, type);
    if (body !== undefined) return writeShape(body, statement);
  }
  return { ...unknownShape, predicate: predicateOf(statement, new Map()) };
}

function selectShape(select: unknown, statement: unknown): AnswerShape {
  const named = namedTraits(statement);
  const targets = targetsOf(leftmost(select));
  const columns = shapeColumns(targets, named, readsOrdered(leftmost(select)));
  const sort = listOf(select, 'sortClause').map((each) => fieldOf(fieldOf(each, 'SortBy'), 'node'));
  const keys = sort.map((node) => placeOf(node, targets));
  const keyTraits = keys.map((key) => traitOfKey(key, columns.leading));
  const predicate = predicateOf(statement, named);
  return {
    known: true,
    oneRow: isOneRow(select, targets),
    keys,
    keysUnique: groupsWithin(select, targets, sort, keys),
    cut: cutOf(select),
    open: isDistinctOn(select) || isOpenInside(select, 0, true),
    predicate: predicate === 'none' && keyTraits.includes('volatile') ? 'volatile' : predicate,
    ...columns,
    named,
  };
}

function writeShape(body: unknown, statement: unknown): AnswerShape {
  const named = namedTraits(statement);
  const returning = fieldOf(body, 'returningClause');
  const targets = listOf(
    returning === undefined ? body : returning,
    returning === undefined ? 'returningList' : 'exprs',
  );
  return {
    ...unknownShape,
    known: true,
    open: isOpenInside(body, 0, true),
    predicate: predicateOf(statement, named),
    ...shapeColumns(
      targets.map((each) => fieldOf(each, 'ResTarget')),
      named,
    ),
    named,
  };
}

// Columns ----------------------------------------------------------------------------------------------------------

function shapeColumns(
  targets: readonly unknown[],
  named: ReadonlyMap<string, Trait>,
  ordered = false,
): Pick<AnswerShape, 'leading' | 'trailing'> {
  const shapes = targets.map(
    (target): ColumnShape => ({
      trait: columnTrait(fieldOf(target, 'val'), named, ordered),
      extract: isExtract(target),
    }),
  );
  const first = targets.findIndex(isStar);
  if (first < 0) return { leading: shapes, trailing: null };
  return { leading: shapes.slice(0, first), trailing: shapes.slice(targets.findLastIndex(isStar) + 1) };
}

function isStar(target: unknown): boolean {
  const fields = fieldOf(fieldOf(fieldOf(target, 'val'), 'ColumnRef'), 'fields');
  return Array.isArray(fields) && fieldOf(fields.at(-1), 'A_Star') !== undefined;
}

function isExtract(target: unknown): boolean {
  const parts = listOf(fieldOf(fieldOf(target, 'val'), 'FuncCall'), 'funcname');
  return textOf(fieldOf(parts.at(-1), 'String'), 'sval') === 'extract';
}

const targetsOf = (select: unknown): readonly unknown[] =>
  listOf(select, 'targetList').map((each) => fieldOf(each, 'ResTarget'));

/** A union has the columns of its first arm. */
function leftmost(select: unknown): unknown {
  let found = select;
  for (let arm = fieldOf(found, 'larg'); arm !== undefined; arm = fieldOf(found, 'larg')) found = arm;
  return found;
}

// Order ------------------------------------------------------------------------------------------------------------

/** The column of the answer that an ORDER BY or GROUP BY expression is: by number, by name of the output, or the same expression. */
function placeOf(node: unknown, targets: readonly unknown[]): ColumnPlace | null {
  const collated = fieldOf(fieldOf(node, 'CollateClause'), 'arg');
  if (collated !== undefined) return placeOf(collated, targets);
  const number = fieldOf(fieldOf(fieldOf(node, 'A_Const'), 'ival'), 'ival');
  if (typeof number === 'number') return { position: number - 1 };
  const star = targets.findIndex(isStar);
  const name = columnName(node);
  const at = targets.findIndex(
    (target) =>
      (name !== null && !isQualified(node) && outputName(target) === name) || sameNode(fieldOf(target, 'val'), node),
  );
  if (at >= 0 && (star < 0 || at < star)) return { position: at };
  if (name === null) return null;
  // Qualified here and not there, or the other way round: the same column, if there is only one of that name.
  const alike = targets.filter((target) => !isStar(target) && outputName(target) === name);
  if (star >= 0) return { name };
  return alike.length === 1 ? { position: targets.indexOf(alike[0]) } : null;
}

function outputName(target: unknown): string {
  return textOf(target, 'name') || (columnName(fieldOf(target, 'val')) ?? '');
}

/** The last part of a reference to a column; null: it is none. */
function columnName(node: unknown): string | null {
  const last = listOf(fieldOf(node, 'ColumnRef'), 'fields').at(-1);
  return textOf(fieldOf(last, 'String'), 'sval') || null;
}

const isQualified = (node: unknown): boolean => listOf(fieldOf(node, 'ColumnRef'), 'fields').length > 1;

function traitOfKey(key: ColumnPlace | null, leading: readonly ColumnShape[]): Trait {
  return key !== null && 'position' in key ? (leading[key.position]?.trait ?? '') : '';
}

function groupsWithin(
  select: unknown,
  targets: readonly unknown[],
  sort: readonly unknown[],
  keys: readonly (ColumnPlace | null)[],
): boolean {
  const groups = listOf(select, 'groupClause');
  if (groups.length === 0 || groups.some((group) => fieldOf(group, 'GroupingSet') !== undefined)) return false;
  return groups.every((group) => {
    const place = placeOf(group, targets);
    return sort.some((node) => sameNode(node, group)) || (place !== null && keys.some((key) => sameNode(key, place)));
  });
}

function isOneRow(select: unknown, targets: readonly unknown[]): boolean {
  if (fieldOf(select, 'larg') !== undefined || listOf(select, 'groupClause').length > 0) return false;
  return targets.some((target) => {
    const call = fieldOf(fieldOf(target, 'val'), 'FuncCall');
    const name = textOf(fieldOf(listOf(call, 'funcname').at(-1), 'String'), 'sval');
    return aggregates.has(name) && fieldOf(call, 'over') === undefined;
  });
}

// Which rows -------------------------------------------------------------------------------------------------------

function cutOf(select: unknown): AnswerShape['cut'] {
  const limit = fieldOf(select, 'limitCount');
  const offset = fieldOf(select, 'limitOffset') !== undefined;
  const isAll = fieldOf(fieldOf(limit, 'A_Const'), 'isnull') === true;
  if (limit === undefined || isAll) return offset ? { count: null, offset } : null;
  if (textOf(select, 'limitOption') === 'LIMIT_OPTION_WITH_TIES') return offset ? { count: null, offset } : null;
  const number = fieldOf(fieldOf(limit, 'A_Const'), 'ival');
  const count = number === undefined ? null : Number(fieldOf(number, 'ival') ?? 0);
  return { count, offset };
}

/** Plain DISTINCT has one empty node in its list. */
function isDistinctOn(select: unknown): boolean {
  return listOf(select, 'distinctClause').some((each) => Object.keys(each as object).length > 0);
}

function isOpenInside(node: unknown, depth: number, outermost: boolean): boolean {
  if (typeof node !== 'object' || node === null || depth > MAX_DEPTH) return false;
  if (Array.isArray(node)) return node.some((item) => isOpenInside(item, depth + 1, false));
  if (fieldOf(node, 'subLinkType') === 'EXISTS_SUBLINK') return false;
  if (textOf(node, 'waitPolicy') === 'LockWaitSkip') return true;
  const takesSome = fieldOf(node, 'limitCount') !== undefined || fieldOf(node, 'limitOffset') !== undefined;
  if (!outermost && (takesSome || isDistinctOn(node)) && listOf(node, 'sortClause').length === 0) return true;
  return Object.values(node).some((value) => isOpenInside(value, depth + 1, false));
}

function listOf(node: unknown, key: string): readonly unknown[] {
  const found = fieldOf(node, key);
  return Array.isArray(found) ? found : [];
}
