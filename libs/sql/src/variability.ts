// Whether the answer of a statement depends on more than the data: the clock, chance, or the server it runs on.
import { fieldOf, nameParts, textOf } from './tree.ts';

/**
 * `volatileTarget`: only in what is returned, so values differ and nothing else. `volatile`: elsewhere too (a condition, an order), so
 * which rows are returned can differ. `serverSpecific`: tells of the server itself.
 */
export type Variability = 'none' | 'volatileTarget' | 'volatile' | 'serverSpecific';

const volatileFunctions: ReadonlySet<string> = new Set([
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

const serverFunctions: ReadonlySet<string> = new Set([
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
  target: boolean;
  predicate: boolean;
  server: boolean;
}

/** Walks a parse tree as libpg_query gives it (one object per node, keyed by the node's type). */
export function variabilityOf(tree: unknown): Variability {
  const found: Found = { target: false, predicate: false, server: false };
  walk(tree, false, 0, found);
  if (found.server) return 'serverSpecific';
  if (found.predicate) return 'volatile';
  return found.target ? 'volatileTarget' : 'none';
}

function walk(node: unknown, inPredicate: boolean, depth: number, found: Found): void {
  if (typeof node !== 'object' || node === null || depth > MAX_DEPTH) return;
  if (Array.isArray(node)) {
    for (const item of node) walk(item, inPredicate, depth + 1, found);
    return;
  }
  for (const [key, value] of Object.entries(node)) {
    if (key === 'FuncCall') noteFunction(nameParts(value, 'funcname').at(-1) ?? '', inPredicate, found);
    else if (key === 'SQLValueFunction' && clockValues.test(textOf(value, 'op'))) noteVolatile(inPredicate, found);
    else if (key === 'RangeVar' && serverRelations.test(textOf(value, 'relname'))) found.server = true;
    if (key === 'InsertStmt' || key === 'UpdateStmt' || key === 'DeleteStmt' || key === 'MergeStmt')
      walkWrite(value, depth, found);
    else walk(value, inPredicate || predicateKeys.has(key), depth + 1, found);
  }
}

/** What a write stores is not its answer: only RETURNING is, and the condition that chooses the rows. */
function walkWrite(node: unknown, depth: number, found: Found): void {
  walk(fieldOf(node, 'returningClause'), false, depth + 1, found);
  walk(fieldOf(node, 'returningList'), false, depth + 1, found);
  walk(fieldOf(node, 'whereClause'), true, depth + 1, found);
}

function noteFunction(name: string, inPredicate: boolean, found: Found): void {
  if (serverFunctions.has(name)) found.server = true;
  else if (volatileFunctions.has(name)) noteVolatile(inPredicate, found);
}

function noteVolatile(inPredicate: boolean, found: Found): void {
  if (inPredicate) found.predicate = true;
  else found.target = true;
}
