// A session's life: start-up in all its forms, what is never captured, times and order, lost places, and bytes that make no sense.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GapReason } from '@mirrorstream/envelope';
import { type BackendMessage, CANCEL_REQUEST_CODE } from '@mirrorstream/pg-wire';
import {
  bind,
  bound,
  columns,
  copyIn,
  data,
  envelopesOf,
  error,
  execute,
  greeting,
  parse,
  parsed,
  play,
  query,
  ready,
  row,
  type Step,
  startup,
  stepBytes,
  summary,
  sync,
  tag,
  terminate,
  transactionsOf,
} from './conversation-script.fixture.ts';
import { conversations } from './conversations.fixture.ts';
import { defaultCaptureLimits } from './limits.ts';
import { samplingDrawOf } from './sampling.ts';
import { seededRandom } from './seeded-random.fixture.ts';
import { createSequencer } from './sequencer.ts';
import { openSession } from './session.ts';

const select: Step[] = [
  ['F', query('SELECT 1')],
  ['B', tag('SELECT 1'), ready('I')],
];
const ok: BackendMessage = { kind: 'authenticationOk' };
const refusal = Uint8Array.of(0x4e);

test('SSLRequest and GSSENCRequest before the StartupMessage are answered by a bare byte, seen or not', () => {
  const requests: Step[][] = [
    [
      ['F', { kind: 'sslRequest' }],
      ['B', refusal],
    ],
    [
      ['F', { kind: 'gssencRequest' }],
      ['B', refusal],
      ['F', { kind: 'sslRequest' }],
      ['B', refusal],
    ],
    [['F', { kind: 'sslRequest' }]],
  ];
  for (const before of requests) {
    assert.deepEqual(summary(play([...before, ...greeting, ...select]).records), [
      'start app@shop',
      '#1 committed',
      '  0: F Query -> complete SELECT 1 I',
      'end after 1',
    ]);
  }
});

test('a session without queries is a start and an end; the database defaults to the user', () => {
  const hello: Step[] = [
    ['F', { kind: 'startupMessage', protocolVersion: 196_610, parameters: [{ name: 'user', value: 'bob' }] }],
    ['B', ok, ready('I')],
  ];
  const { records } = play([...hello, ['F', terminate]]);
  assert.deepEqual(summary(records), ['start bob@bob', 'end after 0 terminated']);
  assert.equal(records[0]?.kind === 'sessionStart' && records[0].context.protocolVersion, 196_610);
});

test('cancel requests, replication sessions and failed authentications are not captured', () => {
  const cancel = Buffer.alloc(16);
  cancel.writeInt32BE(16, 0);
  cancel.writeInt32BE(CANCEL_REQUEST_CODE, 4);
  const uncaptured: Step[][] = [
    [['F', cancel]],
    [['F', startup({ replication: 'database' })], ['B', ok, ready('I')], ...select],
    [
      ['F', startup()],
      ['B', error('28P01', 'FATAL')],
    ],
    [
      ['F', startup()],
      ['B', ok],
    ],
    [['F', Uint8Array.of(0x16, 3, 1, 0, 200, 1, 0, 0)]],
    [['F', Buffer.from('GET / HTTP/1.1\r\n\r\n')]],
  ];
  for (const steps of uncaptured) assert.deepEqual(play(steps).records, []);
  assert.equal(
    summary(
      play([
        ['F', startup({ replication: 'false' })],
        ['B', ok, ready('I')],
      ]).records,
    ).length,
    2,
  );
});

test('passwords, SASL messages, backend keys and secret parameters are in no record', () => {
  const sasl = Buffer.from('p\0\0\0\x13SCRAM-SHA-256\0hunter3', 'latin1');
  sasl.writeInt32BE(sasl.length - 1, 1);
  const steps: Step[] = [
    ['F', startup({ my_password: 'hunter4', options: '-c jit=off' })],
    ['B', { kind: 'authenticationSASL', mechanisms: ['SCRAM-SHA-256'] }],
    ['F', sasl],
    ['B', ok, { kind: 'backendKeyData', processId: 0x01020304, secretKey: Buffer.from('hunter5!') }, ready('I')],
    ['F', query("ALTER ROLE app PASSWORD 'hunter6'")],
    ['B', tag('ALTER ROLE'), ready('I')],
    ['F', sasl, query('SELECT 1')],
    ['B', tag('SELECT 1'), ready('I')],
    ['F', parse('', "CREATE USER bob WITH ENCRYPTED PASSWORD E'hunter\\'7'"), bind(), execute(), sync],
    ['B', error('42501'), ready('I')],
  ];
  for (const chunking of [undefined, (size: number) => Array.from({ length: size }, (_, i) => i + 1)]) {
    const { records } = play(steps, chunking === undefined ? {} : { chunking });
    const parts = envelopesOf(records).flatMap((it) => it.exchanges.map((exchange) => exchange.request));
    const all = JSON.stringify(records) + Buffer.concat(parts).toString('latin1');
    assert.doesNotMatch(all, /hunter/);
    assert.match(all, /ALTER ROLE app PASSWORD 'xxxxxxx'/);
    assert.deepEqual(
      envelopesOf(records).map((it) => it.redactions),
      [1, 0, 1],
    );
    assert.equal(parts[0]?.length, 39);
  }
});

