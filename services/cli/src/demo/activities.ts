// What a demo session does: one activity at a time, each a recognisable bit of an application.
//
// Rules that keep the mirror `control` free of divergences: answers depend on base tables, which nobody changes, or on rows of this
// session alone; no now(), random() or sequence in an answer; lists are ordered, but for the one query that is planted.
import type { Client } from 'pg';
import { copyIn } from './copy-in.ts';
import type { SeededRandom } from './random.ts';
import { demoSize } from './schema.ts';

export interface SessionState {
  readonly client: Client;
  /** Unique over all sessions of all runs: part of every key that the session writes. */
  readonly key: string;
  readonly random: SeededRandom;
  /** Counts what this session has written, for its keys. */
  sequence: number;
  /** Waits a little inside a transaction, as an application does. */
  readonly think: () => Promise<void>;
}

export interface Activity {
  readonly name: string;
  readonly run: (session: SessionState) => Promise<void>;
}

/** Runs a statement that must fail with this SQLSTATE, here and on every mirror. */
async function expectError(client: Client, sqlState: string, sql: string, values?: unknown[]): Promise<void> {
  try {
    await client.query(sql, values);
  } catch (error) {
    if ((error as { code?: string }).code === sqlState) return;
    throw error;
  }
  throw new Error(`the demo expected SQLSTATE ${sqlState}`);
}

const customerOf = ({ random }: SessionState): number => 1 + random.below(demoSize.customers);

