// What the columns of a FROM clause are, by name, and where a statement's own names hide those around it.
import { fieldOf, textOf } from '../tree.ts';
import type { KeyTable } from './key-catalog.ts';
import type { Use } from './key-uses.ts';

/** What an expression's value is an id of, if of anything, and the parameters and constants that are this value. */
export interface KeyValue {
  readonly space: string | null;
  /** The statement itself drew it: what the mirror draws may be another. */
  readonly fresh: boolean;
  readonly uses: readonly Use[];
}

export interface NamedValue extends KeyValue {
  readonly name: string;
}

/** lastval() says of no sequence which it was. */
export const LAST_VALUE = '\u0000lastval';

export const noKey: KeyValue = { space: null, fresh: false, uses: [] };

export interface Relation {
  readonly name: string;
  /** null: nobody knows. */
  readonly columns: readonly NamedValue[] | null;
  /** Reached by its name only, and no part of `*`. */
  readonly hidden?: boolean;
}

export type CommonTables = ReadonlyMap<string, readonly NamedValue[] | null>;

export interface Scope {
  readonly relations: Relation[];
  readonly outer: Scope | null;
  readonly tables: CommonTables;
}

export const openScope = (outer: Scope | null, tables: CommonTables): Scope => ({ relations: [], outer, tables });

export function tableColumns(table: KeyTable | null, fresh: boolean): readonly NamedValue[] | null {
  if (table === null) return null;
  return table.columns.map(({ name, space, generated }) => ({ name, space, fresh: fresh && generated, uses: [] }));
}

/** With the names that an alias gives the first of them. */
export function renamed(columns: readonly NamedValue[] | null, names: readonly string[]): readonly NamedValue[] | null {
  if (columns === null || names.length === 0) return columns;
  return columns.map((column, i) => ({ ...column, name: names[i] ?? column.name }));
}

/** The parts of a ColumnRef; null where one is `*`. */
export function fieldNames(reference: unknown): readonly string[] | null {
  const fields = fieldOf(reference, 'fields');
  if (!Array.isArray(fields)) return null;
  const names = fields.map((field) => textOf(fieldOf(field, 'String'), 'sval'));
  return names.includes('') ? null : names;
}

/** What a ColumnRef stands for. */
export function resolve(reference: unknown, scope: Scope): KeyValue {
  const names = fieldNames(reference);
  const column = names?.at(-1);
  if (names === null || column === undefined) return noKey;
  if (names.length > 1) return ofRelation(names.at(-2) as string, column, scope);
  for (let at: Scope | null = scope; at !== null; at = at.outer) {
    const found = at.relations.flatMap(({ columns, hidden }) =>
      hidden === true ? [] : (columns?.filter(({ name }) => name === column) ?? []),
    );
    const [first] = found;
    if (first !== undefined)
      return found.every(({ space }) => space === first.space)
        ? { ...first, uses: found.flatMap(({ uses }) => uses) }
        : noKey;
    if (at.relations.some(({ columns }) => columns === null)) return noKey;
  }
  return noKey;
}

function ofRelation(name: string, column: string, scope: Scope): KeyValue {
  for (let at: Scope | null = scope; at !== null; at = at.outer) {
    const relation = at.relations.find((each) => each.name === name);
    if (relation !== undefined) return relation.columns?.find((each) => each.name === column) ?? noKey;
  }
  return noKey;
}

/** `*` or `name.*`; null: not known. */
export function expanded(reference: unknown, scope: Scope): readonly NamedValue[] | null {
  const fields = fieldOf(reference, 'fields');
  const name = Array.isArray(fields) && fields.length > 1 ? textOf(fieldOf(fields.at(-2), 'String'), 'sval') : null;
  const columns: NamedValue[] = [];
  for (const relation of scope.relations) {
    if (name === null ? relation.hidden === true : relation.name !== name) continue;
    if (relation.columns === null) return null;
    columns.push(...relation.columns);
  }
  return columns;
}