test('a password in a statement too large to hold is redacted all the same, wherever a part is cut', () => {
  const filler = `/* ${'f'.repeat(700_000)} */`;
  const sql = `${filler} ALTER ROLE app PASSWORD 'hunter2'; ${filler} ALTER ROLE app PASSWORD 'hunter3'`;
  const chunking = (size: number): number[] =>
    Array.from({ length: Math.ceil(size / 9001) }, (_, i) => Math.min(size, (i + 1) * 9001));
  const { records } = play([...greeting, ['F', query(sql)], ['B', tag('ALTER ROLE'), tag('ALTER ROLE'), ready('I')]], {
    chunking,
  });
  const request = Buffer.concat(envelopesOf(records).flatMap((it) => it.exchanges.map((exchange) => exchange.request)));
  assert.equal(request.length, sql.length + 6);
  assert.ok(!request.includes('hunter'));
  assert.equal(envelopesOf(records).reduce((sum, it) => sum + it.redactions, 0) >= 2, true);
});

test('times are of first and last bytes, relative to the transaction, and order is by completion over all sessions', () => {
  const { records, sequencer } = play([
    ...greeting,
    ['F', query('BEGIN')],
    ['B', tag('BEGIN')],
    ['B', ready('T')],
    ['F', query('SELECT 1'), query('SELECT 2')],
    ['B', columns('a')],
    ['B', row('1'), tag('SELECT 1'), ready('T'), tag('SELECT 1')],
    ['F', query('COMMIT')],
    ['B', ready('T'), tag('COMMIT'), ready('I')],
  ]);
  const [envelope] = envelopesOf(records);
  assert.equal(envelope?.startedMonoUs, 1500);
  assert.equal(envelope?.startedAtUs, 5_001_500);
  assert.deepEqual(
    envelope?.exchanges.map((it) => [it.sentUs, it.firstReplyUs, it.doneUs, it.afterSeq, it.doneSeq]),
    [
      [0, 100, 200, 0, 1],
      [300, 400, 500, 1, 2],
      [300, 500, 700, 1, 3],
      [600, 700, 700, 2, 4],
    ],
  );
  assert.deepEqual(
    envelope?.exchanges.map((it) => it.answer?.observations[0]?.latencyUs),
    [100, 200, 200, 100],
  );
  assert.equal(sequencer.lastDoneSeq, 4);
});

test('a cancel request is noted on the exchange under way, and on none when the session is idle', () => {
  const { records } = play([
    ...greeting,
    ['cancelled'],
    ['F', query('SELECT pg_sleep(9)')],
    ['cancelled'],
    ['B', error('57014'), ready('I')],
    ...select,
  ]);
  assert.deepEqual(
    envelopesOf(records).map((it) => it.exchanges[0]?.cancelledAfterUs),
    [100, 0],
  );
});

test('a cancel request is noted where it belongs by the time it went by, told early or late', () => {
  const { records } = play([
    ...greeting,
    ['cancelled', -150], // before the bytes of the statement that it is for
    ['F', query('SELECT pg_sleep(9)')],
    ['B', error('57014'), ready('I')],
    ...select,
    ['F', query('BEGIN')],
    ['B', tag('BEGIN'), ready('T')],
    ['F', query('SELECT pg_sleep(8)')],
    ['B', error('57014'), ready('E')],
    ['F', query('ROLLBACK')],
    ['cancelled', 250], // after the answer: its transaction is still here
    ['B', tag('ROLLBACK'), ready('I')],
  ]);
  assert.deepEqual(
    envelopesOf(records).map((it) => it.exchanges.map(({ cancelledAfterUs }) => cancelledAfterUs)),
    [[50], [0], [0, 50, 0]],
  );
});

