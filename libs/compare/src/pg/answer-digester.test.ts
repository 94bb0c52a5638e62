// The digester: one observation per statement, what counts into a digest and what does not, and frames that come in pieces.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ObservationDraft } from '@mirrorstream/envelope';
import { StatementEnd } from '@mirrorstream/envelope';
import { AnswerDigester } from './answer-digester.ts';
import {
  commandComplete,
  copyData,
  dataRow,
  errorResponse,
  frame,
  readyForQuery,
  rowDescription,
  seeded,
  text,
} from './backend-frames.fixture.ts';

function digest(frames: readonly Uint8Array[], options?: { digest?: boolean }): readonly ObservationDraft[] {
  const digester = new AnswerDigester(options);
  frames.forEach((f, i) => {
    digester.frame(f, 0, f.length, (i + 1) * 10);
  });
  return digester.observations();
}

function only(frames: readonly Uint8Array[]): ObservationDraft {
  const found = digest(frames);
  assert.equal(found.length, 1);
  return found[0] as ObservationDraft;
}

const select = (rows: readonly (readonly (string | null)[])[], columns = ['a', 'b']) => [
  rowDescription(columns.map((name) => ({ name }))),
  ...rows.map((row) => dataRow(row)),
  commandComplete(`SELECT ${rows.length}`),
  readyForQuery('I'),
];

const orderedOf = (o: ObservationDraft) => [o.orderedHi, o.orderedLo];
const multisetOf = (o: ObservationDraft) => [o.multisetHi, o.multisetLo];
const columnsOf = (o: ObservationDraft) => [o.columnsHi, o.columnsLo];

