// Asks a server for its version and the settings that answers and plans depend on.
import type { ServerFacts } from '@mirrorstream/findings';
import type { TargetAddress } from '@mirrorstream/pg-target';
import pg from 'pg';

const timeoutMs = 5_000;
const settings = [
  'server_encoding',
  'TimeZone',
  'DateStyle',
  'IntervalStyle',
  'bytea_output',
  'extra_float_digits',
  'default_transaction_isolation',
  'shared_buffers',
  'effective_cache_size',
  'work_mem',
  'random_page_cost',
  'default_statistics_target',
  'max_parallel_workers_per_gather',
  'max_connections',
  'jit',
];

const factsSql = `SELECT name, current_setting(name) AS value FROM pg_catalog.pg_settings WHERE name = ANY ($1)
  UNION ALL SELECT 'collation', coalesce(datcollate, '') FROM pg_catalog.pg_database WHERE datname = current_database()`;

/** null: it did not answer, or refused. */
export async function serverFacts(
  role: ServerFacts['role'],
  name: string,
  address: TargetAddress,
): Promise<ServerFacts | null> {
  const { host, port, user, password, database, sslMode } = address;
  const client = new pg.Client({
    ...{ host, port, connectionTimeoutMillis: timeoutMs, query_timeout: timeoutMs, application_name: 'mirrorstream' },
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { password }),
    ...(database === undefined ? {} : { database }),
    ...(sslMode === 'disable' || sslMode === 'prefer'
      ? {}
      : { ssl: { rejectUnauthorized: sslMode.startsWith('verify') } }),
  });
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query<{ name: string; value: string }>(factsSql, [settings]);
    const version = await client.query<{ server_version: string }>('SHOW server_version');
    const found = new Map(rows.map((row) => [row.name, row.value]));
    const named = ['collation', ...settings].flatMap((setting) => {
      const value = found.get(setting);
      return value === undefined ? [] : [[setting, value] as const];
    });
    return { role, name, facts: { version: version.rows[0]?.server_version ?? '', ...Object.fromEntries(named) } };
  } catch {
    return null;
  } finally {
    await client.end().catch(() => {});
  }
}
