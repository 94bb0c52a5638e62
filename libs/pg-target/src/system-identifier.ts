// Asks a server which cluster it is: two addresses with the same identifier are the same data, or a physical copy of it.
import { connectTarget, type TargetConnection } from './connection.ts';
import { queryRows } from './query-rows.ts';
import type { TargetAddress } from './target-address.ts';

const QUERY = 'SELECT system_identifier FROM pg_catalog.pg_control_system()';

/** Decimal, or null where this user may not ask. Errors: as connectTarget. */
export async function systemIdentifier(
  address: TargetAddress,
  fallback: { readonly user: string; readonly database: string },
  timeoutMs: number,
): Promise<string | null> {
  const connection = await connectTarget(
    {
      address,
      ...fallback,
      startupParameters: [],
      applicationName: 'mirrorstream',
      sessionMark: 'system-identifier',
      connectTimeoutMs: timeoutMs,
    },
    { onBytes: () => {}, onLost: () => {} },
  );
  try {
    return await systemIdentifierOn(connection, timeoutMs);
  } finally {
    connection.close();
  }
}

/** The same, on a connection on which nothing is under way. Its handlers have to be bound anew afterwards. */
export async function systemIdentifierOn(connection: TargetConnection, timeoutMs: number): Promise<string | null> {
  const rows = await queryRows(connection, QUERY, { timeoutMs, maxRows: 1 });
  return rows?.[0]?.[0] ?? null;
}
