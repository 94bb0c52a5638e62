import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { type CatalogFacts, type KeyCatalog, keyCatalog } from './key-catalog.ts';
import { lastValue } from './key-plan.ts';
import { createKeyPlans, type KeyPlans } from './key-plans.ts';

const column = (table: string, name: string, typeOid: number, generated = false) => ({
  name: ['public', table, name] as const,
  typeOid,
  generated,
});

const facts: CatalogFacts = {
  columns: [
    column('customers', 'id', 20, true),
    column('customers', 'name', 25),
    column('orders', 'id', 23, true),
    column('orders', 'customer_id', 20),
    column('orders', 'amount', 23),
    column('items', 'order_id', 23),
    column('items', 'pos', 23),
    column('items', 'note', 25),
    column('things', 'id', 2950, true),
    column('things', 'name', 25),
    column('hib', 'id', 20),
    column('soft', 'who', 20),
    { name: ['other', 'logs', 'id'], typeOid: 20, generated: true },
    { name: ['public', 'logs', 'id'], typeOid: 20, generated: true },
  ],
  sequences: [
    ['public', 'customers_id_seq'],
    ['public', 'orders_id_seq'],
    ['public', 'free_seq'],
  ],
  feeds: [
    { sequence: ['public', 'customers_id_seq'], column: ['public', 'customers', 'id'] },
    { sequence: ['public', 'orders_id_seq'], column: ['public', 'orders', 'id'] },
  ],
  references: [
    { from: ['public', 'orders', 'customer_id'], to: ['public', 'customers', 'id'] },
    { from: ['public', 'items', 'order_id'], to: ['public', 'orders', 'id'] },
  ],
};

let plans: KeyPlans;
let catalog: KeyCatalog;

before(async () => {
  catalog = keyCatalog(facts, [
    { from: 'soft.who', to: 'customers.id' },
    { from: 'hib.id', to: 'free_seq' },
    { from: 'soft.nobody', to: 'customers.id' },
  ]);
  plans = (await createKeyPlans({ maxEntries: 100, maxBytes: 1e6 }))(catalog);
});

/** `1:customers.id[]` for parameters, `5@customers.id` for constants. */
function uses(sql: string): string {
  const plan = plans.plan(sql);
  assert.notEqual(plan, null, `does not parse: ${sql}`);
  const parameters = [...(plan?.parameters ?? [])].map(
    ([n, { space, list }]) => `$${n}:${space.replace('public.', '')}${list ? '[]' : ''}`,
  );
  const bytes = Buffer.from(sql);
  const literals = (plan?.literals ?? []).map(
    ({ from, to, space, list }) =>
      `${bytes.toString('utf8', from, to)}@${space.replace('public.', '')}${list ? '[]' : ''}`,
  );
  return [...parameters, ...literals].join(' ');
}

/** Of the n-th statement: `-` no id, `*` fresh. */
function outputs(sql: string, n = 0): string {
  const found = plans.plan(sql)?.statements[n]?.outputs;
  if (found == null) return String(found);
  return found
    .map((it) =>
      it === null
        ? '-'
        : `${it.space === lastValue ? 'lastval' : it.space.replace('public.', '')}${it.fresh ? '*' : ''}`,
    )
    .join(' ');
}

