// What a text of SQL does, as far as it says so: read, write, change the schema; to which tables; and what it leaves in its session.

import { fieldOf, nameParts, textOf } from './tree.ts';

/** `control`: begins and ends transactions, sets and prepares. `unknown`: may do anything. From the least to the most. */
export const statementKinds = ['control', 'reads', 'unknown', 'writes', 'ddl'] as const;
export type StatementKind = (typeof statementKinds)[number];

export interface StatementFacts {
  /** Of several statements the one that does the most. */
  readonly kind: StatementKind;
  /** `table` or `schema.table`, as the parser has them: lower case unless quoted. Without the names of WITH. */
  readonly tables: readonly string[];
  /** Leaves nothing in its session but settings and prepared statements. */
  readonly harmless: boolean;
  /** PREPARE: what its name stands for. */
  readonly prepares: readonly { readonly name: string; readonly facts: StatementFacts }[];
  /** EXECUTE: what it does, only the statement of that name says. */
  readonly executes: readonly string[];
}

export const unknownStatement: StatementFacts = {
  kind: 'unknown',
  tables: [],
  harmless: false,
  prepares: [],
  executes: [],
};

export function strongerKind(a: StatementKind, b: StatementKind): StatementKind {
  return statementKinds.indexOf(a) >= statementKinds.indexOf(b) ? a : b;
}

type Node = Readonly<Record<string, unknown>>;

interface Found {
  kind: StatementKind;
  harmless: boolean;
  readonly tables: Set<string>;
  readonly withNames: Set<string>;
  readonly prepares: { readonly name: string; readonly facts: StatementFacts }[];
  readonly executes: string[];
}

const MAX_DEPTH = 200;
/** CURSOR_OPT_HOLD, nodes/parsenodes.h. */
const CURSOR_OPT_HOLD = 0x20;

const controlStatements: ReadonlySet<string> = new Set([
  'VariableSetStmt',
  'DeallocateStmt',
  'ConstraintsSetStmt',
  'ClosePortalStmt',
  'LockStmt',
  'CheckPointStmt',
]);
const writingStatements: ReadonlySet<string> = new Set([
  'InsertStmt',
  'UpdateStmt',
  'DeleteStmt',
  'MergeStmt',
  'TruncateStmt',
  'NotifyStmt',
]);
const twoPhase = /^TRANS_STMT_(PREPARE|COMMIT_PREPARED|ROLLBACK_PREPARED)$/;

/** Of a parse tree as libpg_query gives it. `readingFunctions`: those that are known to write nothing. */
export function statementFacts(tree: unknown, readingFunctions: ReadonlySet<string>): StatementFacts {
  const found: Found = {
    kind: 'control',
    harmless: true,
    tables: new Set(),
    withNames: new Set(),
    prepares: [],
    executes: [],
  };
  const statements = fieldOf(tree, 'stmts');
  for (const each of Array.isArray(statements) ? statements : [])
    noteStatement(fieldOf(each, 'stmt'), found, readingFunctions);
  return factsOf(found);
}

function factsOf({ kind, harmless, tables, withNames, prepares, executes }: Found): StatementFacts {
  return {
    kind,
    tables: [...tables].filter((name) => !withNames.has(name)),
    harmless,
    prepares,
    executes,
  };
}

function noteStatement(node: unknown, found: Found, functions: ReadonlySet<string>): void {
  const [entry] = Object.entries((node ?? {}) as Node);
  if (entry === undefined) return;
  const [type, body] = entry;
  if (type === 'PrepareStmt') {
    const inner: Found = {
      ...found,
      kind: 'control',
      tables: new Set(),
      withNames: new Set(),
      prepares: [],
      executes: [],
    };
    noteStatement(fieldOf(body, 'query'), inner, functions);
    found.prepares.push({ name: textOf(body, 'name'), facts: factsOf(inner) });
    return;
  }
  note(statementKind(type, body), found);
  if (!leavesNothing(type, body)) found.harmless = false;
  if (type === 'ExecuteStmt') found.executes.push(textOf(body, 'name'));
  if (type === 'ExplainStmt' && !isAnalyze(body)) {
    // What is only planned does nothing.
    walk(body, 0, { ...found, kind: 'control' }, functions);
    return;
  }
  if (type === 'DropStmt') noteDropped(body, found);
  walk(node, 0, found, functions);
}

function note(kind: StatementKind, found: Found): void {
  found.kind = strongerKind(found.kind, kind);
}

