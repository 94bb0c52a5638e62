// Bounds: parts by size and age, answers above the cap, memory, frames larger than any buffer.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AnswerStorage, BatchEncoder, StatementEnd, TransactionOutcome } from '@mirrorstream/envelope';
import { traceFrames } from '@mirrorstream/pg-wire';
import {
  bind,
  bound,
  type Chunking,
  columns,
  copyIn,
  copyOut,
  data,
  done,
  envelopesOf,
  error,
  execute,
  greeting,
  parse,
  parsed,
  play,
  query,
  ready,
  requestsOf,
  row,
  type Step,
  stepBytes,
  summary,
  sync,
  tag,
  transactionsOf,
} from './conversation-script.fixture.ts';

const origin = { source: 'orders', captureNode: 'node-1', incarnation: 'k3f9', worker: 0, partition: 1 };
const startBytes = play(greeting).sent.length;

/** Chunks of this size. */
const pieces =
  (chunkBytes: number): Chunking =>
  (size) =>
    Array.from({ length: Math.ceil(size / chunkBytes) }, (_, i) => Math.min(size, (i + 1) * chunkBytes));

/** Encoded size of the largest envelope, alone in a batch. */
function largestPart(records: ReturnType<typeof play>['records']): number {
  const encoder = new BatchEncoder(origin);
  return Math.max(
    ...envelopesOf(records).map((envelope) => {
      encoder.reset();
      encoder.add(envelope);
      return encoder.sizeBytes;
    }),
  );
}

test('a COPY of 20 MB streams through in parts below 512 KiB, in bounded memory, and its bytes add up', () => {
  const rows = data('x'.repeat(30_000));
  const chunk: Step = ['F', rows, rows];
  const steps: Step[] = [...greeting, ['F', query('COPY t FROM STDIN')], ['B', copyIn]];
  for (let i = 0; i < 340; i++) steps.push(chunk);
  const { records, sent, session } = play([...steps, ['F', done], ['B', tag('COPY 680'), ready('I')]]);
  const parts = envelopesOf(records);
  assert.ok(parts.length > 40);
  assert.ok(largestPart(records) <= 512 * 1024);
  assert.ok(session.bufferedBytes < 512 * 1024);
  assert.deepEqual(
    parts.map((it) => it.part),
    parts.map((_, i) => i),
  );
  assert.ok(parts.every((it) => it.sessionSeq === 1 && it.exchanges.every((exchange) => exchange.index === 0)));
  assert.deepEqual(
    parts.map((it) => it.lastPart),
    parts.map((_, i) => i === parts.length - 1),
  );
  assert.equal(parts.at(-1)?.outcome, TransactionOutcome.COMMITTED);
  assert.equal(parts.at(-1)?.exchanges[0]?.answer?.observations[0]?.commandTag, 'COPY 680');
  assert.ok(parts.every((it, i) => (it.context !== null) === (i === 0)));
  assert.ok(requestsOf(records).equals(sent.subarray(startBytes)));
});

test('frames far larger than any buffer pass in constant memory: a Bind, a CopyData, a Query', () => {
  const big = 'y'.repeat(6_000_000);
  const steps: Step[] = [
    ['F', parse('p', 'SELECT $1'), sync],
    ['B', parsed, ready('I')],
    ['F', bind('p', '', big), execute(), sync],
    ['B', bound, tag('SELECT 1'), ready('I')],
    ['F', query('COPY t FROM STDIN')],
    ['B', copyIn],
    ['F', data(big), done],
    ['B', tag('COPY 1'), ready('I')],
    ['F', query(`SELECT '${big}'`)],
    ['B', columns('a'), row(big), tag('SELECT 1'), ready('I')],
  ];
  let highest = 0;
  const chunking = pieces(65_536);
  const { records, sent, session } = play([...greeting, ...steps], {
    chunking,
    open: true,
    watch: (it) => (highest = Math.max(highest, it.bufferedBytes)),
  });
  assert.ok(highest < 1024 * 1024, `${highest} bytes`);
  assert.ok(session.bufferedBytes < 64 * 1024);
  assert.ok(largestPart(records) <= 512 * 1024);
  assert.ok(requestsOf(records).equals(sent.subarray(startBytes)));
  const ends = envelopesOf(records).filter((it) => it.lastPart);
  assert.deepEqual(
    ends.map((it) => it.outcome),
    Array(4).fill(TransactionOutcome.COMMITTED),
  );
  assert.ok(envelopesOf(records).every((it) => it.dependsOnSession.length === 0));
  const used = envelopesOf(records).find((it) => it.sessionSeq === 2 && it.part === 0);
  assert.deepEqual(
    used?.context?.statements.map((it) => it.name),
    ['p'],
  );
  const answer = ends[3]?.exchanges.at(-1)?.answer;
  assert.equal(answer?.storage, AnswerStorage.DIGEST);
  assert.equal(answer?.observations[0]?.rows, 1);
  assert.equal(answer?.observations[0]?.sizeBytes, 6_000_006);
  assert.equal(answer?.observations[0]?.digested, true);
});

