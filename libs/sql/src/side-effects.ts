// What a statement does outside the tables of its database: reaches other servers, files, programs, other sessions, or the whole cluster.
// Such a statement must not run a second time on a mirror unless somebody has said so.
//
// Found by the parser, in every part of a statement, PREPARE and EXPLAIN included. The bodies of DO blocks, and what the parser rejects,
// are looked through word by word. What only a catalogue could tell stays unseen: a function of one's own or a trigger that calls one of
// these, a table that is a foreign one, SQL put together at run time.
import type { SideEffect } from '@mirrorstream/domain';
import { fieldOf, nameParts, textOf } from './tree.ts';

const statements: Readonly<Record<string, SideEffect>> = {
  NotifyStmt: 'notify',
  CreateSubscriptionStmt: 'subscription',
  AlterSubscriptionStmt: 'subscription',
  DropSubscriptionStmt: 'subscription',
  CreateFdwStmt: 'foreignServer',
  AlterFdwStmt: 'foreignServer',
  CreateForeignServerStmt: 'foreignServer',
  AlterForeignServerStmt: 'foreignServer',
  CreateForeignTableStmt: 'foreignServer',
  ImportForeignSchemaStmt: 'foreignServer',
  CreateUserMappingStmt: 'foreignServer',
  AlterUserMappingStmt: 'foreignServer',
  DropUserMappingStmt: 'foreignServer',
  CreateRoleStmt: 'role',
  AlterRoleStmt: 'role',
  AlterRoleSetStmt: 'role',
  DropRoleStmt: 'role',
  GrantRoleStmt: 'role',
  AlterSystemStmt: 'serverSetting',
  LoadStmt: 'serverControl',
  CheckPointStmt: 'serverControl',
  CreatedbStmt: 'cluster',
  DropdbStmt: 'cluster',
  AlterDatabaseStmt: 'cluster',
  AlterDatabaseSetStmt: 'cluster',
  AlterDatabaseRefreshCollStmt: 'cluster',
  CreateTableSpaceStmt: 'cluster',
  DropTableSpaceStmt: 'cluster',
  AlterTableSpaceOptionsStmt: 'cluster',
};

/** DROP, RENAME and OWNER TO say in a field what they are about. */
const objects: Readonly<Record<string, SideEffect>> = {
  OBJECT_SUBSCRIPTION: 'subscription',
  OBJECT_FDW: 'foreignServer',
  OBJECT_FOREIGN_SERVER: 'foreignServer',
  OBJECT_FOREIGN_TABLE: 'foreignServer',
  OBJECT_ROLE: 'role',
  OBJECT_DATABASE: 'cluster',
  OBJECT_TABLESPACE: 'cluster',
};
const objectFields: Readonly<Record<string, string>> = {
  DropStmt: 'removeType',
  RenameStmt: 'renameType',
  AlterOwnerStmt: 'objectType',
  CommentStmt: 'objtype',
  SecLabelStmt: 'objtype',
};

/** By the function's own name, whatever its schema: extensions may be installed anywhere. */
const functions: readonly (readonly [RegExp, SideEffect])[] = [
  [/^dblink(_|$)/, 'remoteDatabase'],
  [/^(http|http_(get|post|put|patch|delete|head))$/, 'http'],
  [/^pg_notify$/, 'notify'],
  [/^(lo_import|lo_export|pg_file_(write|rename|unlink|sync))$/, 'serverFile'],
  [/^pg_(create|drop|copy)_(logical|physical)_replication_slot$/, 'subscription'],
  [/^pg_drop_replication_slot$|^pg_replication_(slot_advance|origin_\w+)$/, 'subscription'],
  [/^pg_logical_(emit_message|slot_get_\w+)$|^pg_sync_replication_slots$/, 'subscription'],
  [/^pg_(reload_conf|rotate_logfile(_old)?)$/, 'serverSetting'],
  [/^pg_(terminate_backend|cancel_backend|promote|switch_wal|create_restore_point)$/, 'serverControl'],
  [/^pg_(backup_start|backup_stop|wal_replay_(pause|resume)|log_backend_memory_contexts)$/, 'serverControl'],
];
/** All functions of these schemas. */
const schemas: Readonly<Record<string, SideEffect>> = {
  cron: 'scheduledJob',
  pgagent: 'scheduledJob',
  net: 'http',
  aws_s3: 'http',
  aws_lambda: 'http',
};
/** Without a schema these are found by their own names. */
const jobFunctions = /^(add|delete|alter|run)_job$/;

