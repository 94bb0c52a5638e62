// What is sent to bring a mirror's session to where an envelope expects it, on a fresh connection and on one in use.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  BatchEncoder,
  decodeEnvelopeBatch,
  type SessionContext,
  type SessionContextDraft,
} from '@mirrorstream/envelope';
import { formatTrace, traceFrames } from '@mirrorstream/pg-wire';
import { contextFrames } from './context-frames.ts';

const nothing: SessionContextDraft = {
  database: 'shop',
  user: 'app',
  protocolVersion: 196_608,
  startupParameters: [],
  settings: [],
  statements: [],
};

/** As a consumer gets it. */
function received(context: SessionContextDraft): SessionContext {
  const encoder = new BatchEncoder({ source: 's', captureNode: 'n', incarnation: 'i', worker: 0, partition: 0 });
  encoder.add({ kind: 'sessionStart', sessionId: 's-1', atUs: 1, monoUs: 1, samplingDraw: 0, context });
  const record = decodeEnvelopeBatch(encoder.take()).records[0]?.record;
  assert.ok(record?.case === 'sessionStart' && record.value.context !== undefined);
  return record.value.context;
}

function sent(context: SessionContextDraft, connection: 'fresh' | 'used'): Buffer {
  const frames = contextFrames(received(context), connection);
  assert.ok(frames instanceof Uint8Array);
  return Buffer.from(frames);
}

test('a statement made by the SQL command PREPARE is made again by it; where its name may be taken, that is given back first', () => {
  const sql = 'PREPARE p(int) AS SELECT $1';
  const context = { ...nothing, sqlStatements: [{ name: 'p', sql }] };
  for (const [connection, trace] of [
    ['fresh', 'F Query'],
    ['used', 'F Query x3 / F Close / F Sync / F Query'],
  ] as const) {
    const frames = sent(context, connection);
    assert.equal(formatTrace(traceFrames('F', frames)), trace);
    assert.ok(frames.includes(sql));
  }
});

test('on a connection that was another session’s nothing of that is left, and it is marked as ours, before anything else', () => {
  const context = received({ ...nothing, settings: [{ name: 'a', sql: 'SET a TO b' }] });
  const frames = contextFrames(context, 'handedOn', ["SET mirrorstream.session = 's-2'"]);
  assert.ok(frames instanceof Uint8Array);
  const text = Buffer.from(frames).toString('latin1');
  const order = ['DISCARD ALL', 'RESET ROLE', "SET mirrorstream.session = 's-2'", 'SET a TO b'].map((sql) =>
    text.indexOf(`${sql}\0`),
  );
  assert.ok(
    order.every((at, index) => at > (order[index - 1] ?? 0)),
    String(order),
  );
});

test('a context that a fresh connection has anyway sends nothing', () => {
  assert.equal(contextFrames(received(nothing), 'fresh'), null);
});

test('on a connection in use, user and role are taken back before the settings: RESET ALL does not touch them', () => {
  const context = { ...nothing, settings: [{ name: 'role', sql: 'SET ROLE reader' }] };
  const queries = [...traceFrames('F', sent(context, 'used'))].length;
  const text = sent(context, 'used').toString('latin1');
  const order = ['RESET SESSION AUTHORIZATION', 'RESET ROLE', 'RESET ALL', 'SET ROLE reader'].map((sql) =>
    text.indexOf(`${sql}\0`),
  );
  assert.equal(queries, 4);
  assert.deepEqual(
    order,
    order.toSorted((a, b) => a - b),
  );
  assert.ok(order.every((at) => at >= 0));
});
