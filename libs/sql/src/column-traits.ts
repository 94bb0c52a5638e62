// What makes a column of an answer differ between two servers with the same data: the clock, chance, the server itself, an open order.
import { fieldOf, nameParts, textOf } from './tree.ts';
import { isClockValue, serverFunctions, volatileFunctions } from './variability.ts';

/** `openOrder`: an aggregate that keeps the order of its rows, of which none is given. */
export type Trait = '' | 'openOrder' | 'server' | 'volatile';

const strength: readonly Trait[] = ['', 'openOrder', 'server', 'volatile'];
/** Manual, "System Columns"; oid is one of the catalogs. */
const systemColumns: ReadonlySet<string> = new Set(['ctid', 'xmin', 'xmax', 'cmin', 'cmax', 'tableoid', 'oid']);
const orderKeepers: ReadonlySet<string> = new Set([
  'array_agg',
  'string_agg',
  'json_agg',
  'jsonb_agg',
  'json_object_agg',
  'xmlagg',
]);
const MAX_DEPTH = 200;
const none: ReadonlyMap<string, Trait> = new Map();

/** Of the expression of a column; `named`: traits of the names it may refer to; `ordered`: the rows it is made of come in a given order. */
export function columnTrait(expression: unknown, named: ReadonlyMap<string, Trait>, ordered: boolean): Trait {
  return traitOf(expression, named, ordered, 0);
}

/** Traits of the names that queries within the statement give, and of the columns that it writes. */
export function namedTraits(statement: unknown): ReadonlyMap<string, Trait> {
  const named = new Map<string, Trait>();
  collect(statement, named, 0);
  return named.size === 0 ? none : named;
}

/** Inner ones first: what they name may be used further out. */
function collect(node: unknown, named: Map<string, Trait>, depth: number): void {
  if (typeof node !== 'object' || node === null || depth > MAX_DEPTH) return;
  if (Array.isArray(node)) {
    for (const item of node) collect(item, named, depth + 1);
    return;
  }
  for (const value of Object.values(node)) collect(value, named, depth + 1);
  for (const type of ['RangeSubselect', 'CommonTableExpr']) {
    const query = fieldOf(fieldOf(node, type), type === 'RangeSubselect' ? 'subquery' : 'ctequery');
    collectTargets(fieldOf(fieldOf(query, 'SelectStmt'), 'targetList'), named, fieldOf(query, 'SelectStmt'));
  }
  collectTargets(fieldOf(fieldOf(node, 'UpdateStmt'), 'targetList'), named, undefined);
  collectTargets(fieldOf(fieldOf(node, 'onConflictClause'), 'targetList'), named, undefined);
  collectInserted(fieldOf(node, 'InsertStmt'), named);
}

function collectTargets(targets: unknown, named: Map<string, Trait>, select: unknown): void {
  for (const each of Array.isArray(targets) ? targets : []) {
    const target = fieldOf(each, 'ResTarget');
    const value = fieldOf(target, 'val');
    const trait = traitOf(value, named, readsOrdered(select), 0);
    const name = textOf(target, 'name') || defaultName(value);
    if (trait !== '' && name !== '') named.set(name, stronger(named.get(name) ?? '', trait));
  }
}

/** `INSERT INTO t (a, b) VALUES (…, now())`: what is given for b. */
function collectInserted(insert: unknown, named: Map<string, Trait>): void {
  const columns = fieldOf(insert, 'cols');
  const select = fieldOf(fieldOf(insert, 'selectStmt'), 'SelectStmt');
  if (!Array.isArray(columns)) return;
  const rows = fieldOf(select, 'valuesLists');
  for (const row of Array.isArray(rows) ? rows : []) {
    const items = fieldOf(fieldOf(row, 'List'), 'items');
    for (const [i, item] of (Array.isArray(items) ? items : []).entries()) note(columns[i], item, named);
  }
  const targets = fieldOf(select, 'targetList');
  for (const [i, target] of (Array.isArray(targets) ? targets : []).entries())
    note(columns[i], fieldOf(fieldOf(target, 'ResTarget'), 'val'), named);
}

function note(column: unknown, value: unknown, named: Map<string, Trait>): void {
  const name = textOf(fieldOf(column, 'ResTarget'), 'name');
  const trait = traitOf(value, named, false, 0);
  if (trait !== '' && name !== '') named.set(name, stronger(named.get(name) ?? '', trait));
}

function traitOf(node: unknown, named: ReadonlyMap<string, Trait>, ordered: boolean, depth: number): Trait {
  if (typeof node !== 'object' || node === null || depth > MAX_DEPTH) return '';
  let found: Trait = '';
  if (Array.isArray(node)) {
    for (const item of node) found = stronger(found, traitOf(item, named, ordered, depth + 1));
    return found;
  }
  // Whether something is there does not say what it is.
  if (fieldOf(node, 'subLinkType') === 'EXISTS_SUBLINK') return '';
  const select = fieldOf(node, 'SelectStmt');
  const inOrder = select === undefined ? ordered : readsOrdered(select);
  for (const [key, value] of Object.entries(node)) {
    found = stronger(found, ownTrait(key, value, named, inOrder));
    found = stronger(found, traitOf(value, named, inOrder, depth + 1));
  }
  return found;
}

function ownTrait(key: string, value: unknown, named: ReadonlyMap<string, Trait>, ordered: boolean): Trait {
  switch (key) {
    case 'FuncCall': {
      const name = nameParts(value, 'funcname').at(-1) ?? '';
      if (volatileFunctions.has(name)) return 'volatile';
      if (serverFunctions.has(name)) return 'server';
      return !ordered && orderKeepers.has(name) && fieldOf(value, 'agg_order') === undefined ? 'openOrder' : '';
    }
    case 'SQLValueFunction':
      return isClockValue(value) ? 'volatile' : '';
    case 'SubLink': {
      const select = fieldOf(fieldOf(value, 'subselect'), 'SelectStmt');
      const isArray = fieldOf(value, 'subLinkType') === 'ARRAY_SUBLINK';
      return isArray && fieldOf(select, 'sortClause') === undefined ? 'openOrder' : '';
    }
    case 'ColumnRef': {
      const name = nameParts(value, 'fields').at(-1) ?? '';
      return systemColumns.has(name) ? 'server' : (named.get(name) ?? '');
    }
    default:
      return '';
  }
}

/** Its rows come from a subquery with an ORDER BY, which the executor keeps. */
export function readsOrdered(select: unknown): boolean {
  const from = fieldOf(select, 'fromClause');
  const [only] = Array.isArray(from) && from.length === 1 ? from : [];
  const inner = fieldOf(fieldOf(fieldOf(only, 'RangeSubselect'), 'subquery'), 'SelectStmt');
  return fieldOf(inner, 'sortClause') !== undefined;
}

/** What a column without AS is called, as far as it matters: a reference's and a function's own name. */
function defaultName(value: unknown): string {
  const call = nameParts(fieldOf(value, 'FuncCall'), 'funcname').at(-1);
  const clock = fieldOf(value, 'SQLValueFunction');
  if (clock !== undefined)
    return textOf(clock, 'op')
      .replace(/^SVFOP_|_N$/g, '')
      .toLowerCase();
  return call ?? nameParts(fieldOf(value, 'ColumnRef'), 'fields').at(-1) ?? '';
}

const stronger = (a: Trait, b: Trait): Trait => (strength.indexOf(a) >= strength.indexOf(b) ? a : b);
