// Load that lives on generated ids: rows are inserted into shared tables by racing sessions, and then asked for, changed, referred to and
// deleted by the ids that came back. What it does beside the ids is determined, so that two servers can be compared row by row.
import { execute, type SeededRandom, seededRandom, withClient } from '@mirrorstream/testkit';

type Client = Parameters<Parameters<typeof withClient>[1]>[0];

export async function createIdTables(url: string): Promise<void> {
  await execute(
    url,
    'CREATE TABLE customers (id bigserial PRIMARY KEY, name text NOT NULL UNIQUE)',
    'CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers, amount int NOT NULL, label text NOT NULL)',
    'CREATE TABLE items (order_id int REFERENCES orders, pos smallint, note text NOT NULL, PRIMARY KEY (order_id, pos))',
    'CREATE TABLE things (id uuid DEFAULT gen_random_uuid() PRIMARY KEY, label text NOT NULL, parent uuid REFERENCES things)',
    'CREATE SEQUENCE tickets',
    'CREATE TABLE ticket_notes (ticket bigint NOT NULL, note text NOT NULL)',
    'CREATE TABLE mails (customer bigint NOT NULL, body text NOT NULL)',
    // Rows that were there before: the same on both sides.
    "INSERT INTO customers (name) SELECT 'old' || i FROM generate_series(1, 20) i",
    "INSERT INTO orders (customer_id, amount, label) SELECT i, i, 'old' || i FROM generate_series(1, 20) i",
  );
}

/** Ids that this server gives from now on are others than those the same inserts got elsewhere, of the same range. */
export async function shiftIds(url: string): Promise<void> {
  await execute(
    url,
    "SELECT nextval('customers_id_seq') FROM generate_series(1, 3)",
    "SELECT nextval(pg_get_serial_sequence('orders', 'id')) FROM generate_series(1, 5)",
    "SELECT nextval('tickets') FROM generate_series(1, 2)",
  );
}

/** Everything, by names instead of ids. */
export async function contentByName(url: string): Promise<string> {
  const queries = [
    'SELECT name FROM customers ORDER BY name',
    'SELECT o.label, o.amount, c.name FROM orders o JOIN customers c ON c.id = o.customer_id ORDER BY o.label',
    'SELECT o.label, i.pos, i.note FROM items i JOIN orders o ON o.id = i.order_id ORDER BY o.label, i.pos',
    'SELECT t.label, p.label AS parent FROM things t LEFT JOIN things p ON p.id = t.parent ORDER BY t.label',
    'SELECT note FROM ticket_notes ORDER BY note',
    'SELECT c.name, m.body FROM mails m JOIN customers c ON c.id = m.customer ORDER BY c.name, m.body',
  ];
  return withClient(url, async (client) => {
    const found: string[] = [];
    for (const sql of queries) found.push(JSON.stringify((await client.query({ text: sql, rowMode: 'array' })).rows));
    return found.join('\n');
  });
}

export interface IdLoad {
  readonly url: string;
  readonly sessions: number;
  readonly turns: number;
  readonly seed: number;
}

/** Names of the customers that were made, by their ids in production. */
export async function runIdLoad({ url, sessions, turns, seed }: IdLoad): Promise<ReadonlyMap<string, string>> {
  const random = seededRandom(seed);
  const customers = new Map<string, string>();
  const runs = Array.from({ length: sessions }, (_, session) => {
    const own = random.fork();
    return withClient(url, async (client) => {
      for (let turn = 0; turn < turns; turn++) await runTurn(client, own, `${session}.${turn}`, customers);
    });
  });
  await Promise.all(runs);
  return customers;
}

async function runTurn(
  client: Client,
  random: SeededRandom,
  tag: string,
  customers: Map<string, string>,
): Promise<void> {
  const name = `c${tag}`;
  const inserted = await client.query<{ id: string }>('INSERT INTO customers (name) VALUES ($1) RETURNING id, name', [
    name,
  ]);
  const customer = inserted.rows[0]?.id ?? '';
  customers.set(customer, name);
  await client.query('SELECT name, id FROM customers WHERE id = $1', [customer]);
  const order = await orderTurn(client, random, tag, customer);
  await client.query('INSERT INTO mails VALUES ($1, $2)', [customer, `hello ${tag}`]);
  const choice = random.integer(1, 7);
  if (choice === 1) await lastvalTurn(client, tag);
  else if (choice === 2) await thingsTurn(client, tag);
  else if (choice === 3) await batchTurn(client, tag, customer);
  else if (choice === 4) await ticketTurn(client, tag);
  else if (choice === 5) await rolledBackTurn(client, tag, customer);
  else if (choice === 6) await binaryTurn(client, tag);
  else await client.query(`DELETE FROM items WHERE order_id IN (${order}) AND pos = 2 RETURNING order_id, pos, note`);
}