describe('answer digester', () => {
  it('reads B RowDescription / DataRow ×2 / CommandComplete / ReadyForQuery as one statement', () => {
    const digester = new AnswerDigester();
    const frames = select([
      ['1', 'x'],
      ['2', null],
    ]);
    frames.forEach((f, i) => {
      digester.frame(f, 0, f.length, i * 100);
    });
    const observation = digester.observations()[0] as ObservationDraft;
    assert.equal(observation.end, StatementEnd.COMPLETE);
    assert.equal(observation.commandTag, 'SELECT 2');
    assert.equal(observation.rows, 2);
    assert.equal(observation.columnCount, 2);
    assert.equal(observation.sizeBytes, 2 + 8 + 2 + (2 + 8 + 1));
    assert.equal(observation.latencyUs, 300);
    assert.equal(observation.firstRowUs, 100);
    assert.equal(observation.digested, true);
    assert.equal(digester.readyStatus, 'I');
  });

  it('says when the first row of each statement came, also of one that came in pieces', () => {
    const found = digest([
      commandComplete('BEGIN'),
      ...select([
        ['1', '2'],
        ['3', '4'],
      ]),
    ]);
    assert.deepEqual(
      found.map((o) => [o.firstRowUs, o.latencyUs]),
      [
        [0, 10],
        [30, 50],
      ],
    );
    const digester = new AnswerDigester();
    const row = dataRow(['x'.repeat(50)]);
    digester.begin(0x44, row.length - 5);
    digester.part(row, 5, 30);
    digester.part(row, 30, row.length);
    digester.finishFrame(7);
    const tag = commandComplete('SELECT 1');
    digester.frame(tag, 0, tag.length, 9);
    assert.deepEqual([digester.observations()[0]?.firstRowUs, digester.observations()[0]?.latencyUs], [7, 9]);
  });

  it('reads a simple query of three statements as three observations', () => {
    const found = digest([
      commandComplete('BEGIN'),
      ...select([['1', '2']]).slice(0, 3),
      commandComplete('COMMIT'),
      readyForQuery('I'),
    ]);
    assert.deepEqual(
      found.map((o) => [o.commandTag, o.rows, o.columnCount]),
      [
        ['BEGIN', 0, 0],
        ['SELECT 1', 1, 2],
        ['COMMIT', 0, 0],
      ],
    );
  });

  it('reads the ends of the extended protocol', () => {
    const found = digest([
      frame('1'),
      frame('2'),
      rowDescription([{ name: 'a' }]),
      dataRow(['1']),
      frame('s'),
      dataRow(['2']),
      commandComplete('SELECT 1'),
      frame('2'),
      frame('n'),
      commandComplete('INSERT 0 1'),
      frame('I'),
      frame('V', Buffer.from([0, 0, 0, 1, 65])),
      readyForQuery('T'),
    ]);
    assert.deepEqual(
      found.map((o) => [o.end, o.rows, o.columnCount]),
      [
        [StatementEnd.SUSPENDED, 1, 1],
        [StatementEnd.COMPLETE, 1, 0],
        [StatementEnd.COMPLETE, 0, 0],
        [StatementEnd.EMPTY, 0, 0],
        [StatementEnd.FUNCTION, 0, 0],
      ],
    );
  });

  it('takes SQLSTATE and the severity that is never localised', () => {
    const error = only([
      errorResponse({ S: 'FEHLER', V: 'ERROR', C: '23514', M: 'neue Zeile', t: 'accounts' }),
      readyForQuery('E'),
    ]);
    assert.equal(error.end, StatementEnd.ERROR);
    assert.equal(error.sqlState, '23514');
    assert.equal(error.severity, 'ERROR');
    assert.equal(only([errorResponse({ S: 'FATAL', C: '57P01' })]).severity, 'FATAL');
  });

  it('counts COPY out lines like rows and keeps their formats as columns', () => {
    const formats = Buffer.from([0, 0, 2, 0, 0, 0, 0]);
    const found = only([
      frame('H', formats),
      copyData('1\tx\n'),
      copyData('2\ty\n'),
      frame('c'),
      commandComplete('COPY 2'),
    ]);
    assert.equal(found.rows, 2);
    assert.equal(found.columnCount, 2);
    assert.equal(found.sizeBytes, 8);
    const binary = only([frame('H', Buffer.from([1, 0, 2, 0, 1, 0, 1])), commandComplete('COPY 0')]);
    assert.notDeepEqual(columnsOf(found), columnsOf(binary));
  });

  it('ignores notices, notifications and parameter changes', () => {
    const plain = only(select([['1', '2']]));
    const [head, ...rest] = select([['1', '2']]) as [Buffer, ...Buffer[]];
    const noisy = only([
      frame('N', Buffer.concat([text('SNOTICE'), Buffer.from([0])])),
      head,
      frame('S', Buffer.concat([text('TimeZone'), text('UTC')])),
      frame('A', Buffer.concat([Buffer.from([0, 0, 0, 1]), text('channel'), text('')])),
      ...rest,
    ]);
    const timeless = { latencyUs: 0, firstRowUs: 0 };
    assert.deepEqual({ ...noisy, ...timeless }, { ...plain, ...timeless });
  });

  it('tells NULL from the empty value, and one row from two with the same bytes', () => {
    assert.notDeepEqual(orderedOf(only(select([['1', null]]))), orderedOf(only(select([['1', '']]))));
    assert.notDeepEqual(orderedOf(only(select([['ab', 'c']]))), orderedOf(only(select([['a', 'bc']]))));
    assert.notDeepEqual(multisetOf(only(select([['a', 'b']]))), multisetOf(only(select([['a'], ['b']]))));
  });

  it('gives the same multiset and another order for reordered rows', () => {
    const one = only(select([['1'], ['2'], ['3']]));
    const other = only(select([['3'], ['1'], ['2']]));
    assert.deepEqual(multisetOf(one), multisetOf(other));
    assert.notDeepEqual(orderedOf(one), orderedOf(other));
  });

  it('compares columns by name, built-in type and format only', () => {
    const columns = (column: Parameters<typeof rowDescription>[0][number]) =>
      columnsOf(only([rowDescription([column]), commandComplete('SELECT 0')]));
    const base = columns({ name: 'balance', typeOid: 23, tableOid: 16400, attribute: 3 });
    assert.deepEqual(columns({ name: 'balance', typeOid: 23, tableOid: 17001, attribute: 5, typeModifier: 9 }), base);
    assert.notDeepEqual(columns({ name: 'balance', typeOid: 20 }), base);
    assert.notDeepEqual(columns({ name: 'Balance', typeOid: 23 }), base);
    assert.notDeepEqual(columns({ name: 'balance', typeOid: 23, format: 1 }), base);
    assert.deepEqual(columns({ name: 'mood', typeOid: 16500 }), columns({ name: 'mood', typeOid: 24001 }));
  });

  it('starts every statement afresh and every exchange empty', () => {
    const digester = new AnswerDigester();
    const feed = (frames: readonly Uint8Array[]) => {
      for (const f of frames) digester.frame(f, 0, f.length, 5);
    };
    feed(select([['1', '2']]));
    const first = digester.observations();
    digester.reset();
    assert.deepEqual(digester.observations(), []);
    assert.equal(digester.readyStatus, '');
    feed([dataRow(['x'])]);
    digester.reset();
    feed(select([['1', '2']]));
    assert.deepEqual(digester.observations(), first);
  });

  it('without digests keeps tags, counts and SQLSTATE only', () => {
    const [plain] = digest(select([['1', '2']]), { digest: false });
    assert.equal(plain?.digested, false);
    assert.deepEqual([plain?.rows, plain?.commandTag, plain?.columnCount], [1, 'SELECT 1', 2]);
    assert.deepEqual([plain?.orderedHi, plain?.multisetLo, plain?.columnsHi], [0, 0, 0]);
  });

  it('does not stumble over malformed and truncated bodies', () => {
    const random = seeded(99);
    for (let round = 0; round < 3000; round++) {
      const type = 'TDCEZHdVINSAnst?'[Math.floor(random() * 16)] as string;
      const body = Uint8Array.from({ length: Math.floor(random() * 60) }, () => Math.floor(random() * 256));
      digest([frame(type, body), commandComplete('SELECT 1')]);
    }
  });
});

