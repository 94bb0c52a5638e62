// Walks the expressions of a statement: what is compared with an id is one, and what an output column comes from.

import { fieldOf, nameParts, textOf } from '../tree.ts';
import { type KeyCatalog, type KeyTable, partsOf } from './key-catalog.ts';
import type { KeyUses } from './key-uses.ts';
import type { CommonTables, KeyValue, NamedValue, Scope } from './relations.ts';
import { expanded, LAST_VALUE, noKey, resolve } from './relations.ts';

/** Null: not known. */
export type Outputs = readonly NamedValue[] | null;

const MAX_DEPTH = 200;

const equality: ReadonlySet<string> = new Set(['=', '<>']);
const idTypes: ReadonlySet<string> = new Set(['int2', 'int4', 'int8', 'uuid']);

const comparing: ReadonlySet<string> = new Set([
  'AEXPR_OP',
  'AEXPR_IN',
  'AEXPR_OP_ANY',
  'AEXPR_OP_ALL',
  'AEXPR_DISTINCT',
  'AEXPR_NOT_DISTINCT',
]);

export abstract class ExpressionWalk {
  protected readonly catalog: KeyCatalog;
  protected readonly uses: KeyUses;
  #depth = 0;

  constructor(catalog: KeyCatalog, uses: KeyUses) {
    this.catalog = catalog;
    this.uses = uses;
  }

  abstract select(stmt: unknown, outer: Scope | null, tables: CommonTables): Outputs;
  abstract draws: string | null;

  protected enter(): void {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw new RangeError('a statement is nested too deeply');
  }

  protected leave(): void {
    this.#depth -= 1;
  }

  /** What an answer's column is, with its name. */
  protected named(node: unknown, fallback: string, scope: Scope): NamedValue {
    const fields = fieldOf(fieldOf(node, 'ColumnRef'), 'fields');
    const last = Array.isArray(fields) ? textOf(fieldOf(fields.at(-1), 'String'), 'sval') : '';
    const call = nameParts(fieldOf(node, 'FuncCall'), 'funcname').at(-1);
    return { ...this.value(node, scope), name: last || (call ?? fallback) };
  }

  protected targets(targets: readonly unknown[], scope: Scope): Outputs {
    const outputs: NamedValue[] = [];
    let known = true;
    for (const each of targets) {
      const target = fieldOf(each, 'ResTarget');
      const node = fieldOf(target, 'val');
      const fields = fieldOf(fieldOf(node, 'ColumnRef'), 'fields');
      if (Array.isArray(fields) && fieldOf(fields.at(-1), 'A_Star') !== undefined) {
        const columns = expanded(fieldOf(node, 'ColumnRef'), scope);
        known &&= columns !== null;
        outputs.push(...(columns ?? []));
        continue;
      }
      const output = this.named(node, '?column?', scope);
      outputs.push({ ...output, name: textOf(target, 'name') || output.name });
    }
    return known ? outputs : null;
  }

  /** SET column = value, … */
  protected assign(targets: readonly unknown[], table: KeyTable | null, scope: Scope): void {
    for (const each of targets) {
      const target = fieldOf(each, 'ResTarget');
      const space = table?.columns.find(({ name }) => name === textOf(target, 'name'))?.space ?? null;
      const { uses } = this.value(assigned(fieldOf(target, 'val')), scope);
      if (space !== null) this.uses.mark(uses, space);
    }
  }

  /** `list`: an array is wanted, of which the elements count. */
  protected value(node: unknown, scope: Scope, list = false): KeyValue {
    const [entry] = Object.entries((node ?? {}) as Record<string, unknown>);
    if (entry === undefined) return noKey;
    const [type, body] = entry;
    switch (type) {
      case 'ColumnRef':
        return resolve(body, scope);
      case 'ParamRef':
        return this.#use(body, Number(fieldOf(body, 'number') ?? 0), list);
      case 'A_Const':
        return this.#constant(body, list);
      case 'TypeCast':
        return this.#cast(body, scope, list);
      case 'A_ArrayExpr':
        return together(arrayOf(body, 'elements').map((element) => this.value(element, scope)));
      case 'FuncCall':
        return this.#call(node, body, scope);
      case 'SubLink':
        return this.#subLink(body, scope);
      default:
        this.walk(node, scope);
        return noKey;
    }
  }

