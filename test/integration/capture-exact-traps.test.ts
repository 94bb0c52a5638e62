// The traps of the protocol, each sprung by a real server: its conversation is recorded and what the assembler makes of it is exact.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { AnswerStorage, type EnvelopeDraft, StatementEnd, TransactionOutcome } from '@mirrorstream/envelope';
import type { PostgresServer } from '@mirrorstream/local';
import { B, decodeBackend, type FrontendMessage } from '@mirrorstream/pg-wire';
import { createDatabase, execute as run, seededRandom, startPostgres, type TestDatabase } from '@mirrorstream/testkit';
import { bind, data, execute, parse, query, sync } from '../../libs/capture/src/conversation-script.fixture.ts';
import { extended, schema, type Talk, traps } from './capture-exact-conversations.ts';
import {
  assemble,
  byteByByte,
  type Chunks,
  capturedBytes,
  envelopesIn,
  framesIn,
  linesOf,
  RecordedClient,
  readyStates,
  requestBytes,
  untilTrue,
  type WireEvent,
} from './capture-exact-scene.ts';

let server: PostgresServer;
let database: TestDatabase;
before(async () => {
  server = await startPostgres({ name: 'exact', settings: { max_prepared_transactions: '4' } });
  database = await createDatabase(server);
  await run(database.url, ...schema);
});
after(() => server.stop());

/** Records a conversation; unless it ended otherwise, the client says Terminate. */
async function record(talk: Talk): Promise<WireEvent[]> {
  const client = await RecordedClient.connect(database.url);
  try {
    await talk(client);
    await client.terminate();
  } finally {
    client.destroy();
  }
  return client.events;
}

/** The conversation as lines, after what must hold of every one: all bytes in order, the server's own states, any chunking. */
async function linesOfTalk(talk: Talk): Promise<string[]> {
  const events = await record(talk);
  const records = assemble(events);
  assert.ok(requestBytes(records).equals(capturedBytes(events)), 'the requests are what the client sent');
  const states = envelopesIn(records).map((it) => it.exchanges.map(({ answer }) => answer?.status ?? '').join(''));
  assert.equal(states.join(''), readyStates(events), 'every ReadyForQuery ends one exchange');
  for (const state of states)
    assert.match(state, /^[TE]*I?$/, 'an envelope ends where the server is idle, and nowhere else');
  assert.deepEqual(assemble(events, { chunks: byteByByte }), records, 'byte by byte it is the same');
  return linesOf(records);
}

