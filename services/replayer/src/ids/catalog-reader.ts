// Reads from a mirror's catalog which columns hold generated ids and which refer to them.
import { queryRows, type TargetConnection } from '@mirrorstream/pg-target';
import type { CatalogFacts, ColumnName } from '@mirrorstream/sql';

/** Of PostgreSQL 10 on. Serial columns, identities and defaults of one's own; uuids by the functions that draw them. */
const QUERY = `
WITH tables AS (
  SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_'
), columns AS (
  SELECT t.oid, a.attnum, t.nspname, t.relname, a.attname, coalesce(nullif(y.typbasetype, 0), y.oid) AS type,
    a.attidentity <> '' OR coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid)
      ~* '(nextval|gen_random_uuid|uuid_generate_v[0-9a-z]+|uuidv[47])\\(', false) AS generated
  FROM tables t
  JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_catalog.pg_type y ON y.oid = a.atttypid
  LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = t.oid AND d.adnum = a.attnum
), sequences AS (
  SELECT s.oid, n.nspname, s.relname FROM pg_catalog.pg_class s
  JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
  WHERE s.relkind = 'S' AND n.nspname !~ '^pg_'
), rows AS (
  SELECT 1 AS kind, oid AS place, attnum AS position, nspname AS a, relname AS b, attname AS c,
    type::text AS d, generated::text AS e, NULL AS f
  FROM columns
  UNION ALL SELECT 2, oid, 0, nspname, relname, NULL, NULL, NULL, NULL FROM sequences
  UNION ALL
  SELECT 3, s.oid, 0, s.nspname, s.relname, c.nspname, c.relname, c.attname, NULL
  FROM pg_catalog.pg_depend p
  JOIN sequences s ON s.oid = p.objid
  JOIN columns c ON c.oid = p.refobjid AND c.attnum = p.refobjsubid
  WHERE p.classid = 'pg_catalog.pg_class'::regclass AND p.refclassid = 'pg_catalog.pg_class'::regclass
    AND p.deptype IN ('a', 'i')
  UNION ALL
  SELECT 3, s.oid, 0, s.nspname, s.relname, c.nspname, c.relname, c.attname, NULL
  FROM pg_catalog.pg_attrdef d
  JOIN pg_catalog.pg_depend p ON p.classid = 'pg_catalog.pg_attrdef'::regclass AND p.objid = d.oid
    AND p.refclassid = 'pg_catalog.pg_class'::regclass
  JOIN sequences s ON s.oid = p.refobjid
  JOIN columns c ON c.oid = d.adrelid AND c.attnum = d.adnum
  UNION ALL
  SELECT 4, k.oid, 0, c.nspname, c.relname, c.attname, r.nspname, r.relname, r.attname
  FROM pg_catalog.pg_constraint k
  CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS u(ours, theirs)
  JOIN columns c ON c.oid = k.conrelid AND c.attnum = u.ours
  JOIN columns r ON r.oid = k.confrelid AND r.attnum = u.theirs
  WHERE k.contype = 'f'
)
SELECT kind, a, b, c, d, e, f FROM rows ORDER BY kind, place, position`;

/** Null: the server refused, or there is more than `maxRows`. Errors: as queryRows. */
export async function readCatalog(
  connection: TargetConnection,
  limits: { readonly timeoutMs: number; readonly maxRows: number },
): Promise<CatalogFacts | null> {
  const rows = await queryRows(connection, QUERY, limits);
  return rows === null ? null : factsOf(rows);
}

function factsOf(rows: readonly (readonly (string | null)[])[]): CatalogFacts {
  const columns: CatalogFacts['columns'][number][] = [];
  const sequences: CatalogFacts['sequences'][number][] = [];
  const feeds: CatalogFacts['feeds'][number][] = [];
  const references: CatalogFacts['references'][number][] = [];
  for (const row of rows) {
    const [kind, a, b, c, d, e, f] = row.map((value) => value ?? '');
    const name = (...parts: readonly (string | undefined)[]): ColumnName =>
      parts.map((it) => it ?? '') as unknown as ColumnName;
    if (kind === '1') columns.push({ name: name(a, b, c), typeOid: Number(d), generated: e === 'true' });
    else if (kind === '2') sequences.push([a ?? '', b ?? '']);
    else if (kind === '3') feeds.push({ sequence: [a ?? '', b ?? ''], column: name(c, d, e) });
    else references.push({ from: name(a, b, c), to: name(d, e, f) });
  }
  return { columns, sequences, feeds, references };
}