describe('answer digester fed in pieces', () => {
  const wide = Array.from({ length: 30 }, (_, i) => ({ name: `column_${i}`, typeOid: 20 + i }));
  const conversation = [
    rowDescription(wide),
    dataRow(['1', 'some longer text value', null]),
    dataRow(['2', 'ü', '']),
    commandComplete('SELECT 2'),
    frame('H', Buffer.from([0, 0, 1, 0, 0])),
    copyData('1\tsome line of a copy\n'),
    frame('c'),
    commandComplete('COPY 1'),
    frame('V', Buffer.from([0, 0, 0, 3, 1, 2, 3])),
    errorResponse({ S: 'ERROR', V: 'ERROR', C: '42P01', M: 'relation "x" does not exist' }),
    readyForQuery('E'),
  ];

  for (const withDigest of [true, false]) {
    it(`observes the same at every border of two pieces (digest: ${withDigest})`, () => {
      const expected = digest(conversation, { digest: withDigest });
      assert.equal(expected.length, 4);
      for (const [index, target] of conversation.entries()) {
        for (let border = 5; border <= target.length; border++) {
          const digester = new AnswerDigester({ digest: withDigest });
          conversation.forEach((f, i) => {
            if (i !== index) {
              digester.frame(f, 0, f.length, (i + 1) * 10);
              return;
            }
            digester.begin(f[0] as number, f.length - 5);
            digester.part(f, 5, border);
            digester.part(f, border, f.length);
            digester.finishFrame((i + 1) * 10);
          });
          assert.deepEqual(digester.observations(), expected);
          assert.equal(digester.readyStatus, 'E');
        }
      }
    });
  }

  it('observes the same for columns and errors beyond what it holds', () => {
    const huge = rowDescription([{ name: 'x'.repeat(1_100_000) }]);
    const error = errorResponse({ V: 'ERROR', C: '22000', M: 'y'.repeat(100_000) });
    const whole = digest([huge, dataRow(['1']), commandComplete('SELECT 1'), error]);
    const digester = new AnswerDigester();
    const inPieces = (f: Uint8Array, atUs: number) => {
      digester.begin(f[0] as number, f.length - 5);
      for (let at = 5; at < f.length; at += 4093) digester.part(f, at, Math.min(f.length, at + 4093));
      digester.finishFrame(atUs);
    };
    [huge, dataRow(['1']), commandComplete('SELECT 1'), error].forEach((f, i) => {
      inPieces(f, (i + 1) * 10);
    });
    assert.deepEqual(digester.observations(), whole);
  });
});