describe('of a real server', { timeout: 120_000 }, () => {
  for (const { name, talk, lines } of traps) {
    it(name, async () => assert.deepEqual(await linesOfTalk(talk), lines));
  }

  it('frames of megabytes, split and merged anywhere, are the frames that were sent', async () => {
    const big = 'y'.repeat(3_000_000);
    const events = await record(async (client) => {
      await client.query(`SELECT '${big}' <> ''`);
      await client.send([parse('p', 'SELECT length($1::text)'), bind('p', '', big), execute(), sync], { ready: 1 });
      await client.send([query('COPY big FROM STDIN')], { ready: 1 });
      await client.query('CREATE TABLE IF NOT EXISTS big (a text)');
      await client.send([query('COPY big FROM STDIN')], { type: B.CopyInResponse });
      await client.send([data(`${big}\n`), { kind: 'copyDone' }], { ready: 1 });
      await client.query('SELECT a, a FROM big');
    });
    const random = seededRandom(11);
    const anywhere: Chunks = (size) => {
      const ends: number[] = [];
      for (let at = random.integer(1, 70_000); at < size; at += random.integer(1, 70_000)) ends.push(at);
      return [...ends, size];
    };
    for (const records of [assemble(events), assemble(events, { chunks: anywhere })]) {
      assert.ok(requestBytes(records).equals(capturedBytes(events)));
      const ends = envelopesIn(records).filter((it) => it.lastPart);
      const observed = ends.map((it) =>
        it.exchanges.at(-1)?.answer?.observations.map((of) => of.commandTag || of.sqlState),
      );
      assert.deepEqual(observed, [['SELECT 1'], ['SELECT 1'], ['42P01'], ['CREATE TABLE'], ['COPY 1'], ['SELECT 1']]);
      assert.deepEqual(
        [ends[5]?.exchanges[0]?.answer?.storage, ends[5]?.exchanges[0]?.answer?.sizeBytes],
        [AnswerStorage.DIGEST, 6_000_082],
      );
    }
  });

  it('COPY OUT of megabytes is digested and counted, and the same whatever the chunks', async () => {
    const events = await record((client) =>
      client.query('COPY (SELECT repeat(md5(i::text), 9) FROM generate_series(1, 20000) i) TO STDOUT'),
    );
    const digests = [
      undefined,
      (size: number) => Array.from({ length: Math.ceil(size / 777) }, (_, i) => Math.min(size, (i + 1) * 777)),
    ].map((chunks) => {
      const answer = envelopesIn(assemble(events, chunks === undefined ? {} : { chunks }))[0]?.exchanges[0]?.answer;
      assert.deepEqual([answer?.storage, answer?.raw.length], [AnswerStorage.DIGEST, 0]);
      return answer?.observations[0];
    });
    assert.deepEqual(
      [digests[0]?.commandTag, digests[0]?.rows, digests[0]?.sizeBytes, digests[0]?.digested],
      ['COPY 20000', 20_000, 20_000 * 289, true],
    );
    assert.deepEqual(digests[1], digests[0]);
  });

  it('large objects: every FunctionCall ends in ReadyForQuery, inside a transaction and outside', async () => {
    const creat = 957;
    const open = 952;
    const close = 953;
    const call = (functionOid: number, ...values: number[]): FrontendMessage => ({
      kind: 'functionCall',
      functionOid,
      argumentFormats: [1],
      arguments: values.map((value) => {
        const bytes = Buffer.alloc(4);
        bytes.writeInt32BE(value);
        return bytes;
      }),
      resultFormat: 1,
    });
    const lines = await linesOfTalk(async (client) => {
      await client.send([call(creat, 0x60000)], { ready: 1 });
      await client.query('BEGIN');
      await client.send([call(creat, 0x60000), call(open, 1, 0x40000), query('ROLLBACK')], { ready: 3 });
      await client.send([call(close, 0)], { ready: 1 });
      await client.send([call(1)], { ready: 1 });
    });
    assert.deepEqual(lines, [
      '#1 committed',
      '  0: F FunctionCall -> function I',
      '#2 failed',
      '  0: F Query -> complete BEGIN T',
      '  1: F FunctionCall -> function T',
      '  2: F FunctionCall -> error 42704 E',
      '  3: F Query -> complete ROLLBACK I',
      '#3 failed',
      '  0: F FunctionCall -> error 42704 I',
      '#4 failed',
      '  0: F FunctionCall -> error 42883 I',
    ]);
  });

  /** Ends a client's session from another. */
  async function terminated(talk: Talk, state = "state LIKE 'idle%'"): Promise<WireEvent[]> {
    const client = await RecordedClient.connect(database.url);
    const observer = await RecordedClient.connect(database.url);
    try {
      await client.query("SET application_name TO 'victim'");
      await talk(client);
      await untilTrue(
        observer,
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'victim' AND ${state}`,
        'the victim',
      );
      await client.send([], { end: true });
      await observer.terminate();
    } finally {
      client.destroy();
      observer.destroy();
    }
    return client.events;
  }

  it('an unsolicited FATAL, then the end: an open transaction failed, an idle session just ended', async () => {
    assert.deepEqual(
      linesOf(assemble(await terminated((client) => client.query('BEGIN', 'INSERT INTO t VALUES (1)')))).slice(2),
      [
        "#2 failed writes {SET application_name TO 'victim'}",
        '  0: F Query -> complete BEGIN T',
        '  1: F Query -> complete INSERT 0 1 T',
      ],
    );
    const idle = assemble(await terminated(async () => {}));
    assert.equal(linesOf(idle).length, 2);
    assert.deepEqual(idle.at(-1)?.kind, 'sessionEnd');
  });

  it('a FATAL in the middle of a statement is its answer, and what was not answered is not known', async () => {
    const sleeping = "wait_event = 'PgSleep'";
    const messages = [query('BEGIN; SELECT pg_sleep(60)'), query('COMMIT')];
    const events = await terminated((client) => client.send(messages), sleeping);
    assert.deepEqual(linesOf(assemble(events)).slice(2), [
      "#2 unknown {SET application_name TO 'victim'}",
      '  0: F Query -> complete BEGIN, error 57P01 -',
      '  1: F Query -> unanswered -',
    ]);
  });

  it('a connection that ends around COMMIT leaves the outcome unknown, in either protocol', async () => {
    for (const commit of [[query('COMMIT')], [...extended('COMMIT'), sync]]) {
      const client = await RecordedClient.connect(database.url);
      await client.query('BEGIN', 'INSERT INTO t VALUES (4)');
      const sent = client.send(commit);
      client.destroy();
      await sent;
      const [envelope] = envelopesIn(assemble(client.events)) as [EnvelopeDraft];
      assert.equal(envelope.outcome, TransactionOutcome.UNKNOWN);
      assert.deepEqual(
        envelope.exchanges.at(-1)?.answer?.observations.map(({ end }) => end),
        [StatementEnd.UNANSWERED],
      );
    }
  });

  it('a client that leaves in a COPY leaves nothing committed, and Terminate has no answer', async () => {
    const client = await RecordedClient.connect(database.url);
    await client.send([query('COPY t FROM STDIN')], { type: B.CopyInResponse });
    await client.send([data('1\n')]);
    client.destroy();
    assert.deepEqual(linesOf(assemble(client.events)), ['#1 unknown', '  0: F Query / F CopyData |23 -> unanswered -']);
    const lines = await linesOfTalk((it) => it.query('BEGIN'));
    assert.deepEqual(lines, ['#1 rolled_back', '  0: F Query -> complete BEGIN T']);
  });

  it('an unknown message goes into the envelope, which then cannot stand alone; the server ends the session', async () => {
    const client = await RecordedClient.connect(database.url);
    await client.send([query('SELECT 1'), Uint8Array.of(0x7e, 0, 0, 0, 5, 1), query('SELECT 2')], { end: true });
    assert.deepEqual(linesOf(assemble(client.events)), [
      '#1 committed needs:unknown_message',
      '  0: F Query -> complete SELECT 1 rows=1 I',
      '#2 unknown needs:unknown_message',
      '  0: F Unknown 0x7e / F Query -> error 08P01 -',
    ]);
  });

  it('an error larger than any buffer keeps its SQLSTATE and severity, and the session goes on', async () => {
    const events = await record((client) =>
      client.query(
        "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '23505', MESSAGE = repeat('m', 300000); END $$",
        'SELECT 1',
      ),
    );
    const records = assemble(events);
    assert.deepEqual(linesOf(records), [
      '#1 failed writes',
      '  0: F Query -> error 23505 digested I digest',
      '#2 committed',
      '  0: F Query -> complete SELECT 1 rows=1 I',
    ]);
    assert.equal(envelopesIn(records)[0]?.exchanges[0]?.answer?.observations[0]?.severity, 'ERROR');
    assert.deepEqual(assemble(events, { chunks: byteByByte }), records);
  });

  it('notices, notifications and parameter changes are in the answer in the order they came', async () => {
    const events = await record((client) =>
      client.query('LISTEN news', "DO $$ BEGIN RAISE NOTICE 'hm'; END $$; NOTIFY news; SET TimeZone TO 'Asia/Tokyo'"),
    );
    const raw = Buffer.from(envelopesIn(assemble(events))[1]?.exchanges[0]?.answer?.raw ?? []);
    const kinds = [...framesIn(raw)].map(({ start, end }) => decodeBackend(raw[start] as number, raw, start, end).kind);
    assert.deepEqual([...kinds].sort(), [
      'commandComplete',
      'commandComplete',
      'commandComplete',
      'noticeResponse',
      'notificationResponse',
      'parameterStatus',
      'readyForQuery',
    ]);
    assert.equal(kinds[0], 'noticeResponse');
  });
});
