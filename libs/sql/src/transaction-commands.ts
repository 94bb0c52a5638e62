// What each statement of a text is to its transaction: begins it, ends it, cannot run in it, or leaves behind what no ROLLBACK takes back.
import { parseSync } from 'libpg-query';
import { fieldOf, nameParts, textOf } from './tree.ts';

export type TransactionCommandKind =
  | 'begin'
  | 'commit'
  | 'rollback'
  /** Refused by the server inside a transaction block, or ends it in a way of its own: VACUUM, PREPARE TRANSACTION, … AND CHAIN. */
  | 'outside'
  /** Runs inside, and stays when the transaction is rolled back: setval(). */
  | 'lasting'
  | 'inside';

export interface TransactionCommand {
  readonly kind: TransactionCommandKind;
  /** What it is, for people: `VACUUM`, `COMMIT AND CHAIN`. Never a value. */
  readonly name: string;
  /** Where it begins in the text, in UTF-8 bytes. */
  readonly startByte: number;
}

const outsideStatements: Readonly<Record<string, string>> = {
  VacuumStmt: 'VACUUM',
  CreatedbStmt: 'CREATE DATABASE',
  DropdbStmt: 'DROP DATABASE',
  CreateTableSpaceStmt: 'CREATE TABLESPACE',
  DropTableSpaceStmt: 'DROP TABLESPACE',
  AlterSystemStmt: 'ALTER SYSTEM',
  CreateSubscriptionStmt: 'CREATE SUBSCRIPTION',
  AlterSubscriptionStmt: 'ALTER SUBSCRIPTION',
  DropSubscriptionStmt: 'DROP SUBSCRIPTION',
};

const transactionKinds: Readonly<Record<string, readonly [TransactionCommandKind, string]>> = {
  TRANS_STMT_BEGIN: ['begin', 'BEGIN'],
  TRANS_STMT_START: ['begin', 'START TRANSACTION'],
  TRANS_STMT_COMMIT: ['commit', 'COMMIT'],
  TRANS_STMT_ROLLBACK: ['rollback', 'ROLLBACK'],
  TRANS_STMT_PREPARE: ['outside', 'PREPARE TRANSACTION'],
  TRANS_STMT_COMMIT_PREPARED: ['outside', 'COMMIT PREPARED'],
  TRANS_STMT_ROLLBACK_PREPARED: ['outside', 'ROLLBACK PREPARED'],
};

const MAX_DEPTH = 200;

/** null: the text does not parse. createSqlAnalyzer() has to have loaded the parser. */
export function transactionCommands(sql: string): readonly TransactionCommand[] | null {
  let tree: unknown;
  try {
    tree = parseSync(sql);
  } catch {
    return null;
  }
  const statements = fieldOf(tree, 'stmts');
  if (!Array.isArray(statements)) return [];
  return statements.map((raw) => {
    const [kind, name] = commandOf(fieldOf(raw, 'stmt'));
    const at = fieldOf(raw, 'stmt_location');
    return { kind, name, startByte: typeof at === 'number' ? at : 0 };
  });
}

/** Words of a text that does not parse, by which its transaction might end. Errs on the side of caution. */
export const mayEndTransaction = (sql: string): boolean =>
  /\b(?:commit|end|abort|rollback|prepare\s+transaction)\b/i.test(sql);

function commandOf(statement: unknown): readonly [TransactionCommandKind, string] {
  const type = Object.keys(typeof statement === 'object' && statement !== null ? statement : {})[0] ?? '';
  const body = fieldOf(statement, type);
  const outside = outsideStatements[type];
  if (type === 'VacuumStmt' && fieldOf(body, 'is_vacuumcmd') !== true) return ['inside', 'ANALYZE'];
  if (outside !== undefined) return ['outside', outside];
  if (type === 'TransactionStmt') {
    const [kind, name] = transactionKinds[textOf(body, 'kind')] ?? ['inside', 'SAVEPOINT'];
    return fieldOf(body, 'chain') === true ? ['outside', `${name} AND CHAIN`] : [kind, name];
  }
  if (type === 'DiscardStmt' && textOf(body, 'target') === 'DISCARD_ALL') return ['outside', 'DISCARD ALL'];
  if (type === 'ClusterStmt' && fieldOf(body, 'relation') === undefined) return ['outside', 'CLUSTER'];
  if (type === 'ReindexStmt' && /_(?:SCHEMA|SYSTEM|DATABASE)$/.test(textOf(body, 'kind')))
    return ['outside', 'REINDEX'];
  if (holds(body, isConcurrently, 0)) return ['outside', 'CONCURRENTLY'];
  return holds(body, isSetval, 0) ? ['lasting', 'setval()'] : ['inside', ''];
}

function holds(node: unknown, is: (key: string, value: unknown) => boolean, depth: number): boolean {
  if (typeof node !== 'object' || node === null || depth > MAX_DEPTH) return false;
  if (Array.isArray(node)) return node.some((item) => holds(item, is, depth + 1));
  return Object.entries(node).some(([key, value]) => is(key, value) || holds(value, is, depth + 1));
}

const isConcurrently = (key: string, value: unknown): boolean =>
  (key === 'concurrent' && value === true) || (key === 'DefElem' && textOf(value, 'defname') === 'concurrently');

const isSetval = (key: string, value: unknown): boolean =>
  (key === 'FuncCall' || key === 'funccall') && nameParts(value, 'funcname').at(-1) === 'setval';
