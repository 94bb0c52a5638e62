// Whether the answer of a statement depends on more than the data: the clock, chance, or the server it runs on.
import { fieldOf, nameParts, textOf } from './tree.ts';

/** What decides which rows come: `volatile`, the clock or chance; `serverSpecific`, the answer tells of the server itself. */
export type Predicate = 'none' | 'volatile' | 'serverSpecific';

export const volatileFunctions: ReadonlySet<string> = new Set([
  'now',
  'clock_timestamp',
  'statement_timestamp',
  'transaction_timestamp',
  'timeofday',
  'random',
  'random_normal',
  'gen_random_uuid',
  'gen_random_bytes',
  'uuid_generate_v1',
  'uuid_generate_v1mc',
  'uuid_generate_v4',
  'uuidv4',
  'uuidv7',
]);

export const serverFunctions: ReadonlySet<string> = new Set([
  'version',
  'pg_backend_pid',
  'pg_postmaster_start_time',
  'pg_conf_load_time',
  'inet_server_addr',
  'inet_server_port',
  'inet_client_addr',
  'inet_client_port',
  'txid_current',
  'txid_current_if_assigned',
  'txid_current_snapshot',
  'pg_current_xact_id',
  'pg_current_xact_id_if_assigned',
  'pg_current_snapshot',
  'pg_current_wal_lsn',
  'pg_current_wal_insert_lsn',
  'pg_current_wal_flush_lsn',
  'pg_current_logfile',
]);

const serverRelations =
  /^pg_(stat|statio)_|^pg_(locks|settings|prepared_xacts|cursors|replication_slots|file_settings)$/;

const clockValues =
  /^SVFOP_(CURRENT_DATE|CURRENT_TIME(_N)?|CURRENT_TIMESTAMP(_N)?|LOCALTIME(_N)?|LOCALTIMESTAMP(_N)?)$/;

/** Nodes below these keys decide what rows come back, not what they show. */
const predicateKeys: ReadonlySet<string> = new Set([
  'whereClause',
  'havingClause',
  'sortClause',
  'distinctClause',
  'limitCount',
  'limitOffset',
  'quals',
]);

const MAX_DEPTH = 200;

interface Found {
  predicate: Predicate;
}

/** Walks a statement of a parse tree as libpg_query gives it; `named`: what queries within it name, and what those columns depend on. */
export function predicateOf(statement: unknown, named: ReadonlyMap<string, string>): Predicate {
  const found: Found = { predicate: 'none' };
  walk(statement, false, 0, found, isWrite(statement) ? new Map() : named);
  return found.predicate;
}

export function isClockValue(node: unknown): boolean {
  return clockValues.test(textOf(node, 'op'));
}

/** The columns that it sets are volatile only after it. */
function isWrite(statement: unknown): boolean {
  return ['InsertStmt', 'UpdateStmt'].some((type) => fieldOf(statement, type) !== undefined);
}

function walk(
  node: unknown,
  inPredicate: boolean,
  depth: number,
  found: Found,
  named: ReadonlyMap<string, string>,
): void {
  if (typeof node !== 'object' || node === null || depth > MAX_DEPTH) return;
  if (Array.isArray(node)) {
    for (const item of node) walk(item, inPredicate, depth + 1, found, named);
    return;
  }
  for (const [key, value] of Object.entries(node)) {
    if (key === 'RangeVar' && serverRelations.test(textOf(value, 'relname'))) found.predicate = 'serverSpecific';
    if (inPredicate) note(key, value, found, named);
    walk(value, inPredicate || predicateKeys.has(key), depth + 1, found, named);
  }
}

function note(key: string, value: unknown, found: Found, named: ReadonlyMap<string, string>): void {
  if (found.predicate === 'serverSpecific') return;
  if (key === 'FuncCall') {
    const name = nameParts(value, 'funcname').at(-1) ?? '';
    if (serverFunctions.has(name)) found.predicate = 'serverSpecific';
    else if (volatileFunctions.has(name)) found.predicate = 'volatile';
  } else if (key === 'SQLValueFunction' && isClockValue(value)) found.predicate = 'volatile';
  else if (key === 'ColumnRef' && named.get(nameParts(value, 'fields').at(-1) ?? '') === 'volatile')
    found.predicate = 'volatile';
}