/**
 * Nearly every text has none of these words, and so none of these effects: it need not be parsed. Quoted and escaped names included.
 * Words may follow upon anything: in the bytes of a request a text stands right behind its length.
 */
const suspicious =
  /(?:copy|do|notify|create|alter|drop|grant|revoke|import|comment|label|load|checkpoint|net|_job)\b|dblink|http|lo_import|lo_export|pg_file_|replication|pg_logical|cron|pgagent|aws_s3|aws_lambda|pg_(?:reload|rotate|terminate|cancel|promote|switch|create_restore|backup|wal_replay|log_backend)|u&"/i;

export const mayHaveSideEffects = (sql: string): boolean => suspicious.test(sql);

const MAX_DEPTH = 200;

/** Of a parse tree. */
export function sideEffectsIn(tree: unknown): ReadonlySet<SideEffect> {
  const found = new Set<SideEffect>();
  walk(tree, 0, found);
  return found;
}

/** Of a text that has no tree: what its words say. Errs on the side of caution. */
export function sideEffectsOfWords(sql: string, found = new Set<SideEffect>()): ReadonlySet<SideEffect> {
  for (const [, schema, name] of sql.matchAll(/(?:\b(\w+)"?\s*\.\s*"?)?\b(\w+)"?\s*\(/g))
    noteFunction((schema ?? '').toLowerCase(), (name ?? '').toLowerCase(), found);
  for (const [pattern, effect] of phrases) if (pattern.test(sql)) found.add(effect);
  return found;
}

const phrases: readonly (readonly [RegExp, SideEffect])[] = [
  [/\bcopy\b[\s\S]*\b(?:to|from)\s+program\b/i, 'program'],
  [/\bcopy\b[\s\S]*\b(?:to|from)\s+e?'/i, 'serverFile'],
  [/(?:^|;|\b(?:begin|then|else|loop))\s*notify\s/i, 'notify'],
  [/\b(?:create|alter|drop)\s+subscription\b/i, 'subscription'],
  [/\b(?:create|alter|drop)\s+(?:server|foreign|user\s+mapping)\b|\bimport\s+foreign\s+schema\b/i, 'foreignServer'],
  [/\b(?:create|alter|drop)\s+(?:role|group|user)\b(?!\s+mapping)/i, 'role'],
  [/\balter\s+system\b/i, 'serverSetting'],
  [/\b(?:create|alter|drop)\s+(?:database|tablespace)\b/i, 'cluster'],
];

function walk(node: unknown, depth: number, found: Set<SideEffect>): void {
  if (typeof node !== 'object' || node === null || depth > MAX_DEPTH) return;
  if (Array.isArray(node)) {
    for (const item of node) walk(item, depth + 1, found);
    return;
  }
  for (const [key, value] of Object.entries(node)) {
    note(key, value, found);
    walk(value, depth + 1, found);
  }
}

function note(key: string, value: unknown, found: Set<SideEffect>): void {
  const effect = statements[key] ?? objects[textOf(value, objectFields[key] ?? '')];
  if (effect !== undefined) found.add(effect);
  if (key === 'FuncCall' || key === 'funccall') {
    const parts = nameParts(value, 'funcname');
    noteFunction(parts.at(-2) ?? '', parts.at(-1) ?? '', found);
  } else if (key === 'CopyStmt') noteCopy(value, found);
  else if (key === 'DoStmt') noteBlock(value, found);
}

function noteFunction(schema: string, name: string, found: Set<SideEffect>): void {
  const bySchema = schemas[schema];
  if (bySchema !== undefined) found.add(bySchema);
  if (jobFunctions.test(name)) found.add('scheduledJob');
  for (const [pattern, effect] of functions) if (pattern.test(name)) found.add(effect);
}

function noteCopy(statement: unknown, found: Set<SideEffect>): void {
  if (fieldOf(statement, 'is_program') === true) found.add('program');
  else if (textOf(statement, 'filename') !== '') found.add('serverFile');
}

/** Its body is a text in a language of its own. */
function noteBlock(statement: unknown, found: Set<SideEffect>): void {
  const args = fieldOf(statement, 'args');
  if (!Array.isArray(args)) return;
  for (const argument of args) {
    const element = fieldOf(argument, 'DefElem');
    if (textOf(element, 'defname') === 'as')
      sideEffectsOfWords(textOf(fieldOf(fieldOf(element, 'arg'), 'String'), 'sval'), found);
  }
}