test('a cancel request that is told after its exchange was published is said to be lost, and harms no other', () => {
  const { records, session } = play([...greeting, ['F', query('SELECT pg_sleep(9)')]], { open: true });
  const [sentUs, doneUs] = [1_500, 2_000];
  const answer = stepBytes(['B', error('57014'), ready('I')]);
  session.serverChunk(answer, 0, answer.length, doneUs);
  const next = stepBytes(['F', query('SELECT 1')]);
  session.clientChunk(next, 0, next.length, doneUs + 100);
  assert.equal(session.cancelled(sentUs + 300), false);
  assert.equal(session.cancelled(doneUs + 50), true, 'it met an idle session: there is nothing to note');
  const done = stepBytes(['B', tag('SELECT 1'), ready('I')]);
  session.serverChunk(done, 0, done.length, doneUs + 200);
  session.close(doneUs + 300);
  assert.deepEqual(
    envelopesOf(records).map((it) => it.exchanges[0]?.cancelledAfterUs),
    [0, 0],
  );
});

test('bytes missed: what was open is given up and counted, and the session is followed again from its next quiet point', () => {
  const steps: Step[] = [
    ['F', parse('p', 'SELECT 1'), sync],
    ['B', parsed, ready('I')],
    ['F', query('BEGIN')],
    ['B', tag('BEGIN'), ready('T')],
    ['missed', 'client', 30],
    ['B', tag('SELECT 1'), ready('T')],
    ['F', query('COMMIT')],
    ['B', tag('COMMIT'), ready('I')],
    ['F', Buffer.from('not frames')],
    ['B', ready('I')],
    ['F', bind('p'), execute(), sync],
    ['B', { kind: 'bindComplete' }, tag('SELECT 1'), ready('I')],
  ];
  const { records } = play([...greeting, ...steps]);
  assert.deepEqual(summary(records), [
    'start app@shop',
    '#1 committed',
    '  0: F Parse / F Sync -> nothing I',
    'gap ring_full transactions>=2 after 1',
    '#2 committed needs:after_gap <p>',
    '  0: F Bind / F Execute / F Sync -> complete SELECT 1 I',
    'end after 2',
  ]);
  const gap = records.find((it) => it.kind === 'gap');
  // 30 missed, 14 + 12 given up open, then what passed unseen.
  assert.ok(gap?.kind === 'gap' && gap.sizeBytes >= 30 + 11 + 20 && gap.reason === GapReason.RING_FULL);
});

test('a session whose start capture saw but not the rest begins at its first quiet point, with its start', () => {
  assert.deepEqual(summary(play([['F', startup()], ['missed', 'server', 300], ['B', ready('I')], ...select]).records), [
    'start app@shop',
    'gap ring_full transactions>=1 after 0',
    '#1 committed needs:after_gap',
    '  0: F Query -> complete SELECT 1 I',
    'end after 1',
  ]);
  assert.deepEqual(summary(play([['missed', 'client', 60], ['B', ok, ready('I')], ...select]).records), [
    'gap ring_full transactions>=0 after 0',
  ]);
});

test('a gap that lasts is reported while it lasts, and nothing is counted twice', () => {
  const { records } = play([
    ...greeting,
    ['missed', 'server', 10],
    ['B', tag('SELECT 1'), ready('I')],
    ['tick', 2_000_000],
    ['tick', 2_000_000],
    ['F', Uint8Array.of(1, 2, 3)],
    ['B', ready('I')],
    ['tick', 2_000_000],
  ]);
  const gaps = records.filter((it) => it.kind === 'gap');
  assert.deepEqual(
    gaps.map((it) => [it.transactions, it.sizeBytes]),
    [
      [1, 30],
      [1, 9],
    ],
  );
});

test('a reply no request explains, a malformed length and a missing reply lose the place, never the session', () => {
  const broken: Step[][] = [
    [['B', tag('SELECT 1')]],
    [
      ['F', query('SELECT 1')],
      ['B', parsed],
    ],
    [
      ['F', parse('', 'SELECT 1'), sync],
      ['B', ready('I')],
    ],
    [
      ['F', query('SELECT 1')],
      ['B', Uint8Array.of(0x44, 0, 0, 0, 1)],
    ],
    [['F', Uint8Array.of(0x51, 255, 0, 0, 1)]],
    [
      ['F', query('SELECT 1')],
      ['B', tag('SELECT 1'), Uint8Array.of(0x5a, 0, 0, 0, 5, 0x40)],
    ],
  ];
  for (const steps of broken) {
    const lines = transactionsOf([...select, ...steps, ['B', ready('I')], ...select]);
    assert.match(lines[2] ?? '', /^gap malformed transactions>=[12] after 1$/, JSON.stringify(lines));
    assert.deepEqual(lines.slice(3), ['#2 committed needs:after_gap', '  0: F Query -> complete SELECT 1 I']);
  }
});

