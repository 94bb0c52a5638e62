// What is to be copied: the tables of both sides, compared before anything is touched.
import { randomBytes } from 'node:crypto';
import { MirrorstreamError } from '@mirrorstream/domain';
import type { Client } from 'pg';

export interface Table {
  /** Quoted, with its schema. */
  readonly name: string;
  /** Quoted; generated ones are computed by the mirror. */
  readonly columns: readonly string[];
  readonly sizeBytes: number;
}

/** What a copy by tables leaves out. */
export interface LeftOut {
  readonly largeObjects: number;
  readonly foreignTables: readonly string[];
}

/** Ordinary tables and partitions, outside the system's schemas and not part of an extension. Largest first. */
export async function tablesOf(client: Client): Promise<readonly Table[]> {
  const { rows } = await client.query<{ name: string; columns: string[]; size: string }>(`
    SELECT format('%I.%I', n.nspname, c.relname) AS name, pg_relation_size(c.oid) AS size,
           coalesce(array_agg(quote_ident(a.attname) ORDER BY a.attnum) FILTER (WHERE a.attname IS NOT NULL), '{}') AS columns
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    WHERE c.relkind = 'r' AND c.relpersistence <> 't'
      AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'e')
    GROUP BY n.nspname, c.relname, c.oid
    ORDER BY size DESC, name`);
  return rows.map(({ name, columns, size }) => ({ name, columns, sizeBytes: Number(size) }));
}

export async function leftOutOf(client: Client): Promise<LeftOut> {
  const objects = await client.query<{ count: string }>('SELECT count(*) FROM pg_largeobject_metadata');
  const foreign = await client.query<{ name: string }>(
    "SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'f' ORDER BY 1",
  );
  return {
    largeObjects: Number(objects.rows[0]?.count),
    foreignTables: foreign.rows.map(({ name }) => name),
  };
}

const shown = (names: readonly string[]): string =>
  names.length <= 5 ? names.join(', ') : `${names.slice(0, 5).join(', ')} and ${names.length - 5} more`;

/** Throws `badInput` where the mirror has not the columns that are to be filled. */
export function checkSchemas(source: readonly Table[], mirror: readonly Table[]): void {
  const columns = new Map(mirror.map((table) => [table.name, new Set(table.columns)]));
  const missing = source.filter(({ name }) => !columns.has(name)).map(({ name }) => name);
  if (missing.length > 0) throw unlike(`the mirror has no table ${shown(missing)}`);
  const incomplete = source.flatMap((table) =>
    table.columns
      .filter((column) => columns.get(table.name)?.has(column) !== true)
      .map((column) => `${table.name}.${column}`),
  );
  if (incomplete.length > 0) throw unlike(`the mirror has no column ${shown(incomplete)}`);
}

function unlike(message: string): MirrorstreamError {
  return new MirrorstreamError('badInput', message, {
    stage: 'seed',
    hint: 'Create the schema first: pg_dump --schema-only SOURCE | psql MIRROR.',
  });
}

export async function truncateTables(client: Client, tables: readonly Table[]): Promise<void> {
  if (tables.length > 0) await client.query(`TRUNCATE ${tables.map(({ name }) => name).join(', ')}`);
}

/** Throws `badInput` where a table of the mirror has rows. */
export async function refuseFilled(client: Client, tables: readonly Table[]): Promise<void> {
  const filled: string[] = [];
  for (const { name } of tables) {
    const { rows } = await client.query<{ filled: boolean }>(`SELECT EXISTS (SELECT FROM ${name}) AS filled`);
    if (rows[0]?.filled) filled.push(name);
  }
  if (filled.length === 0) return;
  throw new MirrorstreamError('badInput', `the mirror has rows in ${shown(filled)}`, {
    stage: 'seed',
    hint: 'Give --truncate to empty its tables, or name an empty database.',
  });
}

/** Prepared transactions hold writes that a snapshot lacks and whose session is over: nobody could play them. */
export async function refusePrepared(client: Client): Promise<void> {
  const { rows } = await client.query<{ count: string }>(
    'SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()',
  );
  const count = Number(rows[0]?.count);
  if (count === 0) return;
  throw new MirrorstreamError('notReady', `${count} prepared transactions are open on the source`, {
    stage: 'seed',
    retryable: true,
    hint: 'What they wrote is not in a snapshot. Wait until they are committed or rolled back (pg_prepared_xacts).',
  });
}

/**
 * Throws `badInput` when both connections lead to one database, whatever their addresses say: a mirror's tables may be emptied. A lock
 * that one holds the other cannot have, and asking for it needs no privilege. A standby has locks of its own, so it is refused as a source.
 */
export async function refuseSameDatabase(source: Client, mirror: Client): Promise<void> {
  const standby = await source.query<{ standby: boolean }>('SELECT pg_is_in_recovery() AS standby');
  if (standby.rows[0]?.standby)
    throw new MirrorstreamError('badInput', 'the source is a standby', {
      stage: 'seed',
      hint: 'Name the primary: the one that the proxy leads to, whose snapshot is copied.',
    });
  const key = String(randomBytes(8).readBigInt64BE());
  await source.query('SELECT pg_advisory_lock($1::bigint)', [key]);
  const { rows } = await mirror.query<{ other: boolean }>('SELECT pg_try_advisory_lock($1::bigint) AS other', [key]);
  if (rows[0]?.other) return; // both locks end with their connections
  throw new MirrorstreamError('badInput', 'the mirror is the source itself, by another address', {
    stage: 'seed',
    hint: 'A mirror is another database. Nothing was touched.',
  });
}
