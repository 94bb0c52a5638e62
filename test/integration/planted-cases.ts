// Things that go wrong between two databases, one per case: how to plant it in the mirror, traffic that meets it, and what must be found.
import type { StatementClass } from '@mirrorstream/domain';

/** One statement; with values it goes by the extended protocol. Errors are part of the traffic. */
export type Sent = string | { readonly sql: string; readonly values: readonly unknown[] };

export interface Expected {
  readonly class: StatementClass;
  /** A statement of that shape. */
  readonly sql: string;
}

/**
 * Each case has a role and a schema of its name, and `t` in its tables' names, so that no two cases share a statement shape. `$t` stands for
 * that name.
 */
export interface PlantedCase {
  readonly name: string;
  /** On all servers, as the case's role. */
  readonly schema?: readonly string[];
  /** On the mirror of the same version alone, as superuser, in the case's schema. `$r` stands for the role. */
  readonly plant?: readonly string[];
  /** Sent again and again, so that one cause shows many times. */
  readonly traffic: readonly Sent[];
  /** How often the traffic is sent; default 5. */
  readonly rounds?: number;
  /** On the mirror with the plant. */
  readonly finds: readonly Expected[];
  /** On the mirror of the next version, without the plant; default none. */
  readonly findsNext?: readonly Expected[];
  /** Answered alike, but many times slower on the mirror with the plant. */
  readonly slower?: string;
}

const one = (name: StatementClass, sql: string): readonly Expected[] => [{ class: name, sql }];

const items = [
  'CREATE TABLE $t (id int PRIMARY KEY, name text NOT NULL, price numeric(10,2), at timestamptz)',
  `INSERT INTO $t SELECT n, 'item ' || n, n * 1.25, timestamptz '2026-01-01 23:30:00+00' + n * interval '1 day'
   FROM generate_series(1, 20) n`,
];
/** Large enough that reading all of it takes many times as long as finding one row by its index. */
const large = [
  "CREATE TABLE $t AS SELECT n AS id, md5(n::text) AS key, repeat('x', 100) AS pad FROM generate_series(1, 40000) n",
  'CREATE INDEX $t_key ON $t (key)',
  'ANALYZE $t',
];
const byKey = 'SELECT id FROM $t WHERE key = md5($1)';
const manyKeys: readonly Sent[] = Array.from({ length: 40 }, (_, n) => ({ sql: byKey, values: [String(n + 1)] }));

const byId = 'SELECT name, price FROM $t WHERE id = $1';
/** Statements that are answered alike whatever is planted. */
const alike: readonly Sent[] = ['SELECT 1', { sql: 'SELECT $1::int + 1', values: [41] }];

