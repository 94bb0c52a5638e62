// What the keeper of ids does with a catalog, with one that it may not read, and with a schema that changes.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { SessionContext } from '@mirrorstream/envelope';
import type { TargetConnection, TargetHandlers } from '@mirrorstream/pg-target';
import { IdKeeper, type IdKeeperOptions } from './id-keeper.ts';

const shop = { database: 'shop', user: 'app' } as SessionContext;
const SELECT = 'SELECT name FROM customers WHERE id = $1';

const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};
const frame = (type: string, ...body: readonly Uint8Array[]): Buffer => {
  const bytes = Buffer.concat(body);
  return Buffer.concat([Buffer.from(type), int32(bytes.length + 4), bytes]);
};
const dataRow = (values: readonly (string | null)[]): Buffer => {
  const cells = values.map((value) =>
    value === null ? int32(-1) : Buffer.concat([int32(Buffer.byteLength(value)), Buffer.from(value)]),
  );
  return frame('D', int32(values.length).subarray(2), ...cells);
};

/** A server that answers each query with these rows; null: it refuses. */
function connectionTo(rows: readonly (readonly (string | null)[])[] | null) {
  let handlers: TargetHandlers | null = null;
  const { promise: closed, resolve: close } = Promise.withResolvers<void>();
  const state = { asked: 0, closed };
  const answer = rows === null ? [frame('E', Buffer.from('SERROR\0C42501\0\0'))] : rows.map(dataRow);
  const connection = {
    rebind: (next: TargetHandlers) => {
      handlers = next;
    },
    write: () => {
      state.asked += 1;
      queueMicrotask(() => handlers?.onBytes(Buffer.concat([...answer, frame('Z', Buffer.from('I'))])));
      return true;
    },
    close,
  } as unknown as TargetConnection;
  return { connection, state };
}

const catalog = [
  ['1', 'public', 'customers', 'id', '20', 'true', null],
  ['1', 'public', 'customers', 'name', '25', 'false', null],
  ['2', 'public', 'customers_id_seq', null, null, null, null],
  ['3', 'public', 'customers_id_seq', 'public', 'customers', 'id', null],
];

async function keeper(limits: Partial<IdKeeperOptions['config']['limits']> = {}) {
  const warnings: string[] = [];
  const logger = { info: () => {}, debug: () => {}, warn: (_: unknown, text: string) => warnings.push(text) };
  const made = await IdKeeper.create({
    config: {
      scope: 'mirror',
      references: [{ from: 'mails.customer', to: 'customers.id' }],
      limits: {
        ...{ maxEntries: 10, maxBytes: 1e6, maxCatalogRows: 100, maxPlans: 10, maxPlanBytes: 1e6, rereadMs: 1 },
        ...limits,
      },
    },
    timeoutMs: 1000,
    logger: logger as unknown as IdKeeperOptions['logger'],
  });
  return { keeper: made, warnings };
}

const spaceOf = (ids: IdKeeper): string | undefined =>
  ids.mapping.plansOf('shop')?.plan(SELECT)?.parameters.get(1)?.space;

describe('the keeper of ids', () => {
  it('asks once for many connections, and tells references that name nothing', async () => {
    const { keeper: ids, warnings } = await keeper();
    const { connection, state } = connectionTo(catalog);
    await Promise.all([ids.prepare(shop, connection), ids.prepare(shop, connectionTo(catalog).connection)]);
    await ids.prepare(shop, connection);
    assert.deepEqual([state.asked, spaceOf(ids), ids.mapping.plansOf('other')], [1, 'public.customers.id', null]);
    assert.match(warnings.join(), /names what is not there/);
  });

  it('maps nothing where the catalog may not be read, or is larger than its bound', async () => {
    for (const [rows, limits] of [
      [null, {}],
      [catalog, { maxCatalogRows: 3 }],
    ] as const) {
      const { keeper: ids, warnings } = await keeper(limits);
      await ids.prepare(shop, connectionTo(rows).connection);
      assert.equal(spaceOf(ids), undefined);
      assert.match(warnings.join(), /ids of this database are not mapped/);
    }
  });

  it('reads again, on a connection of its own, when a session changed the schema, once for many statements', async () => {
    const { keeper: ids } = await keeper();
    await ids.prepare(shop, connectionTo([]).connection);
    assert.equal(spaceOf(ids), undefined);
    const again = connectionTo(catalog);
    ids.askBy(async (context) => {
      await ids.prepare(context, again.connection);
      return again.connection;
    });
    for (let i = 0; i < 5; i++) ids.mapping.onSchemaChange('shop');
    await again.state.closed;
    assert.deepEqual([again.state.asked, spaceOf(ids)], [1, 'public.customers.id']);
    ids.stop();
  });

  it('asks the next connection where the one before was lost', async () => {
    const { keeper: ids } = await keeper();
    const lost = {
      rebind: (handlers: TargetHandlers) => queueMicrotask(() => handlers.onLost(new Error('gone') as never)),
      write: () => true,
    } as unknown as TargetConnection;
    await assert.rejects(ids.prepare(shop, lost), /gone/);
    await ids.prepare(shop, connectionTo(catalog).connection);
    assert.equal(spaceOf(ids), 'public.customers.id');
  });
});