test('whatever the bytes, nothing is thrown, memory stays bounded, and envelopes stay in sequence', () => {
  const all = conversations.map(({ steps }) => [...greeting, ...steps]);
  for (let seed = 1; seed <= 400; seed++) {
    const random = seededRandom(seed);
    const steps = (all[Math.floor(random() * all.length)] as Step[]).concat(
      all[Math.floor(random() * all.length)]?.slice(5) ?? [],
    );
    const mutated = steps.map((step): Step => {
      if ((step[0] !== 'F' && step[0] !== 'B') || random() < 0.7)
        return random() < 0.03 ? ['missed', 'client', 9] : step;
      const bytes = Buffer.from(stepBytes(step));
      for (let i = 0; i < 2; i++) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
      const kept = bytes.subarray(0, random() < 0.2 ? Math.floor(random() * bytes.length) : bytes.length);
      return step[0] === 'F' ? ['F', kept] : ['B', kept];
    });
    const { records, session } = play(mutated, { chunking: (size) => [Math.floor(size * random()), size] });
    assert.ok(session.bufferedBytes < 256 * 1024, `seed ${seed}`);
    const seqs = envelopesOf(records)
      .filter((it) => it.part === 0)
      .map((it) => it.sessionSeq);
    assert.deepEqual(
      seqs,
      seqs.map((_, i) => i + 1),
      `seed ${seed}`,
    );
  }
});

test('an emit that throws costs the transaction, not the worker', () => {
  const records: string[] = [];
  const session = openSession({
    sessionId: 's',
    samplingDraw: 0,
    clock: { wallUsAtMonoZero: 0 },
    sequencer: createSequencer(),
    limits: defaultCaptureLimits,
    emit: (draft) => {
      if (draft.kind === 'envelope' && draft.sessionSeq === 1) throw new Error('full');
      records.push(draft.kind);
    },
  });
  for (const step of [...greeting, ...select, ...select, ...select]) {
    const bytes = stepBytes(step);
    if (step[0] === 'F') session.clientChunk(bytes, 0, bytes.length, 1);
    else session.serverChunk(bytes, 0, bytes.length, 1);
  }
  session.close(2);
  session.close(3);
  assert.deepEqual(records, ['sessionStart', 'gap', 'envelope', 'envelope', 'sessionEnd']);
});

test('a statement prepared long ago is carried as it was sent, whatever went by since', () => {
  const first = parse('first', 'SELECT balance FROM accounts WHERE id = $1');
  const steps: Step[] = [
    ['F', first, sync],
    ['B', parsed, ready('I')],
    ['F', parse('second', 'SELECT 2'), sync],
    ['B', parsed, ready('I')],
    ['F', query(`SELECT '${'x'.repeat(400)}'`)],
    ['B', tag('SELECT 1'), ready('I')],
    ['F', bind('first', '', '1'), execute(), sync],
    ['B', bound, tag('SELECT 1'), ready('I')],
  ];
  const last = envelopesOf(play([...greeting, ...steps]).records).at(-1);
  assert.deepEqual(
    last?.context?.statements.map(({ name, parseFrame }) => [name, Buffer.from(parseFrame)]),
    [['first', Buffer.from(stepBytes(['F', first]))]],
  );
});

test('an open transaction is counted while it is open, and its bytes while they are kept', () => {
  const { session } = play(
    [...greeting, ['F', query('COPY t FROM STDIN')], ['B', copyIn], ['F', data('x'.repeat(5000))]],
    { open: true },
  );
  assert.equal(session.openTransactions, 1);
  assert.ok(session.bufferedBytes > 5000);
  assert.equal(session.exchanges, 0);
  session.close(9_000);
  assert.equal(session.openTransactions, 0);
});

test('sampling draws are uniform and depend on the id alone', () => {
  const draws = Array.from({ length: 20_000 }, (_, i) => samplingDrawOf(`node-1-a1-0-${i}`));
  assert.ok(draws.every((draw) => draw >= 0 && draw < 1));
  assert.equal(samplingDrawOf('node-1-a1-0-7'), draws[7]);
  for (let tenth = 0; tenth < 10; tenth++) {
    const share = draws.filter((draw) => Math.floor(draw * 10) === tenth).length;
    assert.ok(Math.abs(share - 2000) < 3 * Math.sqrt(1800), `tenth ${tenth}: ${share}`);
  }
});

test('limits no session could work with are refused by name', () => {
  const limits = { ...defaultCaptureLimits, partBytes: 100 };
  const open = (changed: object) => () =>
    openSession({
      sessionId: 's',
      samplingDraw: 0,
      clock: { wallUsAtMonoZero: 0 },
      sequencer: createSequencer(),
      limits: { ...limits, ...changed },
      emit: () => {},
    });
  assert.throws(open({}), /partBytes must be at least 4096/);
  assert.throws(open({ partBytes: 2 ** 23 }), /sessionBufferBytes must not be below partBytes/);
  assert.throws(open({ partBytes: 2 ** 19, partAgeUs: Number.NaN }), /partAgeUs must be a number/);
});