async function orderTurn(client: Client, random: SeededRandom, tag: string, customer: string): Promise<string> {
  await client.query('BEGIN');
  const { rows } = await client.query<{ id: number }>({
    name: 'order',
    text: 'INSERT INTO orders (customer_id, amount, label) VALUES ($1, $2, $3) RETURNING *',
    values: [customer, random.integer(1, 100), `o${tag}`],
  });
  const order = String(rows[0]?.id);
  await client.query(
    "INSERT INTO items SELECT $1, p, 'note ' || p FROM unnest($2::smallint[]) p RETURNING order_id, pos",
    [order, [1, 2, 3]],
  );
  // A constant, as it comes from drivers that put values into the text.
  await client.query(`UPDATE orders SET amount = amount + 1 WHERE id = ${order}`);
  await client.query('COMMIT');
  await client.query(
    'SELECT o.id, o.customer_id, c.name, i.pos FROM orders o JOIN customers c ON c.id = o.customer_id JOIN items i ON i.order_id = o.id WHERE o.customer_id = ANY($1::bigint[]) AND i.pos > 0 ORDER BY i.pos',
    [[customer]],
  );
  return order;
}

async function lastvalTurn(client: Client, tag: string): Promise<void> {
  await client.query('INSERT INTO customers (name) VALUES ($1)', [`l${tag}`]);
  const { rows } = await client.query<{ lastval: string }>('SELECT lastval()');
  const id = rows[0]?.lastval;
  await client.query(`SELECT name FROM customers WHERE id = '${id}'`);
  await client.query("SELECT currval('customers_id_seq')");
  await client.query("UPDATE customers SET name = name || '!' WHERE id = $1 RETURNING id", [id]);
}

async function thingsTurn(client: Client, tag: string): Promise<void> {
  const { rows } = await client.query<{ id: string }>(
    'INSERT INTO things (label) VALUES ($1), ($2) RETURNING id, label',
    [`t${tag}a`, `t${tag}b`],
  );
  const ids = rows.map(({ id }) => id);
  await client.query('INSERT INTO things (label, parent) VALUES ($1, $2) RETURNING id', [`t${tag}c`, ids[0]]);
  await client.query('SELECT label, id FROM things WHERE id = ANY($1::uuid[]) ORDER BY label', [ids]);
  await client.query(`DELETE FROM things WHERE id = '${ids[1]}'`);
}

async function batchTurn(client: Client, tag: string, customer: string): Promise<void> {
  const text = `INSERT INTO orders (customer_id, amount, label) VALUES (${customer}, 7, 'b${tag}.1'), (${customer}, 8, 'b${tag}.2') RETURNING id, label; SELECT count(*) FROM orders WHERE customer_id = ${customer}; SELECT label FROM orders WHERE customer_id = ${customer} ORDER BY id`;
  const answers = (await client.query(text)) as unknown as readonly { rows: { id: number }[] }[];
  const [first, second] = answers[0]?.rows ?? [];
  await client.query(
    'UPDATE orders SET amount = v.amount FROM (VALUES ($1::int, 70), ($2::int, 80)) AS v(id, amount) WHERE orders.id = v.id',
    [first?.id, second?.id],
  );
}

async function ticketTurn(client: Client, tag: string): Promise<void> {
  const { rows } = await client.query<{ nextval: string }>("SELECT nextval('tickets')");
  await client.query('INSERT INTO ticket_notes VALUES ($1, $2)', [rows[0]?.nextval, `k${tag}`]);
  await client.query('SELECT note FROM ticket_notes WHERE ticket = $1', [rows[0]?.nextval]);
}

/** The same in binary, both ways. */
async function binaryTurn(client: Client, tag: string): Promise<void> {
  const inserted = await client.query<{ id: unknown }>({
    ...{ text: 'INSERT INTO customers (name) VALUES ($1) RETURNING id', values: [`x${tag}`] },
    ...{ binary: true },
  });
  const id = Buffer.alloc(8);
  id.writeBigInt64BE(BigInt(String(inserted.rows[0]?.id)));
  await client.query({ text: 'SELECT name, id FROM customers WHERE id = $1', values: [id], ...{ binary: true } });
}

/** Ids that are drawn and lost: sequences do not roll back. */
async function rolledBackTurn(client: Client, tag: string, customer: string): Promise<void> {
  await client.query('BEGIN');
  await client.query('INSERT INTO orders (customer_id, amount, label) VALUES ($1, 1, $2) RETURNING id', [
    customer,
    `r${tag}`,
  ]);
  await client.query('ROLLBACK');
  await client.query('SELECT id, label FROM orders WHERE customer_id = $1 ORDER BY id', [customer]);
}

export const READ_BY_OTHERS = 'SELECT id, name FROM customers WHERE id = $1';

/** Another session asks for what the others made, one by one, the newest first. */
export async function readByOthers(client: Client, customers: ReadonlyMap<string, string>): Promise<void> {
  for (const id of [...customers.keys()].reverse()) await client.query(READ_BY_OTHERS, [id]);
}
