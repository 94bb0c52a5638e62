// Walks one statement of a parse tree: which relations it reads, what it puts into which column, what its answer's columns are.
import { fieldOf, textOf } from '../tree.ts';
import { ExpressionWalk, type Outputs } from './expression-walk.ts';
import type { KeyTable } from './key-catalog.ts';
import {
  type CommonTables,
  type NamedValue,
  openScope,
  type Relation,
  renamed,
  type Scope,
  tableColumns,
} from './relations.ts';

type Space = string | null;

const listOf = (node: unknown, key: string): readonly unknown[] => {
  const list = fieldOf(node, key);
  return Array.isArray(list) ? list : [];
};
const aliasNames = (node: unknown, key = 'colnames'): string[] =>
  listOf(node, key).map((name) => textOf(fieldOf(name, 'String'), 'sval'));

export class StatementWalk extends ExpressionWalk {
  /** The outermost ORDER BY is by an id, among others. */
  sortedByKey = false;
  draws: Space = null;
  /** Of the select that was walked last. */
  #lastScope: Scope | null = null;

  /** What its answer's columns are; null: not known, or there is no answer. */
  statement(node: unknown, outer: Scope | null = null, tables: CommonTables = new Map()): Outputs {
    const [entry] = Object.entries((node ?? {}) as Record<string, unknown>);
    if (entry === undefined) return null;
    const [type, body] = entry;
    switch (type) {
      case 'SelectStmt': {
        const outputs = this.select(body, outer, tables);
        if (outer === null && tables.size === 0) this.sortedByKey = this.#isSortedByKey(body, outputs);
        return outputs;
      }
      case 'InsertStmt':
        return this.#insert(body, outer, tables);
      case 'UpdateStmt':
      case 'DeleteStmt':
        return this.#change(body, outer, tables);
      case 'MergeStmt':
        return this.#merge(body, outer, tables);
      case 'ExplainStmt':
      case 'DeclareCursorStmt':
      case 'CopyStmt':
      case 'CreateTableAsStmt':
        this.statement(fieldOf(body, 'query'), openScope(null, tables), tables);
        return null;
      default:
        return null;
    }
  }

  /** `into`: the spaces of the columns that its rows are put into. */
  override select(stmt: unknown, outer: Scope | null, tables: CommonTables, into: readonly Space[] = []): Outputs {
    this.enter();
    const known = this.#withTables(stmt, outer, tables);
    const scope = openScope(outer, known);
    const outputs = this.#body(stmt, scope, outer, known);
    for (const key of ['sortClause', 'limitCount', 'limitOffset']) this.walk(fieldOf(stmt, key), scope);
    outputs?.forEach(({ uses }, i) => {
      const space = into[i];
      if (space !== undefined && space !== null) this.uses.mark(uses, space);
    });
    this.#lastScope = scope;
    this.leave();
    return outputs;
  }

