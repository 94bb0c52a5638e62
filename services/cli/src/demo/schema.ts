// The demo's database: a small shop, the same on every server, and what is planted on the mirror `candidate`.
//
// Everything here is made before traffic starts, directly on each server. Base tables are only read by the traffic: what sessions
// write goes to rows of their own, so any two servers of the same version answer alike.
import type { Client } from 'pg';

export const demoDatabase = 'demo';
export const demoUser = 'demo';

export const demoSize = { customers: 2000, products: 200, parcels: 60_000, zones: 12, articles: 40 } as const;

/** Idempotent, statement by statement: an interrupted start leaves nothing that the next one trips over. */
const baseStatements: readonly string[] = [
  `CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, city text NOT NULL, spent_cents int NOT NULL)`,
  `INSERT INTO customers SELECT n, 'customer ' || n, (ARRAY['Lisbon','Oslo','Quito','Nairobi','Osaka'])[1 + n % 5], (n * 7919) % 100000
     FROM generate_series(1, ${demoSize.customers}) n`,
  `CREATE TABLE products (id int PRIMARY KEY, name text NOT NULL, price numeric(10,2) NOT NULL, stock int NOT NULL, discontinued bool NOT NULL)`,
  `INSERT INTO products SELECT n, 'product ' || n, (n * 37 % 5000) / 100.0, n * 13 % 50, n % 7 = 0
     FROM generate_series(1, ${demoSize.products}) n`,
  `CREATE TABLE parcels (id int PRIMARY KEY, tracking text NOT NULL, weight_grams int NOT NULL)`,
  `INSERT INTO parcels SELECT n, 'MS' || lpad((n * 7919 % 1000003)::text, 9, '0'), 100 + n % 900
     FROM generate_series(1, ${demoSize.parcels}) n`,
  `CREATE INDEX parcels_tracking ON parcels (tracking)`,
  `CREATE TABLE shipping_zones (id int, name text NOT NULL)`,
  `INSERT INTO shipping_zones SELECT n, 'zone ' || n FROM generate_series(1, ${demoSize.zones}) n`,
  `CREATE TABLE price_list (article text PRIMARY KEY, cents int NOT NULL)`,
  `INSERT INTO price_list SELECT 'article ' || n, n * 125 FROM generate_series(1, ${demoSize.articles}) n`,
  `CREATE VIEW sellable_products AS SELECT id, name, price, stock FROM products WHERE NOT discontinued`,
  `CREATE FUNCTION loyalty_points(spent_cents int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT spent_cents / 100'`,
  // Written by sessions, each in rows of its own: a session's key is unique over all runs on the same data.
  `CREATE TABLE accounts (session text, number int, balance int NOT NULL, PRIMARY KEY (session, number))`,
  `CREATE TABLE orders (id text PRIMARY KEY, customer_id int NOT NULL REFERENCES customers, note text)`,
  `CREATE TABLE order_lines (order_id text, line int, product_id int NOT NULL, quantity int NOT NULL, PRIMARY KEY (order_id, line))`,
  `CREATE TABLE page_views (session text, position int, page text NOT NULL)`,
  // Added to by all, never read by the traffic: additions commute, whatever their order.
  `CREATE TABLE counters (name text PRIMARY KEY, value bigint NOT NULL)`,
  `INSERT INTO counters SELECT 'counter ' || n, 0 FROM generate_series(1, 4) n`,
];

/** How `candidate` differs: a table of plants, one per class of difference. docs/demo.md tells the story of each. */
export const plants = [
  {
    name: 'missing index',
    effect: 'slower, same answers',
    statements: [`DROP INDEX parcels_tracking`],
  },
  {
    name: 'stricter constraint',
    effect: 'errorNew',
    statements: [`ALTER TABLE order_lines ADD CONSTRAINT order_lines_quantity_limit CHECK (quantity <= 20)`],
  },
  {
    name: 'changed view',
    effect: 'rowCount',
    statements: [
      `CREATE OR REPLACE VIEW sellable_products AS SELECT id, name, price, stock FROM products WHERE NOT discontinued AND stock > 0`,
    ],
  },
  {
    name: 'changed function',
    effect: 'value',
    statements: [
      `CREATE OR REPLACE FUNCTION loyalty_points(spent_cents int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT (spent_cents + 50) / 100'`,
    ],
  },
  {
    name: 'rows stored in another order',
    effect: 'orderOnly',
    statements: [
      `DELETE FROM shipping_zones`,
      `INSERT INTO shipping_zones SELECT n, 'zone ' || n FROM generate_series(${demoSize.zones}, 1, -1) n`,
      // The old row versions would be re-used in some order of their own: rewrite the table.
      `CREATE INDEX shipping_zones_reverse ON shipping_zones (id DESC)`,
      `CLUSTER shipping_zones USING shipping_zones_reverse`,
      `DROP INDEX shipping_zones_reverse`,
    ],
  },
  {
    name: 'wider column',
    effect: 'columns',
    statements: [`ALTER TABLE price_list ALTER COLUMN cents TYPE bigint`],
  },
] as const;

/** Makes the role, through a connection to any database of the server. */
export async function ensureDemoRoleAndDatabase(client: Client): Promise<void> {
  const role = await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [demoUser]);
  if (role.rowCount === 0) await client.query(`CREATE ROLE ${demoUser} LOGIN`);
  const database = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [demoDatabase]);
  // From template0 and with collation C: the same order of text on both versions.
  if (database.rowCount === 0) {
    await client.query(
      `CREATE DATABASE ${demoDatabase} OWNER ${demoUser} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'`,
    );
  }
}

/** Makes and fills the tables unless they are there: all in one transaction. The client is connected to the demo database. */
export async function ensureDemoSchema(client: Client, options: { readonly planted: boolean }): Promise<void> {
  const present = await client.query(`SELECT 1 FROM pg_class WHERE relname = 'counters' AND relkind = 'r'`);
  if (present.rowCount !== 0) return;
  await client.query('BEGIN');
  for (const statement of baseStatements) await client.query(statement);
  if (options.planted)
    for (const { statements } of plants) for (const statement of statements) await client.query(statement);
  await client.query(`GRANT ALL ON ALL TABLES IN SCHEMA public TO ${demoUser}`);
  await client.query('COMMIT');
  await client.query('VACUUM ANALYZE');
}

/** A number that no earlier run on the same data had; kept on the source, outside the traffic. */
export async function nextRunNumber(client: Client): Promise<number> {
  await client.query('CREATE SCHEMA IF NOT EXISTS mirrorstream_demo');
  await client.query('CREATE SEQUENCE IF NOT EXISTS mirrorstream_demo.runs');
  const { rows } = await client.query<{ run: string }>(`SELECT nextval('mirrorstream_demo.runs') AS run`);
  return Number(rows[0]?.run);
}