test('a COPY that fails while a large CopyData is still coming in ends when that frame does', () => {
  const big = data('z'.repeat(900_000));
  const bytes = Buffer.alloc(900_005, 'z');
  bytes[0] = 0x64;
  bytes.writeInt32BE(900_004, 1);
  const steps: Step[] = [
    ['F', query('COPY t FROM STDIN')],
    ['B', copyIn],
    ['F', big, bytes.subarray(0, 600_000)],
    ['B', error('22P02'), ready('I')],
    ['F', bytes.subarray(600_000), query('SELECT 1')],
    ['B', tag('SELECT 1'), ready('I')],
  ];
  const { records, sent } = play([...greeting, ...steps]);
  const ends = envelopesOf(records).filter((it) => it.lastPart);
  assert.deepEqual(
    ends.map((it) => it.outcome),
    [TransactionOutcome.FAILED, TransactionOutcome.COMMITTED],
  );
  assert.equal(ends[1]?.exchanges[0]?.request.length, 14);
  assert.ok(requestsOf(records).equals(sent.subarray(startBytes)));
});

test('what a client goes on copying after its COPY failed is let go, and the session is followed all along', () => {
  const pile = data('s'.repeat(60_000));
  const large = data('s'.repeat(900_000));
  const steps: Step[] = [
    ['F', query('COPY t FROM STDIN')],
    ['B', copyIn],
    ['F', data('bad')],
    ['B', error('22P02'), ready('I')],
    ...Array.from({ length: 100 }, (): Step => ['F', pile]),
    ['F', large],
    ['F', large, done, query('SELECT 1')],
    ['B', tag('SELECT 1'), ready('I')],
  ];
  for (const size of [7_001, 65_536]) {
    let highest = 0;
    const { records } = play([...greeting, ...steps], {
      chunking: pieces(size),
      watch: (it) => {
        highest = Math.max(highest, it.bufferedBytes);
      },
    });
    assert.deepEqual(
      records.map((it) => it.kind),
      ['sessionStart', 'envelope', 'envelope', 'sessionEnd'],
    );
    const last = envelopesOf(records)[1]?.exchanges[0];
    assert.equal(last?.answer?.observations[0]?.commandTag, 'SELECT 1');
    assert.ok(
      Buffer.from(last?.request ?? [])
        .subarray(-14)
        .equals(stepBytes(['F', query('SELECT 1')])),
    );
    assert.doesNotThrow(() => traceFrames('F', last?.request ?? new Uint8Array(0)));
    assert.ok(highest < 1024 * 1024);
  }
});

test('an answer above the cap keeps digests of every statement instead of bytes, equal to those of digest mode', () => {
  const rows = Array.from({ length: 400 }, (_, i) => row(`value ${i}`, null));
  const steps: Step[] = [
    ['F', query('SELECT 1; SELECT a FROM t; SELECT bad')],
    [
      'B',
      columns('a'),
      row('1'),
      tag('SELECT 1'),
      columns('a', 'b'),
      ...rows,
      tag('SELECT 400'),
      error('42703'),
      ready('I'),
    ],
  ];
  const answerOf = (limits: object) => {
    const answer = envelopesOf(play([...greeting, ...steps], { limits }).records)[0]?.exchanges[0]?.answer;
    assert.ok(answer);
    return answer;
  };
  const over = answerOf({ answerCapBytes: 1000 });
  const digest = answerOf({ answers: 'digest' });
  assert.equal(over.storage, AnswerStorage.DIGEST);
  assert.equal(over.raw.length, 0);
  assert.deepEqual(over, digest);
  assert.deepEqual(
    over.observations.map((it) => [it.end, it.rows, it.columnCount]),
    [
      [StatementEnd.COMPLETE, 1, 1],
      [StatementEnd.COMPLETE, 400, 2],
      [StatementEnd.ERROR, 0, 0],
    ],
  );
  assert.ok(over.observations.slice(0, 2).every((it) => it.digested && it.orderedLo !== 0));
  const none = answerOf({ answers: 'none' });
  assert.equal(none.storage, AnswerStorage.NONE);
  assert.ok(none.observations.every((it) => !it.digested));
  const full = answerOf({});
  assert.equal(full.storage, AnswerStorage.FULL);
  assert.equal(full.raw.length, full.sizeBytes);
  assert.equal(full.sizeBytes, over.sizeBytes);
});