describe('what a text says of ids', () => {
  test('parameters and constants that are compared with a key column, or with one that refers to it', () => {
    assert.equal(uses('SELECT name FROM customers WHERE id = $1'), '$1:customers.id');
    assert.equal(uses('SELECT amount FROM orders o WHERE $1 = o.customer_id AND amount > 5'), '$1:customers.id');
    assert.equal(
      uses('DELETE FROM public.items WHERE order_id IN ($1, $2, 77)'),
      '$1:orders.id $2:orders.id 77@orders.id',
    );
    assert.equal(
      uses('SELECT 1 FROM "customers" WHERE "customers"."id" = ANY($1::bigint[]) LIMIT $2'),
      '$1:customers.id[]',
    );
    assert.equal(uses("SELECT 'é' FROM customers WHERE id = '12' OR id <> -3"), "'12'@customers.id -3@customers.id");
    assert.equal(uses("SELECT 1 FROM customers WHERE id = ANY('{1,2}')"), "'{1,2}'@customers.id[]");
    assert.equal(uses('SELECT 1 FROM customers WHERE (name, id) = ($1, $2)'), '$2:customers.id');
    assert.equal(
      uses("SELECT 1 FROM things WHERE id = 'aaaaaaaa-0000-0000-0000-000000000000'::uuid").includes('@things.id'),
      true,
    );
    assert.equal(uses('SELECT 1 FROM soft WHERE who = $1'), '$1:customers.id');
  });

  test('values that are put into key columns', () => {
    assert.equal(
      uses(
        'INSERT INTO orders (amount, customer_id) VALUES ($1, $2), (3, 4) ON CONFLICT (id) DO UPDATE SET customer_id = $3',
      ),
      '$2:customers.id $3:customers.id 4@customers.id',
    );
    assert.equal(uses('INSERT INTO items VALUES ($1, 1, 2)'), '$1:orders.id');
    assert.equal(uses('INSERT INTO items (order_id, pos) SELECT $1, g FROM generate_series(1, 3) g'), '$1:orders.id');
    assert.equal(
      uses('INSERT INTO items (order_id, pos) SELECT * FROM unnest($1::int[], $2::int[])'),
      '$1:orders.id[]',
    );
    assert.equal(uses('UPDATE orders SET customer_id = $1, amount = $2 WHERE id = $3'), '$1:customers.id $3:orders.id');
    assert.equal(uses('UPDATE orders SET (amount, customer_id) = ($1, $2)'), '$2:customers.id');
    assert.equal(
      uses(
        'MERGE INTO items i USING (VALUES ($1, 2)) v(o, p) ON i.order_id = v.o WHEN NOT MATCHED THEN INSERT (order_id, pos) VALUES (v.o, v.p)',
      ),
      '$1:orders.id',
    );
  });

  test('through WITH, sub-selects, VALUES, unnest and joins', () => {
    assert.equal(
      uses('SELECT 1 FROM customers c JOIN unnest($1::bigint[]) AS u(id) ON u.id = c.id'),
      '$1:customers.id[]',
    );
    assert.equal(uses('SELECT 1 FROM customers c JOIN unnest($1::bigint[]) AS id USING (id)'), '$1:customers.id[]');
    assert.equal(
      uses('UPDATE orders SET amount = v.a FROM (VALUES ($1::int, $2::int), (7, 8)) AS v(i, a) WHERE orders.id = v.i'),
      '$1:orders.id 7@orders.id',
    );
    assert.equal(uses('SELECT 1 FROM orders WHERE customer_id IN (SELECT unnest($1::bigint[]))'), '$1:customers.id[]');
    assert.equal(uses('WITH x AS (SELECT id AS k FROM customers) SELECT 1 FROM x WHERE k = $1'), '$1:customers.id');
    assert.equal(
      uses('SELECT 1 FROM customers c WHERE EXISTS (SELECT 1 FROM orders WHERE customer_id = c.id AND id = $1)'),
      '$1:orders.id',
    );
    assert.equal(
      uses(
        'WITH RECURSIVE t AS (SELECT id FROM orders WHERE id = $1 UNION ALL SELECT o.id FROM orders o, t WHERE o.id = t.id) SELECT 1 FROM t WHERE id = 4',
      ),
      '$1:orders.id 4@orders.id',
    );
  });

  test('nothing where the text does not say so', () => {
    for (const sql of [
      'SELECT 1 FROM orders WHERE amount = $1',
      'SELECT 1 FROM customers WHERE id > $1',
      'SELECT 1 FROM customers WHERE id BETWEEN 1 AND $1',
      'SELECT 1 FROM customers WHERE id + 1 = $1',
      'SELECT 1 FROM customers LIMIT $1 OFFSET 3',
      'SELECT 1 FROM logs WHERE id = $1',
      'SELECT 1 FROM unknown WHERE id = $1',
      'SELECT 1 FROM f($1) AS customers(id) WHERE id = 3',
      'WITH customers AS (SELECT 1 AS id) SELECT 1 FROM customers WHERE id = 1',
      'SELECT f(5) FROM customers',
      'SELECT setval($1, 3)',
      'SELECT 1 FROM customers WHERE id::text = $1',
      'SELECT 1 FROM customers WHERE id = $1::text::bigint',
    ])
      assert.equal(uses(sql), '', sql);
    assert.equal(uses('SELECT 1 FROM other.logs WHERE id = $1'), '$1:other.logs.id');
  });

  test('a parameter that also says something else is left alone; whether it is null says nothing', () => {
    assert.equal(uses('SELECT 1 FROM orders WHERE id = $1 AND amount = $1'), '');
    assert.equal(uses('SELECT 1 FROM orders WHERE id = $1 OR customer_id = $1'), '');
    assert.equal(uses('SELECT 1 FROM orders WHERE ($1::int IS NULL OR id = $1)'), '$1:orders.id');
  });

  test("an answer's columns", () => {
    assert.equal(outputs('INSERT INTO orders (customer_id) VALUES (1) RETURNING *'), 'orders.id* customers.id -');
    assert.equal(outputs('INSERT INTO things (name) VALUES (1) RETURNING name, id AS key'), '- things.id*');
    assert.equal(
      outputs('SELECT o.*, c.name FROM orders o JOIN customers c ON c.id = o.customer_id'),
      'orders.id customers.id - -',
    );
    assert.equal(
      outputs('WITH n AS (INSERT INTO orders DEFAULT VALUES RETURNING id) SELECT n.id, 4 FROM n'),
      'orders.id* -',
    );
    assert.equal(
      outputs("SELECT nextval('orders_id_seq'), currval('public.free_seq'::regclass), lastval()"),
      'orders.id* public.free_seq* lastval*'.replace('public.', ''),
    );
    assert.equal(outputs("SELECT currval(pg_get_serial_sequence('orders', 'id'))"), 'orders.id*');
    assert.equal(outputs('SELECT max(id), id FROM orders GROUP BY id'), '- orders.id');
    assert.equal(outputs('SELECT *, 1 FROM orders, unknown'), 'null');
    assert.equal(outputs('SELECT id FROM orders UNION SELECT order_id FROM items'), 'orders.id');
    assert.equal(outputs('SELECT id FROM orders UNION SELECT amount FROM orders'), '-');
    assert.equal(outputs('SELECT id::text, id::bigint FROM orders'), '- orders.id');
    assert.equal(outputs('BEGIN'), 'null');
    assert.equal(outputs('BEGIN; SELECT id FROM things', 1), 'things.id');
    assert.equal(outputs('UPDATE orders SET amount = 1 RETURNING id'), 'orders.id');
  });

  test('what its rows are sorted by', () => {
    const sorted = (sql: string) => plans.plan(sql)?.statements[0]?.sortedByKey;
    assert.equal(sorted('SELECT id FROM orders ORDER BY id'), true);
    assert.equal(sorted('SELECT amount FROM orders o ORDER BY amount, o.customer_id DESC'), true);
    assert.equal(sorted('SELECT id AS x FROM orders ORDER BY x'), true);
    assert.equal(sorted('SELECT amount, id FROM orders ORDER BY 2'), true);
    assert.equal(sorted('SELECT amount, id FROM orders ORDER BY 1'), false);
    assert.equal(sorted('SELECT id FROM (SELECT id FROM orders ORDER BY id) s'), false);
    assert.equal(sorted('SELECT id FROM orders'), false);
  });

  test('which sequence lastval() is of', () => {
    const draws = (sql: string) => plans.plan(sql)?.statements[0]?.draws;
    assert.equal(draws('INSERT INTO orders (amount) VALUES (1)'), 'public.orders.id');
    assert.equal(draws('INSERT INTO orders VALUES (DEFAULT, 1)'), 'public.orders.id');
    assert.equal(draws('INSERT INTO orders (id) VALUES (5)'), null);
    assert.equal(draws("SELECT nextval('free_seq')"), 'public.free_seq');
  });

  test('configured references that name nothing are told', () => {
    assert.deepEqual(catalog.unknownReferences, [{ from: 'soft.nobody', to: 'customers.id' }]);
  });

  test('text that does not parse, or is nested without end, has no plan', () => {
    assert.equal(plans.plan('SELEC'), null);
    assert.equal(plans.plan(`SELECT ${'('.repeat(400)}1${')'.repeat(400)}`)?.literals.length ?? 0, 0);
    assert.equal(plans.plan(`SELECT ${'abs('.repeat(400)}1${')'.repeat(400)}`), null);
  });
});