function statementKind(type: string, body: unknown): StatementKind {
  if (controlStatements.has(type)) return 'control';
  if (writingStatements.has(type)) return 'writes';
  switch (type) {
    case 'TransactionStmt':
      return twoPhase.test(textOf(body, 'kind')) ? 'writes' : 'control';
    case 'DiscardStmt':
    case 'ListenStmt':
    case 'UnlistenStmt':
    case 'ExecuteStmt':
      return 'control';
    case 'SelectStmt':
    case 'VariableShowStmt':
    case 'ExplainStmt':
    case 'DeclareCursorStmt':
    case 'FetchStmt':
      return 'reads';
    case 'CopyStmt': {
      const toServer = fieldOf(body, 'filename') !== undefined || fieldOf(body, 'is_program') === true;
      return fieldOf(body, 'is_from') === true || toServer ? 'writes' : 'reads';
    }
    case 'CallStmt':
    case 'DoStmt':
      return 'unknown';
    default:
      return isTemporary(body) ? 'writes' : 'ddl';
  }
}

/** What it makes is its session's own, and no part of the schema. */
function isTemporary(body: unknown): boolean {
  const made = [
    fieldOf(body, 'relation'),
    fieldOf(fieldOf(body, 'into'), 'rel'),
    fieldOf(body, 'view'),
    fieldOf(body, 'sequence'),
  ];
  return made.some((relation) => textOf(relation, 'relpersistence') === 't');
}

/** Beside tables that are temporary and functions that are called, which are found on the way. */
function leavesNothing(type: string, body: unknown): boolean {
  switch (type) {
    case 'DeclareCursorStmt':
      return (Number(fieldOf(body, 'options') ?? 0) & CURSOR_OPT_HOLD) === 0;
    case 'FetchStmt': // it may move a cursor that outlives the transaction
    case 'ClosePortalStmt':
    case 'DiscardStmt':
    case 'ListenStmt':
    case 'UnlistenStmt':
    case 'DropStmt':
    case 'CallStmt':
    case 'DoStmt':
      return false;
    default:
      return true;
  }
}

function walk(node: unknown, depth: number, found: Found, functions: ReadonlySet<string>): void {
  if (typeof node !== 'object' || node === null) return;
  if (depth > MAX_DEPTH) {
    note('unknown', found);
    found.harmless = false;
    return;
  }
  if (Array.isArray(node)) {
    for (const item of node) walk(item, depth + 1, found, functions);
    return;
  }
  if (typeof (node as Node)['relname'] === 'string') noteTable(node as Node, found);
  for (const [key, value] of Object.entries(node)) {
    if (key === 'FuncCall') noteFunction(value, found, functions);
    else if (key === 'CommonTableExpr') found.withNames.add(textOf(value, 'ctename'));
    else if (key === 'intoClause')
      note(textOf(fieldOf(value, 'rel'), 'relpersistence') === 't' ? 'writes' : 'ddl', found);
    else if (key === 'lockingClause' || writingStatements.has(key)) note('writes', found);
    walk(value, depth + 1, found, functions);
  }
}

function noteTable(node: Node, found: Found): void {
  const schema = textOf(node, 'schemaname');
  const name = textOf(node, 'relname');
  found.tables.add(schema === '' ? name : `${schema}.${name}`);
  if (node['relpersistence'] === 't' || schema === 'pg_temp') found.harmless = false;
}

function noteDropped(body: unknown, found: Found): void {
  if (!/^OBJECT_(TABLE|VIEW|MATVIEW|FOREIGN_TABLE|SEQUENCE)$/.test(textOf(body, 'removeType'))) return;
  const objects = fieldOf(body, 'objects');
  for (const object of Array.isArray(objects) ? objects : []) {
    found.tables.add(nameParts(fieldOf(object, 'List'), 'items').join('.'));
  }
}

function noteFunction(call: unknown, found: Found, functions: ReadonlySet<string>): void {
  const parts = nameParts(call, 'funcname');
  const known = functions.has(parts.at(-1) ?? '') && (parts.length === 1 || parts[0] === 'pg_catalog');
  // Capture does not know of every way to call it what it set. For the transaction alone it leaves nothing.
  if (parts.at(-1) === 'set_config' && !isTrue(fieldOf(call, 'args'), 2)) found.harmless = false;
  if (known) return;
  note('unknown', found);
  found.harmless = false;
}

function isTrue(list: unknown, at: number): boolean {
  const argument = Array.isArray(list) ? fieldOf(list[at], 'A_Const') : undefined;
  return fieldOf(fieldOf(argument, 'boolval'), 'boolval') === true;
}

function isAnalyze(body: unknown): boolean {
  const options = fieldOf(body, 'options');
  return (Array.isArray(options) ? options : []).some((option) => {
    const definition = fieldOf(option, 'DefElem');
    if (textOf(definition, 'defname') !== 'analyze') return false;
    const argument = textOf(fieldOf(fieldOf(definition, 'arg'), 'String'), 'sval').toLowerCase();
    return !['off', 'false', '0'].includes(argument);
  });
}