test('a COPY OUT above the cap is digested and counted', () => {
  const lines = Array.from({ length: 300 }, (_, i) => data(`${i}\tabc\n`));
  const steps: Step[] = [
    ['F', query('COPY t TO STDOUT')],
    ['B', copyOut, ...lines, done, tag('COPY 300'), ready('I')],
  ];
  assert.deepEqual(transactionsOf(steps, { limits: { answerCapBytes: 2000 } }), [
    '#1 committed',
    '  0: F Query -> complete COPY 300 rows=300 digested I digest',
  ]);
});

test('a transaction that goes on longer than the part age publishes what is finished, and brings every statement it could use', () => {
  const steps: Step[] = [
    ['F', parse('p', 'SELECT 1'), parse('q', 'SELECT 2'), sync],
    ['B', parsed, parsed, ready('I')],
    ['F', query('BEGIN')],
    ['B', tag('BEGIN'), ready('T')],
    ['tick', 500_000],
    ['F', query('SELECT 1')],
    ['tick', 600_000],
    ['B', tag('SELECT 1'), ready('T')],
    ['tick', 1_000],
    ['F', bind('q'), execute(), query('COMMIT')],
    ['B', bound, tag('SELECT 1'), tag('COMMIT'), ready('I')],
  ];
  assert.deepEqual(transactionsOf(steps), [
    '#1 committed',
    '  0: F Parse x2 / F Sync -> nothing I',
    '#2.0 goes on <p> <q>',
    '  0: F Query -> complete BEGIN T',
    '#2.1 committed',
    '  1: F Query -> complete SELECT 1 T',
    '  2: F Bind / F Execute / F Query -> complete SELECT 1, complete COMMIT I',
  ]);
});

test('a slow COPY publishes its data by age, in pieces that keep the segments', () => {
  const steps: Step[] = [
    ['F', query('COPY t FROM STDIN')],
    ['B', copyIn],
    ['tick', 1_100_000],
    ['F', data('1\n')],
    ['tick', 1_100_000],
    ['F', data('2\n'), done],
    ['B', tag('COPY 2'), ready('I')],
  ];
  assert.deepEqual(transactionsOf(steps), [
    '#1.0 goes on',
    '  0+: F Query -> no answer',
    '#1.1 goes on',
    '  0+: F CopyData |0 -> no answer',
    '#1.2 committed writes',
    '  0: F CopyData / F CopyDone -> complete COPY 2 I',
  ]);
});

test('a request nobody answers cannot grow beyond the session buffer: the transaction is given up, counted, and the session goes on', () => {
  const pile = Array.from({ length: 50 }, () => query('x'.repeat(10_000)));
  const steps: Step[] = [
    ['F', query('SELECT 1')],
    ...Array.from({ length: 12 }, (): Step => ['F', ...pile]),
    ['B', ready('I')],
    // It pipelines: only a pause says that nothing is under way.
    ['tick', 60_000],
    ['F', query('SELECT 2')],
    ['B', tag('SELECT 1'), ready('I')],
  ];
  const { records, session } = play([...greeting, ...steps], { limits: { sessionBufferBytes: 1_000_000 } });
  assert.deepEqual(
    summary(records).filter((line) => !/^(start|end) /.test(line)),
    ['gap memory_limit transactions>=1 after 0', '#1 committed needs:after_gap', '  0: F Query -> complete SELECT 1 I'],
  );
  assert.ok(session.bufferedBytes < 100_000);
});

test('a Query of very many statements keeps a bounded number of observations', () => {
  const answers = Array.from({ length: 5000 }, () => tag('SELECT 1'));
  const { records } = play([...greeting, ['F', query('SELECT 1;'.repeat(5000))], ['B', ...answers, ready('I')]]);
  assert.equal(envelopesOf(records)[0]?.exchanges[0]?.answer?.observations.length, 2048);
  assert.ok(largestPart(records) <= 512 * 1024);
});
