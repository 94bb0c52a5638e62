// Sequences stand outside of transactions: their values are read together with the snapshot and given to the mirror as they are.
import type { Client } from 'pg';

/** Quoted name with its schema → last value given out, decimal; null: none yet. */
export type SequenceValues = Readonly<Record<string, string | null>>;

/** As one JSON object, so that it fits into the question that takes the snapshot. */
export const sequenceValuesSql =
  "(SELECT coalesce(json_object_agg(format('%I.%I', schemaname, sequencename), last_value::text), '{}') FROM pg_sequences)";

/** Returns the names of those that the mirror does not have. */
export async function setSequences(client: Client, values: SequenceValues): Promise<readonly string[]> {
  const missing: string[] = [];
  for (const [name, value] of Object.entries(values)) {
    const { rows } = await client.query<{ start: string | null }>(
      'SELECT (SELECT seqstart::text FROM pg_sequence WHERE seqrelid = to_regclass($1)) AS start',
      [name],
    );
    const start = rows[0]?.start ?? null;
    if (start === null) missing.push(name);
    else await client.query('SELECT setval($1::regclass, $2::bigint, $3)', [name, value ?? start, value !== null]);
  }
  return missing;
}