export const activities: readonly Activity[] = [
  {
    name: 'look a customer up, by a named prepared statement',
    run: async (session) => {
      const text = 'SELECT id, name, city, spent_cents FROM customers WHERE id = $1';
      await session.client.query({ name: 'customer_by_id', text, values: [customerOf(session)] });
    },
  },
  {
    name: 'list a city’s customers',
    run: async ({ client, random }) => {
      const city = ['Lisbon', 'Oslo', 'Quito', 'Nairobi', 'Osaka'][random.below(5)];
      await client.query('SELECT id, name FROM customers WHERE city = $1 ORDER BY id LIMIT 25', [city]);
    },
  },
  {
    name: 'several statements in one message',
    run: async (session) => {
      const id = customerOf(session);
      await session.client.query(
        `SELECT name FROM customers WHERE id = ${id}; SELECT count(*) FROM customers WHERE city = 'Oslo'; SELECT max(id) FROM products`,
      );
    },
  },
  {
    name: 'a report: aggregates, NULLs, arrays, JSON',
    run: async ({ client }) => {
      await client.query(
        `SELECT city, count(*), sum(spent_cents), min(NULLIF(spent_cents, 0)), json_build_object('city', city) AS j,
                ARRAY[min(id), max(id)] AS ids FROM customers GROUP BY city ORDER BY city`,
      );
    },
  },
  {
    name: 'open accounts and move money between them in a transaction',
    run: async ({ client, key, think, ...session }) => {
      const number = session.sequence * 2;
      await client.query('BEGIN');
      await client.query('INSERT INTO accounts VALUES ($1, $2, 100), ($1, $3, 50)', [key, number, number + 1]);
      await think();
      await client.query('UPDATE accounts SET balance = balance - 30 WHERE session = $1 AND number = $2', [
        key,
        number,
      ]);
      await client.query('UPDATE accounts SET balance = balance + 30 WHERE session = $1 AND number = $2', [
        key,
        number + 1,
      ]);
      await client.query('SELECT number, balance FROM accounts WHERE session = $1 AND number >= $2 ORDER BY number', [
        key,
        number,
      ]);
      await client.query(`UPDATE counters SET value = value + 1 WHERE name = 'counter 1'`);
      await client.query('COMMIT');
    },
  },
  {
    name: 'insert and return',
    run: async ({ client, key, sequence, ...session }) => {
      await client.query(
        'INSERT INTO orders (id, customer_id, note) VALUES ($1, $2, $3) RETURNING id, customer_id, note',
        [
          `${key}-${sequence}`,
          1 + session.random.below(demoSize.customers),
          session.random.below(2) === 0 ? null : 'fragile',
        ],
      );
    },
  },
  {
    name: 'change one’s mind: a transaction that is rolled back',
    run: async ({ client, key, sequence }) => {
      await client.query('BEGIN');
      await client.query('INSERT INTO orders (id, customer_id) VALUES ($1, 1)', [`${key}-${sequence}`]);
      await client.query('SELECT count(*) FROM orders WHERE id = $1', [`${key}-${sequence}`]);
      await client.query('ROLLBACK');
    },
  },
  {
    name: 'savepoints around a statement that fails',
    run: async ({ client, key, sequence }) => {
      const id = `${key}-${sequence}`;
      await client.query('BEGIN');
      await client.query('INSERT INTO orders (id, customer_id) VALUES ($1, 2)', [id]);
      await client.query('SAVEPOINT before_retry');
      await expectError(client, '23505', 'INSERT INTO orders (id, customer_id) VALUES ($1, 3)', [id]);
      await client.query('ROLLBACK TO SAVEPOINT before_retry');
      await client.query(`UPDATE orders SET note = 'kept' WHERE id = $1`, [id]);
      await client.query('COMMIT');
      await client.query('SELECT id, note FROM orders WHERE id = $1', [id]);
    },
  },
  {
    name: 'mistakes: a foreign key, a division, a typing error',
    run: async ({ client, key, sequence, random }) => {
      await expectError(client, '23503', 'INSERT INTO orders (id, customer_id) VALUES ($1, -1)', [
        `${key}-${sequence}`,
      ]);
      if (random.below(2) === 0)
        await expectError(client, '22012', 'SELECT 1 / (id - id) FROM customers WHERE id = $1', [7]);
      else await expectError(client, '42601', 'SELCT 1');
    },
  },
  {
    name: 'a transaction that fails and is given up',
    run: async ({ client }) => {
      await client.query('BEGIN');
      await expectError(client, '42P01', 'SELECT * FROM no_such_table');
      await expectError(client, '25P02', 'SELECT 1');
      await client.query('ROLLBACK');
    },
  },
  {
    name: 'bulk load by COPY',
    run: async ({ client, key, sequence, random }) => {
      const line = (n: number): string => `${key}\t${sequence * 1000 + n}\t/page/${random.below(500)}\n`;
      const lines = Array.from({ length: 20 + random.below(200) }, (_, n) => line(n));
      const half = lines.length >> 1;
      await copyIn(client, 'COPY page_views (session, position, page) FROM STDIN', [
        lines.slice(0, half).join(''),
        lines.slice(half).join(''),
      ]);
      await client.query('SELECT count(*), min(position), max(position) FROM page_views WHERE session = $1', [key]);
    },
  },
  {
    name: 'walk through a cursor',
    run: async ({ client, think, random }) => {
      await client.query('BEGIN');
      await client.query(
        `DECLARE walk CURSOR FOR SELECT id, name FROM products WHERE id > ${random.below(100)} ORDER BY id`,
      );
      await client.query('FETCH 10 FROM walk');
      await think();
      await client.query('FETCH 10 FROM walk');
      await client.query('CLOSE walk');
      await client.query('COMMIT');
    },
  },
  {
    name: 'work in a temporary table',
    run: async ({ client, sequence, random }) => {
      const table = `basket_${sequence}`;
      await client.query(`CREATE TEMP TABLE ${table} (product_id int, quantity int)`);
      await client.query(`INSERT INTO ${table} SELECT n, n % 3 FROM generate_series(1, ${10 + random.below(20)}) n`);
      await client.query(
        `SELECT p.name, b.quantity FROM ${table} b JOIN products p ON p.id = b.product_id ORDER BY p.id`,
      );
      await client.query(`DROP TABLE ${table}`);
    },
  },
  {
    name: 'set a parameter and read something',
    run: async ({ client, random }) => {
      await client.query(`SET statement_timeout = '${20 + random.below(10)}s'`);
      await client.query(`SELECT to_char(DATE '2024-02-29' + ${random.below(300)}, 'YYYY-MM-DD') AS day`);
    },
  },
  // From here on: what differs on the mirror `candidate`, see docs/demo.md.
  {
    name: 'planted, missing index: track a parcel',
    run: async ({ client, random }) => {
      const n = 1 + random.below(demoSize.parcels);
      const tracking = `MS${String((n * 7919) % 1_000_003).padStart(9, '0')}`;
      await client.query({
        name: 'track',
        text: 'SELECT id, weight_grams FROM parcels WHERE tracking = $1',
        values: [tracking],
      });
    },
  },
  {
    name: 'planted, stricter constraint: order more than 20 of something',
    run: async ({ client, key, sequence, random }) => {
      // Never read back, so that what fails on the mirror has no consequence there.
      await client.query('INSERT INTO order_lines (order_id, line, product_id, quantity) VALUES ($1, 1, $2, $3)', [
        `${key}-${sequence}`,
        1 + random.below(demoSize.products),
        21 + random.below(80),
      ]);
    },
  },
  {
    name: 'planted, changed view: what can be sold',
    run: async ({ client }) => {
      await client.query('SELECT id, name, price FROM sellable_products WHERE id <= 120 ORDER BY id');
      await client.query('SELECT count(*) AS articles, sum(price) AS total FROM sellable_products');
    },
  },
  {
    name: 'planted, changed function: loyalty points',
    run: async (session) => {
      // 51 to 99 cents beyond the euro: rounded there, cut off here.
      const cents = session.random.below(900) * 100 + 51 + session.random.below(49);
      await session.client.query('SELECT loyalty_points($1)', [cents]);
    },
  },
  {
    name: 'planted, other storage order: zones without ORDER BY',
    run: async ({ client }) => {
      await client.query('SELECT id, name FROM shipping_zones');
    },
  },
  {
    name: 'planted, wider column: prices',
    run: async ({ client, random }) => {
      await client.query('SELECT article, cents FROM price_list WHERE article = $1', [
        `article ${1 + random.below(demoSize.articles)}`,
      ]);
    },
  },
];