  #body(stmt: unknown, scope: Scope, outer: Scope | null, known: CommonTables): Outputs {
    if (textOf(stmt, 'op') !== '' && textOf(stmt, 'op') !== 'SETOP_NONE')
      return merged(this.select(fieldOf(stmt, 'larg'), outer, known), this.select(fieldOf(stmt, 'rarg'), outer, known));
    const values = listOf(stmt, 'valuesLists');
    if (values.length > 0)
      return values
        .map((row) => listOf(fieldOf(row, 'List'), 'items').map((item, i) => this.named(item, `column${i + 1}`, scope)))
        .reduce<Outputs>((all, row) => (all === null ? row : merged(all, row)), null);
    for (const item of listOf(stmt, 'fromClause')) this.#from(item, scope);
    const outputs = this.targets(listOf(stmt, 'targetList'), scope);
    for (const key of ['whereClause', 'groupClause', 'havingClause', 'windowClause', 'distinctClause'])
      this.walk(fieldOf(stmt, key), scope);
    return outputs;
  }

  #withTables(stmt: unknown, outer: Scope | null, tables: CommonTables): CommonTables {
    const clause = fieldOf(stmt, 'withClause');
    if (clause === undefined) return tables;
    const known = new Map(tables);
    for (const each of listOf(clause, 'ctes')) {
      const table = fieldOf(each, 'CommonTableExpr');
      const name = textOf(table, 'ctename');
      const names = aliasNames(table, 'aliascolnames');
      const query = fieldOf(table, 'ctequery');
      if (fieldOf(clause, 'recursive') === true) {
        known.set(name, null);
        const first = fieldOf(fieldOf(query, 'SelectStmt'), 'larg');
        if (first !== undefined) known.set(name, renamed(this.select(first, outer, known), names));
      }
      // A scope of its own around it: what it sorts by does not sort the statement.
      const outputs = this.statement(query, outer ?? openScope(null, known), known);
      known.set(name, renamed(outputs, names));
    }
    return known;
  }

  #isSortedByKey(stmt: unknown, outputs: Outputs): boolean {
    const scope = this.#lastScope;
    return listOf(stmt, 'sortClause').some((item) => {
      const node = fieldOf(fieldOf(item, 'SortBy'), 'node');
      const position = fieldOf(fieldOf(fieldOf(node, 'A_Const'), 'ival'), 'ival');
      if (typeof position === 'number') return (outputs?.[position - 1]?.space ?? null) !== null;
      const names = listOf(fieldOf(node, 'ColumnRef'), 'fields');
      const output = names.length === 1 ? textOf(fieldOf(names[0], 'String'), 'sval') : '';
      const named = outputs?.find(({ name }) => name === output);
      if (output !== '' && named !== undefined) return named.space !== null;
      return scope !== null && this.value(node, scope).space !== null;
    });
  }

  // FROM --------------------------------------------------------------------------------------------------------------

  #from(item: unknown, scope: Scope): void {
    const join = fieldOf(item, 'JoinExpr');
    if (join !== undefined) {
      const before = scope.relations.length;
      this.#from(fieldOf(join, 'larg'), scope);
      this.#from(fieldOf(join, 'rarg'), scope);
      this.walk(fieldOf(join, 'quals'), scope);
      this.#matchUsing(join, scope, before);
      const alias = textOf(fieldOf(join, 'alias'), 'aliasname');
      if (alias !== '') scope.relations.splice(before, Number.POSITIVE_INFINITY, { name: alias, columns: null });
      return;
    }
    scope.relations.push(this.#relation(item, scope));
  }

  /** USING and NATURAL compare columns of one name. */
  #matchUsing(join: unknown, scope: Scope, before: number): void {
    for (const name of aliasNames(join, 'usingClause')) {
      const columns = scope.relations
        .slice(before)
        .flatMap((relation) => relation.columns?.filter((column) => column.name === name) ?? []);
      const space = columns.find((column) => column.space !== null)?.space;
      if (space != null) for (const { uses } of columns) this.uses.mark(uses, space);
    }
  }

  #relation(item: unknown, scope: Scope): Relation {
    const range = fieldOf(item, 'RangeVar');
    if (range !== undefined) return this.#tableRelation(range, scope, false);
    const subselect = fieldOf(item, 'RangeSubselect');
    if (subselect !== undefined) {
      const alias = fieldOf(subselect, 'alias');
      // LATERAL sees what stands before it.
      const outputs = this.statement(fieldOf(subselect, 'subquery'), scope, scope.tables);
      return { name: textOf(alias, 'aliasname'), columns: renamed(outputs, aliasNames(alias)) };
    }
    return this.#functionRelation(fieldOf(item, 'RangeFunction'), item, scope);
  }

  #tableRelation(range: unknown, scope: Scope | null, fresh: boolean): Relation {
    const alias = fieldOf(range, 'alias');
    const [schema, table] = [textOf(range, 'schemaname'), textOf(range, 'relname')];
    const common = schema === '' && !fresh ? scope?.tables.get(table) : undefined;
    const columns = common === undefined ? tableColumns(this.catalog.table(schema, table), fresh) : common;
    return { name: textOf(alias, 'aliasname') || table, columns: renamed(columns, aliasNames(alias)) };
  }

  #functionRelation(range: unknown, item: unknown, scope: Scope): Relation {
    const alias = fieldOf(range, 'alias');
    const name = textOf(alias, 'aliasname');
    const functions = listOf(range, 'functions');
    const call = functions.length === 1 ? listOf(fieldOf(functions[0], 'List'), 'items')[0] : undefined;
    const elements = call === undefined ? null : this.unnested(call, scope);
    if (elements === null) {
      this.walk(range ?? item, scope);
      return { name: name || 'unnest', columns: null };
    }
    const names = aliasNames(alias);
    const columns = elements.map((value, i): NamedValue => ({ ...value, name: names[i] ?? (name || 'unnest') }));
    if (fieldOf(range, 'ordinality') === true)
      columns.push({ name: names[elements.length] ?? 'ordinality', space: null, fresh: false, uses: [] });
    return { name: name || 'unnest', columns };
  }

  // INSERT, UPDATE, DELETE, MERGE -----------------------------------------------------------------------------------

  #insert(stmt: unknown, outer: Scope | null, tables: CommonTables): Outputs {
    const known = this.#withTables(stmt, outer, tables);
    const range = fieldOf(stmt, 'relation');
    const table = this.catalog.table(textOf(range, 'schemaname'), textOf(range, 'relname'));
    const target = this.#tableRelation(range, null, true);
    const named = aliasNamesOfTargets(listOf(stmt, 'cols'));
    const names = named.length > 0 ? named : (table?.columns.map(({ name }) => name) ?? []);
    const spaces = names.map((name) => table?.columns.find((column) => column.name === name)?.space ?? null);
    const select = fieldOf(fieldOf(stmt, 'selectStmt'), 'SelectStmt');
    if (select !== undefined) this.select(select, outer, known, spaces);
    this.#noteDraws(table, names, select);
    const scope = openScope(outer, known);
    scope.relations.push(target, { name: 'excluded', columns: tableColumns(table, false), hidden: true });
    const conflict = fieldOf(stmt, 'onConflictClause');
    this.assign(listOf(conflict, 'targetList'), table, scope);
    this.walk(fieldOf(conflict, 'whereClause'), scope);
    return this.#returning(stmt, scope);
  }

  /** Which sequence lastval() is of afterwards. */
  #noteDraws(table: KeyTable | null, names: readonly string[], select: unknown): void {
    const rows = listOf(select, 'valuesLists');
    for (const { name, space, generated } of table?.columns ?? []) {
      if (!generated) continue;
      const at = names.indexOf(name);
      const isDefault = (row: unknown): boolean =>
        fieldOf(listOf(fieldOf(row, 'List'), 'items')[at], 'SetToDefault') !== undefined;
      if (at < 0 || rows.some(isDefault)) this.draws = space;
    }
  }

  #change(stmt: unknown, outer: Scope | null, tables: CommonTables): Outputs {
    const known = this.#withTables(stmt, outer, tables);
    const range = fieldOf(stmt, 'relation');
    const scope = openScope(outer, known);
    scope.relations.push(this.#tableRelation(range, null, false));
    for (const item of [...listOf(stmt, 'fromClause'), ...listOf(stmt, 'usingClause')]) this.#from(item, scope);
    const table = this.catalog.table(textOf(range, 'schemaname'), textOf(range, 'relname'));
    this.assign(listOf(stmt, 'targetList'), table, scope);
    this.walk(fieldOf(stmt, 'whereClause'), scope);
    return this.#returning(stmt, scope);
  }

  #merge(stmt: unknown, outer: Scope | null, tables: CommonTables): Outputs {
    const known = this.#withTables(stmt, outer, tables);
    const range = fieldOf(stmt, 'relation');
    const table = this.catalog.table(textOf(range, 'schemaname'), textOf(range, 'relname'));
    const scope = openScope(outer, known);
    this.#from(fieldOf(stmt, 'sourceRelation'), scope);
    // The answer may be of rows that were there: which, the tag does not say.
    scope.relations.push(this.#tableRelation(range, null, false));
    this.walk(fieldOf(stmt, 'joinCondition'), scope);
    for (const each of listOf(stmt, 'mergeWhenClauses')) {
      const clause = fieldOf(each, 'MergeWhenClause');
      this.walk(fieldOf(clause, 'condition'), scope);
      const targets = listOf(clause, 'targetList');
      const values = listOf(clause, 'values');
      if (values.length === 0) this.assign(targets, table, scope);
      const named = aliasNamesOfTargets(targets);
      const names = named.length > 0 ? named : (table?.columns.map(({ name }) => name) ?? []);
      values.forEach((value, i) => {
        const space = table?.columns.find((column) => column.name === names[i])?.space ?? null;
        const { uses } = this.value(value, scope);
        if (space !== null) this.uses.mark(uses, space);
      });
    }
    return this.#returning(stmt, scope);
  }

  #returning(stmt: unknown, scope: Scope): Outputs {
    const clause = fieldOf(stmt, 'returningClause');
    const targets = clause === undefined ? listOf(stmt, 'returningList') : listOf(clause, 'exprs');
    return targets.length === 0 ? null : this.targets(targets, scope);
  }
}

const aliasNamesOfTargets = (targets: readonly unknown[]): string[] =>
  targets.map((target) => textOf(fieldOf(target, 'ResTarget'), 'name'));

/** Of two selects or rows: an id only where both say so; parameters and constants of both. */
function merged(a: Outputs, b: Outputs): Outputs {
  if (a === null || b === null) return null;
  return a.map((value, i) => {
    const other = b[i];
    const uses = [...value.uses, ...(other?.uses ?? [])];
    const same = value.space === (other?.space ?? null);
    return {
      name: value.name,
      space: same ? value.space : null,
      fresh: same && value.fresh && other?.fresh === true,
      uses,
    };
  });
}
