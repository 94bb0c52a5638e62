// Tests of the gathering of divergences, with answers as a server sends them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeVerdictBatch, encodeVerdictBatch } from '@mirrorstream/envelope';
import { DivergenceGroups } from './divergences.ts';

const textOid = 25;
const int4Oid = 23;
const int8Oid = 20;

const frame = (type: string, body: Buffer): Buffer => {
  const head = Buffer.alloc(5, type);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
};
const zeroEnded = (text: string): Buffer => Buffer.from(`${text}\0`);
const int16 = (value: number): Buffer => Buffer.from([value >> 8, value & 255]);
const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};

function rowDescription(columns: readonly (readonly [name: string, oid: number])[]): Buffer {
  const fields = columns.map(([name, oid]) =>
    Buffer.concat([zeroEnded(name), int32(0), int16(0), int32(oid), int16(4), int32(-1), int16(0)]),
  );
  return frame('T', Buffer.concat([int16(columns.length), ...fields]));
}
const dataRow = (...cells: (string | null)[]): Buffer =>
  frame(
    'D',
    Buffer.concat([
      int16(cells.length),
      ...cells.map((cell) => (cell === null ? int32(-1) : Buffer.concat([int32(cell.length), Buffer.from(cell)]))),
    ]),
  );
const complete = (tag: string): Buffer => Buffer.concat([frame('C', zeroEnded(tag)), frame('Z', Buffer.from('I'))]);
const failed = (sqlState: string, message: string): Buffer =>
  Buffer.concat([
    frame(
      'E',
      Buffer.concat([
        zeroEnded('SERROR'),
        zeroEnded('VERROR'),
        zeroEnded(`C${sqlState}`),
        zeroEnded(`M${message}`),
        Buffer.from([0]),
      ]),
    ),
    frame('Z', Buffer.from('I')),
  ]);

function batch(className: string, capturedRaw: Buffer, replayedRaw: Buffer, fingerprint = 'f1', mirror = 'candidate') {
  const exemplar = {
    normalizedSql: 'SELECT $1',
    sql: 'SELECT 1',
    capturedRaw,
    replayedRaw,
    captured: { rows: 2n },
    replayed: { rows: 1n },
  };
  const statement = { class: className, fingerprint, detail: 'it differs', exemplar };
  const verdicts = [
    { ref: { sessionId: 's', sessionSeq: 1n, lastPart: true }, statements: [statement, { class: 'match' }] },
  ];
  return decodeVerdictBatch(encodeVerdictBatch({ environment: 'default', mirror, verdicts }));
}

function only(groups: DivergenceGroups) {
  const [first, ...rest] = groups.list();
  assert.deepEqual(rest, []);
  assert.ok(first);
  return first;
}

test('a changed value is shown by the cells that differ, with their names', () => {
  const groups = new DivergenceGroups();
  const columns = rowDescription([
    ['id', int4Oid],
    ['city', textOid],
    ['balance', int4Oid],
  ]);
  const answer = (balance: string | null): Buffer =>
    Buffer.concat([columns, dataRow('1', 'Oslo', '5'), dataRow('2', 'Oslo', balance), complete('SELECT 2')]);
  groups.add(batch('value', answer('10'), answer(null)));
  assert.deepEqual(only(groups), {
    mirror: 'candidate',
    class: 'value',
    count: 1,
    sql: 'SELECT $1',
    detail: 'it differs',
    captured: 'row 2: balance = 10',
    replayed: 'row 2: balance = NULL',
  });
});

test('a new error is shown with its code and text', () => {
  const groups = new DivergenceGroups();
  groups.add(batch('errorNew', complete('INSERT 0 1'), failed('23514', 'violates check\u001b[2J constraint')));
  const { captured, replayed } = only(groups);
  assert.equal(captured, 'INSERT 0 1');
  assert.equal(replayed, 'ERROR 23514: violates check [2J constraint');
});

test('other columns are shown with name and type, other orders and counts by their rows', () => {
  const groups = new DivergenceGroups();
  const typed = (oid: number): Buffer =>
    Buffer.concat([
      rowDescription([
        ['n', textOid],
        ['cents', oid],
      ]),
      complete('SELECT 0'),
    ]);
  groups.add(batch('columns', typed(int4Oid), typed(int8Oid)));
  const rows = (...values: string[]): Buffer =>
    Buffer.concat([rowDescription([['id', int4Oid]]), ...values.map((value) => dataRow(value)), complete('SELECT')]);
  groups.add(batch('orderOnly', rows('1', '2'), rows('2', '1')));
  groups.add(batch('rowCount', rows('1', '2'), rows('1')));
  assert.deepEqual(
    groups.list().map((one) => [one.class, one.captured, one.replayed]),
    [
      ['columns', 'cents integer', 'cents bigint'],
      ['orderOnly', '1, 2', '2, 1'],
      ['rowCount', '2 rows, only here: 2', '1 row'],
    ],
  );
});

test('repetitions of one shape are counted, and the first of each kind comes first', () => {
  const groups = new DivergenceGroups();
  const nothing = Buffer.alloc(0);
  groups.add(batch('value', nothing, nothing, 'a'));
  groups.add(batch('value', nothing, nothing, 'b'));
  groups.add(batch('value', nothing, nothing, 'a'));
  groups.add(batch('errorNew', nothing, nothing, 'c'));
  assert.deepEqual(
    groups.list().map((one) => [one.class, one.count]),
    [
      ['value', 2],
      ['errorNew', 1],
      ['value', 1],
    ],
  );
});

test('the number of kinds kept is bounded, and those beyond it are counted', () => {
  const groups = new DivergenceGroups();
  const nothing = Buffer.alloc(0);
  for (let n = 0; n < 500; n++) groups.add(batch('value', nothing, nothing, `f${n}`));
  assert.equal(groups.list().length, 200);
  assert.equal(groups.notKept, 300);
});