  /** What unnest(…) makes columns of; null: it is another function. */
  protected unnested(call: unknown, scope: Scope): readonly KeyValue[] | null {
    const body = fieldOf(call, 'FuncCall');
    if (nameParts(body, 'funcname').at(-1) !== 'unnest') return null;
    return arrayOf(body, 'args').map((argument) => this.value(argument, scope, true));
  }

  /** Everything in it that is no value of its own. */
  protected walk(node: unknown, scope: Scope): void {
    if (typeof node !== 'object' || node === null) return;
    this.enter();
    if (Array.isArray(node)) for (const item of node) this.walk(item, scope);
    else for (const [key, body] of Object.entries(node)) this.#step(key, body, scope);
    this.leave();
  }

  #step(key: string, body: unknown, scope: Scope): void {
    switch (key) {
      case 'A_Expr':
        this.#expression(body, scope);
        return;
      case 'NullTest': {
        const uses = this.value(fieldOf(body, 'arg'), scope).uses;
        for (const use of uses) use.neutral = true;
        return;
      }
      case 'ColumnRef':
        return;
      case 'ParamRef':
      case 'A_Const':
      case 'TypeCast':
      case 'A_ArrayExpr':
      case 'FuncCall':
      case 'SubLink':
        this.value({ [key]: body }, scope);
        return;
      case 'SelectStmt':
        this.select(body, scope, scope.tables);
        return;
      default:
        this.walk(body, scope);
    }
  }

  #expression(body: unknown, scope: Scope): void {
    const kind = textOf(body, 'kind') || 'AEXPR_OP';
    const [left, right] = [fieldOf(body, 'lexpr'), fieldOf(body, 'rexpr')];
    if (!comparing.has(kind) || !equality.has(nameParts(body, 'name').at(-1) ?? '')) {
      this.walk(left, scope);
      this.walk(right, scope);
      return;
    }
    const list = kind === 'AEXPR_OP_ANY' || kind === 'AEXPR_OP_ALL';
    if (kind === 'AEXPR_IN')
      for (const item of arrayOf(fieldOf(right, 'List'), 'items')) this.#match(left, item, scope, false);
    else this.#match(left, right, scope, list);
  }

  #match(left: unknown, right: unknown, scope: Scope, list: boolean): void {
    const [lefts, rights] = [rowOf(left), rowOf(right)];
    if (lefts !== null && rights !== null) {
      for (const [i, each] of lefts.entries()) this.#same(this.value(each, scope), this.value(rights[i], scope));
      return;
    }
    this.#same(this.value(left, scope), this.value(right, scope, list));
  }

  #same(a: KeyValue, b: KeyValue): void {
    if (a.space !== null && a.space !== LAST_VALUE) this.uses.mark(b.uses, a.space);
    if (b.space !== null && b.space !== LAST_VALUE) this.uses.mark(a.uses, b.space);
  }

  /** An id as another type is no id any more: its bytes say something else. */
  #cast(body: unknown, scope: Scope, list: boolean): KeyValue {
    const value = this.value(fieldOf(body, 'arg'), scope, list);
    const type = nameParts(fieldOf(body, 'typeName'), 'names').at(-1) ?? '';
    return idTypes.has(type) ? value : noKey;
  }

  #subLink(body: unknown, scope: Scope): KeyValue {
    const outputs = this.select(fieldOf(fieldOf(body, 'subselect'), 'SelectStmt'), scope, scope.tables);
    const test = fieldOf(body, 'testexpr');
    const kind = textOf(body, 'subLinkType');
    if (test === undefined) return kind === 'EXPR_SUBLINK' ? (outputs?.[0] ?? noKey) : noKey;
    const operator = nameParts(body, 'operName').at(-1) ?? '=';
    const tests = rowOf(test) ?? [test];
    tests.forEach((each, i) => {
      const value = this.value(each, scope);
      if (equality.has(operator)) this.#same(value, outputs?.[i] ?? noKey);
    });
    return noKey;
  }

  #call(node: unknown, body: unknown, scope: Scope): KeyValue {
    const parts = nameParts(body, 'funcname');
    const builtIn = parts.length === 1 || parts[0] === 'pg_catalog';
    const args = arrayOf(body, 'args');
    switch (builtIn ? parts.at(-1) : '') {
      case 'nextval':
      case 'currval': {
        const space = this.#sequenceOf(args[0]);
        if (space === null) break;
        if (parts.at(-1) === 'nextval') this.draws = space;
        return { space, fresh: true, uses: [] };
      }
      case 'lastval':
        return { space: LAST_VALUE, fresh: true, uses: [] };
      case 'unnest':
        if (args.length === 1) return this.unnested(node, scope)?.[0] ?? noKey;
        break;
      default:
    }
    this.walk(body, scope);
    return noKey;
  }

  /** 'name', 'name'::regclass or pg_get_serial_sequence('table', 'column'). */
  #sequenceOf(argument: unknown): string | null {
    const cast = fieldOf(argument, 'TypeCast');
    if (cast !== undefined) return this.#sequenceOf(fieldOf(cast, 'arg'));
    const call = fieldOf(argument, 'FuncCall');
    if (nameParts(call, 'funcname').at(-1) === 'pg_get_serial_sequence') {
      const [table, column] = arrayOf(call, 'args').map(textOfConstant);
      return table === undefined || column === undefined ? null : this.catalog.column(table, column);
    }
    const parts = partsOf(textOfConstant(argument));
    const name = parts.at(-1);
    return name === undefined ? null : this.catalog.sequence(parts.length > 1 ? (parts[0] as string) : '', name);
  }

  #constant(body: unknown, list: boolean): KeyValue {
    const quoted = fieldOf(fieldOf(body, 'sval'), 'sval');
    if (typeof quoted === 'string') return this.#use(body, 0, list, quoted, true);
    const big = textOf(fieldOf(body, 'fval'), 'fval');
    const whole = fieldOf(body, 'ival');
    if (whole === undefined && big === '') return noKey;
    return this.#use(body, 0, list, whole === undefined ? big : String(fieldOf(whole, 'ival') ?? 0), false);
  }

  #use(body: unknown, parameter: number, list: boolean, text = '', quoted = false): KeyValue {
    const use = this.uses.note(Number(fieldOf(body, 'location') ?? 0), parameter, text, quoted);
    use.list ||= list;
    return { space: null, fresh: false, uses: [use] };
  }
}

function arrayOf(node: unknown, key: string): readonly unknown[] {
  const list = fieldOf(node, key);
  return Array.isArray(list) ? list : [];
}

const rowOf = (node: unknown): readonly unknown[] | null => {
  const row = fieldOf(node, 'RowExpr');
  return row === undefined ? null : arrayOf(row, 'args');
};

const textOfConstant = (node: unknown): string => textOf(fieldOf(fieldOf(node, 'A_Const'), 'sval'), 'sval');

const together = (values: readonly KeyValue[]): KeyValue => ({
  space: null,
  fresh: false,
  uses: values.flatMap(({ uses }) => uses),
});

/** Of (a, b) = (x, y): each its own part. */
function assigned(node: unknown): unknown {
  const multiple = fieldOf(node, 'MultiAssignRef');
  if (multiple === undefined) return node;
  const row = rowOf(fieldOf(multiple, 'source'));
  return row === null ? fieldOf(multiple, 'source') : row[Number(fieldOf(multiple, 'colno') ?? 1) - 1];
}