export const plantedCases: readonly PlantedCase[] = [
  // Data ----------------------------------------------------------------------------------------------------------------
  {
    name: 'lost_row',
    schema: items,
    plant: ['DELETE FROM $t WHERE id = 7'],
    traffic: [
      { sql: byId, values: [6] },
      { sql: byId, values: [7] },
      { sql: byId, values: [8] },
    ],
    finds: one('rowCount', byId),
  },
  {
    name: 'row_too_many',
    schema: items,
    plant: ["INSERT INTO $t VALUES (21, 'ghost', 1, now())"],
    traffic: ['SELECT id, name FROM $t ORDER BY id', ...alike],
    finds: one('rowCount', 'SELECT id, name FROM $t ORDER BY id'),
  },
  {
    name: 'changed_value',
    schema: items,
    plant: ["UPDATE $t SET name = 'Item 3' WHERE id = 3"],
    traffic: [
      { sql: byId, values: [2] },
      { sql: byId, values: [3] },
    ],
    finds: one('value', byId),
  },
  {
    name: 'null_instead',
    schema: items,
    plant: ['UPDATE $t SET price = NULL WHERE id = 4'],
    traffic: [
      { sql: byId, values: [4] },
      { sql: byId, values: [5] },
    ],
    finds: one('value', byId),
  },
  {
    name: 'empty_string',
    schema: ["CREATE TABLE $t (id int, note text); INSERT INTO $t VALUES (1, NULL), (2, 'x')"],
    plant: ["UPDATE $t SET note = '' WHERE note IS NULL"],
    traffic: ['SELECT id, note FROM $t ORDER BY id'],
    finds: one('value', 'SELECT id, note FROM $t ORDER BY id'),
  },
  {
    name: 'stale_view',
    schema: [...items, 'CREATE MATERIALIZED VIEW $t_sum AS SELECT sum(price) AS total, count(*) AS n FROM $t'],
    plant: ['DELETE FROM $t WHERE id > 10', 'REFRESH MATERIALIZED VIEW $t_sum'],
    traffic: ['SELECT total, n FROM $t_sum', ...alike],
    finds: one('value', 'SELECT total, n FROM $t_sum'),
  },
  {
    name: 'truncated',
    schema: items,
    plant: ['TRUNCATE $t'],
    traffic: ['SELECT id FROM $t WHERE price > 10 ORDER BY id'],
    finds: one('rowCount', 'SELECT id FROM $t WHERE price > 10 ORDER BY id'),
  },
  // Definitions ---------------------------------------------------------------------------------------------------------
  {
    name: 'numeric_scale',
    schema: ['CREATE TABLE $t (id serial PRIMARY KEY, amount numeric(10,2))'],
    plant: ['ALTER TABLE $t ALTER amount TYPE numeric(10,1)'],
    traffic: [{ sql: 'INSERT INTO $t (amount) VALUES ($1) RETURNING amount', values: ['10.55'] }],
    finds: one('value', 'INSERT INTO $t (amount) VALUES ($1) RETURNING amount'),
  },
  {
    name: 'column_type',
    schema: items,
    plant: ['ALTER TABLE $t ALTER id TYPE bigint'],
    traffic: ['SELECT id FROM $t WHERE id < 4 ORDER BY id'],
    finds: one('columns', 'SELECT id FROM $t WHERE id < 4 ORDER BY id'),
  },
  {
    name: 'renamed_in_view',
    schema: [...items, 'CREATE VIEW $t_v AS SELECT id, name AS title FROM $t'],
    plant: ['ALTER VIEW $t_v RENAME COLUMN title TO name'],
    traffic: ['SELECT * FROM $t_v WHERE id < 3 ORDER BY id'],
    finds: one('columns', 'SELECT * FROM $t_v WHERE id < 3 ORDER BY id'),
  },
  {
    name: 'column_too_many',
    schema: items,
    plant: ['ALTER TABLE $t ADD added int'],
    traffic: ['SELECT * FROM $t WHERE id = 1', 'SELECT id, name FROM $t WHERE id = 1'],
    finds: one('columns', 'SELECT * FROM $t WHERE id = 1'),
  },
  {
    name: 'column_missing',
    schema: items,
    plant: ['ALTER TABLE $t DROP price'],
    traffic: [{ sql: byId, values: [1] }, 'SELECT name FROM $t WHERE id = 1'],
    finds: one('errorNew', byId),
  },
  {
    name: 'table_missing',
    schema: items,
    plant: ['DROP TABLE $t'],
    traffic: ['SELECT count(*) FROM $t', ...alike],
    finds: one('errorNew', 'SELECT count(*) FROM $t'),
  },
  {
    name: 'other_default',
    schema: ["CREATE TABLE $t (id serial PRIMARY KEY, who text, state text NOT NULL DEFAULT 'new')"],
    plant: ["ALTER TABLE $t ALTER state SET DEFAULT 'open'"],
    traffic: [{ sql: 'INSERT INTO $t (who) VALUES ($1) RETURNING state', values: ['me'] }],
    finds: one('value', 'INSERT INTO $t (who) VALUES ($1) RETURNING state'),
  },
  {
    name: 'other_generated',
    schema: ['CREATE TABLE $t (id serial, net int, gross int GENERATED ALWAYS AS (net * 119 / 100) STORED)'],
    plant: ['ALTER TABLE $t ALTER gross SET EXPRESSION AS (net * 120 / 100)'],
    traffic: [{ sql: 'INSERT INTO $t (net) VALUES ($1) RETURNING gross', values: [1000] }],
    finds: one('value', 'INSERT INTO $t (net) VALUES ($1) RETURNING gross'),
  },
  {
    name: 'stricter_check',
    schema: ['CREATE TABLE $t (id serial, age int)'],
    plant: ['ALTER TABLE $t ADD CHECK (age < 120)'],
    traffic: [
      { sql: 'INSERT INTO $t (age) VALUES ($1)', values: [30] },
      { sql: 'INSERT INTO $t (age) VALUES ($1)', values: [130] },
    ],
    finds: one('errorNew', 'INSERT INTO $t (age) VALUES ($1)'),
  },
  {
    name: 'stricter_domain',
    schema: ['CREATE DOMAIN $t_code AS text', 'CREATE TABLE $t (id serial, code $t_code)'],
    plant: ["ALTER DOMAIN $t_code ADD CHECK (VALUE ~ '^[A-Z]+$')"],
    traffic: [{ sql: 'INSERT INTO $t (code) VALUES ($1)', values: ['abc'] }],
    finds: one('errorNew', 'INSERT INTO $t (code) VALUES ($1)'),
  },
  {
    name: 'shorter_column',
    schema: ['CREATE TABLE $t (id serial, code varchar(10))'],
    plant: ['ALTER TABLE $t ALTER code TYPE varchar(5)'],
    traffic: [{ sql: 'INSERT INTO $t (code) VALUES ($1)', values: ['12345678'] }],
    finds: one('errorNew', 'INSERT INTO $t (code) VALUES ($1)'),
  },
  {
    name: 'unique_gone',
    schema: ["CREATE TABLE $t (mail text CONSTRAINT $t_key UNIQUE); INSERT INTO $t VALUES ('a@b')"],
    plant: ['ALTER TABLE $t DROP CONSTRAINT $t_key'],
    traffic: [{ sql: 'INSERT INTO $t (mail) VALUES ($1)', values: ['a@b'] }],
    finds: one('errorGone', 'INSERT INTO $t (mail) VALUES ($1)'),
  },
  {
    name: 'not_null_gone',
    schema: ['CREATE TABLE $t (id int, name text NOT NULL)'],
    plant: ['ALTER TABLE $t ALTER name DROP NOT NULL'],
    traffic: [{ sql: 'INSERT INTO $t (id, name) VALUES ($1, $2)', values: [1, null] }],
    finds: one('errorGone', 'INSERT INTO $t (id, name) VALUES ($1, $2)'),
  },
  {
    name: 'other_constraint',
    schema: ['CREATE TABLE $t (id int, a int NOT NULL)'],
    plant: ['ALTER TABLE $t ALTER a DROP NOT NULL', 'ALTER TABLE $t ADD CHECK (a IS NOT NULL)'],
    traffic: [{ sql: 'INSERT INTO $t (id, a) VALUES ($1, $2)', values: [1, null] }],
    finds: one('errorChanged', 'INSERT INTO $t (id, a) VALUES ($1, $2)'),
  },
  {
    name: 'no_cascade',
    schema: [
      'CREATE TABLE $t (id int PRIMARY KEY)',
      'CREATE TABLE $t_line (id int REFERENCES $t ON DELETE CASCADE)',
      'INSERT INTO $t SELECT generate_series(1, 9); INSERT INTO $t_line SELECT generate_series(1, 9)',
    ],
    plant: [
      'ALTER TABLE $t_line DROP CONSTRAINT $t_line_id_fkey',
      'ALTER TABLE $t_line ADD FOREIGN KEY (id) REFERENCES $t',
    ],
    rounds: 1,
    traffic: [{ sql: 'DELETE FROM $t WHERE id = $1', values: [3] }, ...alike],
    finds: one('errorNew', 'DELETE FROM $t WHERE id = $1'),
  },
  {
    name: 'enum_order',
    schema: [
      "CREATE TYPE $t_size AS ENUM ('small', 'medium', 'large')",
      'CREATE TABLE $t (id int PRIMARY KEY, size $t_size)',
      "INSERT INTO $t VALUES (1, 'large'), (2, 'small'), (3, 'medium')",
    ],
    plant: [
      'ALTER TABLE $t ALTER size TYPE text',
      'DROP TYPE $t_size',
      "CREATE TYPE $t_size AS ENUM ('large', 'medium', 'small')",
      'ALTER TABLE $t ALTER size TYPE $t_size USING size::$t_size',
    ],
    traffic: ['SELECT size, id FROM $t ORDER BY size, id'],
    finds: one('value', 'SELECT size, id FROM $t ORDER BY size, id'),
  },
  {
    name: 'collation',
    schema: [
      'CREATE TABLE $t (name text COLLATE "C" PRIMARY KEY)',
      "INSERT INTO $t VALUES ('Zebra'), ('apple'), ('Banana'), ('cherry')",
    ],
    plant: ['ALTER TABLE $t ALTER name TYPE text COLLATE "en-x-icu"'],
    traffic: ['SELECT name FROM $t ORDER BY name'],
    finds: one('collation', 'SELECT name FROM $t ORDER BY name'),
  },
  {
    name: 'null_order',
    schema: [
      "CREATE TABLE $t (id int PRIMARY KEY, due date); INSERT INTO $t VALUES (1, NULL), (2, '2026-01-01'), (3, '2026-02-01')",
      "CREATE FUNCTION $t_key(x date) RETURNS date LANGUAGE sql IMMUTABLE AS $$SELECT coalesce(x, 'infinity')$$",
    ],
    plant: [
      "CREATE OR REPLACE FUNCTION $t_key(x date) RETURNS date LANGUAGE sql IMMUTABLE AS $$SELECT coalesce(x, '-infinity')$$",
    ],
    traffic: ['SELECT id, due FROM $t ORDER BY $t_key(due), id'],
    finds: one('value', 'SELECT id, due FROM $t ORDER BY $t_key(due), id'),
  },
  // Code ----------------------------------------------------------------------------------------------------------------
  {
    name: 'other_function',
    schema: [
      'CREATE FUNCTION $t_tax(x numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$SELECT round(x * 0.19, 2)$$',
    ],
    plant: [
      'CREATE OR REPLACE FUNCTION $t_tax(x numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$SELECT round(x * 0.16, 2)$$',
    ],
    traffic: [{ sql: 'SELECT $t_tax($1) AS tax', values: ['100.00'] }],
    finds: one('value', 'SELECT $t_tax($1) AS tax'),
  },
  {
    name: 'function_gone',
    schema: ['CREATE FUNCTION $t_f(x int) RETURNS int LANGUAGE sql AS $$SELECT x$$'],
    plant: ['DROP FUNCTION $t_f(int)'],
    traffic: ['SELECT $t_f(3)', ...alike],
    finds: one('errorNew', 'SELECT $t_f(3)'),
  },
  {
    name: 'function_raises',
    schema: [
      `CREATE FUNCTION $t_f(x int) RETURNS int LANGUAGE plpgsql AS
       $$BEGIN IF x < 0 THEN RAISE EXCEPTION 'negative' USING ERRCODE = '22003'; END IF; RETURN x; END$$`,
    ],
    plant: [
      `CREATE OR REPLACE FUNCTION $t_f(x int) RETURNS int LANGUAGE plpgsql AS
       $$BEGIN IF x < 0 THEN RAISE EXCEPTION 'negative' USING ERRCODE = 'P0001'; END IF; RETURN x; END$$`,
    ],
    traffic: [
      { sql: 'SELECT $t_f($1)', values: [-1] },
      { sql: 'SELECT $t_f($1)', values: [1] },
    ],
    finds: one('errorChanged', 'SELECT $t_f($1)'),
  },
  {
    name: 'trigger_changes',
    schema: ['CREATE TABLE $t (id serial, name text)'],
    plant: [
      `CREATE FUNCTION $t_up() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.name = upper(NEW.name); RETURN NEW; END$$`,
      'CREATE TRIGGER up BEFORE INSERT ON $t FOR EACH ROW EXECUTE FUNCTION $t_up()',
    ],
    traffic: [{ sql: 'INSERT INTO $t (name) VALUES ($1) RETURNING name', values: ['abc'] }],
    finds: one('value', 'INSERT INTO $t (name) VALUES ($1) RETURNING name'),
  },
  {
    name: 'trigger_swallows',
    schema: ['CREATE TABLE $t (id serial, name text)'],
    plant: [
      `CREATE FUNCTION $t_no() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$`,
      'CREATE TRIGGER no BEFORE INSERT ON $t FOR EACH ROW EXECUTE FUNCTION $t_no()',
    ],
    traffic: [{ sql: 'INSERT INTO $t (name) VALUES ($1)', values: ['abc'] }],
    finds: one('rowCount', 'INSERT INTO $t (name) VALUES ($1)'),
  },
  {
    name: 'rule_instead',
    schema: items,
    plant: ['CREATE RULE nothing AS ON UPDATE TO $t DO INSTEAD NOTHING'],
    traffic: [{ sql: 'UPDATE $t SET price = price + 1 WHERE id = $1', values: [2] }, ...alike],
    finds: one('rowCount', 'UPDATE $t SET price = price + 1 WHERE id = $1'),
  },
  {
    name: 'sequence_behind',
    schema: ['CREATE TABLE $t (id serial PRIMARY KEY, x int)', 'INSERT INTO $t (x) SELECT generate_series(1, 10)'],
    plant: ["SELECT setval('$t_id_seq', 3)"],
    rounds: 2,
    traffic: [{ sql: 'INSERT INTO $t (x) VALUES ($1)', values: [5] }],
    finds: one('errorNew', 'INSERT INTO $t (x) VALUES ($1)'),
  },
  {
    name: 'sequence_step',
    schema: ['CREATE TABLE $t (id serial PRIMARY KEY, x int)'],
    plant: ['ALTER SEQUENCE $t_id_seq INCREMENT 10 RESTART 100'],
    traffic: [{ sql: 'INSERT INTO $t (x) VALUES ($1) RETURNING id, x', values: [5] }],
    finds: one('value', 'INSERT INTO $t (x) VALUES ($1) RETURNING id, x'),
  },
  {
    name: 'not_unique_match',
    schema: ["CREATE TABLE $t (name text COLLATE \"C\"); INSERT INTO $t VALUES ('Anna'), ('anna')"],
    plant: [
      "CREATE COLLATION $t_ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
      'ALTER TABLE $t ALTER name TYPE text COLLATE $t_ci',
    ],
    traffic: [{ sql: 'SELECT name FROM $t WHERE name = $1', values: ['anna'] }],
    finds: one('rowCount', 'SELECT name FROM $t WHERE name = $1'),
  },
  // Rights --------------------------------------------------------------------------------------------------------------
  {
    name: 'permission',
    schema: items,
    plant: ['ALTER TABLE $t OWNER TO postgres', 'REVOKE ALL ON $t FROM $r', 'GRANT INSERT ON $t TO $r'],
    traffic: [{ sql: byId, values: [1] }, ...alike],
    finds: one('errorNew', byId),
  },
  {
    name: 'row_security',
    schema: items,
    plant: [
      'ALTER TABLE $t ENABLE ROW LEVEL SECURITY',
      'ALTER TABLE $t FORCE ROW LEVEL SECURITY',
      'CREATE POLICY few ON $t USING (id < 10)',
    ],
    traffic: [
      { sql: byId, values: [3] },
      { sql: byId, values: [15] },
    ],
    finds: one('rowCount', byId),
  },
  // Settings ------------------------------------------------------------------------------------------------------------
  {
    name: 'time_zone',
    schema: items,
    plant: ["ALTER ROLE $r SET timezone = 'Asia/Tokyo'"],
    traffic: [{ sql: 'SELECT at::date AS day FROM $t WHERE id = $1', values: [1] }, ...alike],
    finds: one('value', 'SELECT at::date AS day FROM $t WHERE id = $1'),
  },
  {
    name: 'search_path',
    schema: [
      ...items,
      'CREATE SCHEMA $t_other',
      "CREATE TABLE $t_other.$t AS SELECT id, 'other' AS name, price, at FROM $t",
    ],
    plant: ['ALTER ROLE $r SET search_path = $t_other, "$user"'],
    traffic: [{ sql: byId, values: [1] }, ...alike],
    finds: one('value', byId),
  },
  {
    name: 'statement_timeout',
    schema: items,
    plant: ["ALTER ROLE $r SET statement_timeout = '50ms'"],
    rounds: 1,
    traffic: ['SELECT count(*), pg_sleep(0.4) FROM (SELECT 1 FROM $t LIMIT 1) x', ...alike],
    finds: one('errorNew', 'SELECT count(*), pg_sleep(0.4) FROM (SELECT 1 FROM $t LIMIT 1) x'),
  },
  {
    name: 'text_search',
    schema: ["CREATE TABLE $t (id int, words text); INSERT INTO $t VALUES (1, 'the running dogs')"],
    plant: ["ALTER ROLE $r SET default_text_search_config = 'simple'"],
    traffic: ["SELECT id FROM $t WHERE to_tsvector(words) @@ to_tsquery('run')"],
    finds: one('rowCount', "SELECT id FROM $t WHERE to_tsvector(words) @@ to_tsquery('run')"),
  },
  {
    name: 'strict_strings',
    schema: items,
    plant: ['ALTER ROLE $r SET standard_conforming_strings = off', 'ALTER ROLE $r SET escape_string_warning = off'],
    traffic: ["SELECT id, 'a\\\\b' AS path FROM $t WHERE id = 1"],
    finds: one('value', "SELECT id, 'a\\\\b' AS path FROM $t WHERE id = 1"),
  },
  {
    name: 'read_only_role',
    schema: items,
    plant: ['ALTER ROLE $r SET default_transaction_read_only = on'],
    traffic: [{ sql: 'UPDATE $t SET price = 2 WHERE id = $1', values: [1] }, ...alike],
    finds: one('errorNew', 'UPDATE $t SET price = 2 WHERE id = $1'),
  },
  // The next major version ----------------------------------------------------------------------------------------------
  {
    name: 'new_function',
    schema: ["CREATE TABLE $t (a int[]); INSERT INTO $t VALUES ('{3,1,2}')"],
    traffic: ['SELECT array_sort(a) FROM $t', 'SELECT a FROM $t'],
    finds: [],
    findsNext: one('errorGone', 'SELECT array_sort(a) FROM $t'),
  },
  {
    name: 'casefold',
    schema: ["CREATE TABLE $t (a text); INSERT INTO $t VALUES ('x')"],
    traffic: ['SELECT casefold(a) FROM $t', 'SELECT lower(a) FROM $t'],
    finds: [],
    findsNext: one('errorGone', 'SELECT casefold(a) FROM $t'),
  },
  // Slower --------------------------------------------------------------------------------------------------------------
  {
    name: 'index_dropped',
    schema: large,
    plant: ['DROP INDEX $t_key'],
    rounds: 1,
    traffic: manyKeys,
    finds: [],
    slower: byKey,
  },
  {
    name: 'planner_setting',
    schema: large,
    plant: ['enable_indexscan', 'enable_bitmapscan', 'enable_indexonlyscan'].map(
      (name) => `ALTER ROLE $r SET ${name} = off`,
    ),
    rounds: 1,
    traffic: manyKeys,
    finds: [],
    slower: byKey,
  },
  {
    name: 'bloated',
    schema: ["CREATE TABLE $t AS SELECT n AS id, repeat('x', 100) AS pad FROM generate_series(1, 100) n"],
    plant: [
      "INSERT INTO $t SELECT n, repeat('x', 1000) FROM generate_series(101, 60000) n",
      'DELETE FROM $t WHERE id > 100',
    ],
    rounds: 40,
    traffic: ['SELECT count(*) FROM $t'],
    finds: [],
    slower: 'SELECT count(*) FROM $t',
  },
  // Nothing to find: what may differ without anybody having to do anything ------------------------------------------------
  {
    name: 'written_otherwise',
    schema: [
      "CREATE TABLE $t (b bytea, at timestamptz, i interval); INSERT INTO $t VALUES ('\\x00ff', '2026-03-01 12:00+00', '1 day 2 hours')",
    ],
    plant: [
      'ALTER ROLE $r SET bytea_output = escape',
      "ALTER ROLE $r SET timezone = 'America/New_York'",
      'ALTER ROLE $r SET intervalstyle = iso_8601',
    ],
    traffic: ['SELECT b, at, i FROM $t'],
    finds: [],
  },
  {
    name: 'clock_and_chance',
    schema: items,
    traffic: ['SELECT id, now(), random() FROM $t WHERE id = 1', 'SELECT clock_timestamp()', 'SELECT pg_backend_pid()'],
    finds: [],
  },
  {
    name: 'no_order_asked',
    schema: items,
    plant: [
      'CREATE TABLE $t_new AS SELECT * FROM $t ORDER BY id DESC',
      'TRUNCATE $t',
      'INSERT INTO $t SELECT * FROM $t_new',
    ],
    traffic: ['SELECT id FROM $t WHERE price > 3'],
    finds: [],
  },
];
