// Classification: the class and detail of each kind of difference, precedence, and symmetry over generated answers.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { StatementClass } from '@mirrorstream/domain';
import { StatementEnd } from '@mirrorstream/envelope';
import {
  commandComplete,
  copyData,
  dataRow,
  errorResponse,
  frame,
  rowDescription,
  seeded,
} from './backend-frames.fixture.ts';
import { type Classification, classify } from './classify.ts';
import { type Observed, observe, selected } from './observed.fixture.ts';

function compare(captured: Observed, replayed: Observed): Classification {
  return classify(captured.observation, replayed.observation, { captured: captured.raw, replayed: replayed.raw });
}

const failure = (sqlState: string, severity = 'ERROR') =>
  observe([errorResponse({ S: severity, V: severity, C: sqlState })]);
const tagged = (tag: string) => observe([commandComplete(tag)]);
const ended = (observed: Observed, end: StatementEnd): Observed => ({
  ...observed,
  observation: { ...observed.observation, end },
});

function assertClass(captured: Observed, replayed: Observed, name: StatementClass, detail: string): void {
  const { columns: _, ...found } = compare(captured, replayed);
  assert.deepEqual(found, { class: name, notCompared: '', detail });
}

describe('classify', () => {
  it('finds a match where everything compared is equal', () => {
    assertClass(selected(['a'], [['1']]), selected(['a'], [['1']]), 'match', '');
    assertClass(failure('23505'), failure('23505'), 'match', '');
    assertClass(tagged('COMMIT'), tagged('COMMIT'), 'match', '');
  });

  it('names an error that only the mirror gave', () => {
    assertClass(
      tagged('UPDATE 1'),
      failure('23514'),
      'errorNew',
      'SQLSTATE 23514 check_violation on the mirror; production succeeded',
    );
  });

  it('names an error that only production gave', () => {
    assertClass(
      failure('99999'),
      selected(['a'], []),
      'errorGone',
      'SQLSTATE 99999 in production; the mirror succeeded',
    );
  });

  it('names another SQLSTATE and another severity', () => {
    assertClass(
      failure('23505'),
      failure('23503'),
      'errorChanged',
      'SQLSTATE 23505 unique_violation → SQLSTATE 23503 foreign_key_violation',
    );
    assert.equal(compare(failure('57P01', 'FATAL'), failure('57P01')).class, 'errorChanged');
  });

  it('counts a statement that only one server skipped as that side failing', () => {
    const skipped = ended(tagged(''), StatementEnd.SKIPPED);
    assertClass(
      tagged('SELECT 1'),
      skipped,
      'errorNew',
      'skipped after an earlier error on the mirror; production succeeded',
    );
    assert.equal(compare(skipped, tagged('SELECT 1')).class, 'errorGone');
    assert.equal(compare(skipped, failure('42601')).class, 'errorChanged');
    assert.deepEqual(compare(skipped, skipped).notCompared, 'skipped');
  });

  it('does not compare what was never answered', () => {
    const unanswered = ended(tagged(''), StatementEnd.UNANSWERED);
    assert.equal(compare(unanswered, tagged('SELECT 1')).notCompared, 'unanswered');
    assert.equal(compare(tagged('SELECT 1'), unanswered).notCompared, 'unanswered');
  });

  it('names another verb', () => {
    assertClass(tagged('INSERT 0 1'), tagged('MERGE 1'), 'commandTag', 'INSERT 0 1 → MERGE 1');
    assertClass(tagged('COMMIT'), tagged('ROLLBACK'), 'commandTag', 'COMMIT → ROLLBACK');
    assert.equal(compare(observe([frame('I')]), tagged('SELECT 0')).class, 'commandTag');
  });

  it('names the first column that differs', () => {
    const base = selected([{ name: 'balance', typeOid: 23 }], [['1']]);
    const wider = selected([{ name: 'balance', typeOid: 20 }], [['1']]);
    assertClass(base, wider, 'columns', 'column balance: integer → bigint');
    const renamed = selected([{ name: 'amount', typeOid: 23 }], [['1']]);
    assertClass(base, renamed, 'columns', 'column 1: name balance → amount');
    const more = selected([{ name: 'balance', typeOid: 23 }, 'note'], [['1', 'x']]);
    assertClass(base, more, 'columns', '1 → 2 columns: also note');
    assertClass(more, base, 'columns', '2 → 1 columns: without note');
  });

  it('names another number of rows, by rows and by tag', () => {
    assertClass(
      selected(['a'], [['1'], ['2']]),
      selected(['a'], [['1']]),
      'rowCount',
      '2 → 1 rows, first difference at row 2',
    );
    assertClass(tagged('UPDATE 3'), tagged('UPDATE 2'), 'rowCount', 'UPDATE 3 → UPDATE 2');
    const suspended = observe([dataRow(['1']), dataRow(['2']), frame('s')]);
    const finished = observe([dataRow(['1']), commandComplete('SELECT 1')]);
    assert.equal(compare(suspended, finished).class, 'rowCount');
  });

  it('tells another order from other values', () => {
    const one = selected(['a'], [['1'], ['2'], ['3']]);
    assertClass(
      one,
      selected(['a'], [['1'], ['3'], ['2']]),
      'orderOnly',
      'the same 3 rows in another order, from row 2 on',
    );
    assertClass(one, selected(['a'], [['1'], ['2'], ['4']]), 'value', 'row 3, column a: 3 → 4');
  });

  it('shows NULL, empty values, binary integers and lines of COPY', () => {
    assertClass(
      selected(['a', 'note'], [['1', null]]),
      selected(['a', 'note'], [['1', '']]),
      'value',
      "row 1, column note: NULL → ''",
    );
    const binary = (last: string) => [
      rowDescription([{ name: 'n', typeOid: 23, format: 1 }]),
      dataRow([`\0\0\0${last}`]),
      commandComplete('SELECT 1'),
    ];
    assertClass(observe(binary('\x07')), observe(binary('\x09')), 'value', 'row 1, column n: 7 → 9');
    const copied = (line: string) =>
      observe([frame('H', Buffer.from([0, 0, 1, 0, 0])), copyData(line), commandComplete('COPY 1')]);
    assertClass(copied('1\tx\n'), copied('1\ty\n'), 'value', 'row 1: 1 x → 1 y');
  });

  it('gives a class without the kept answers', () => {
    const { class: name, detail } = classify(
      selected(['a'], [['1']]).observation,
      selected(['a'], [['2']]).observation,
    );
    assert.deepEqual([name, detail], ['value', 'values differ; the answers kept do not show where']);
  });

  it('does not call equal what has no digest', () => {
    const plain = (value: string) =>
      observe([rowDescription([{ name: 'a' }]), dataRow([value]), commandComplete('SELECT 1')], { digest: false });
    assert.deepEqual(compare(plain('1'), plain('1')).notCompared, 'notStored');
    assert.deepEqual(compare(plain('1'), selected(['a'], [['1']])).notCompared, 'notStored');
  });

  it('does not compare EXPLAIN and SHOW, but their errors', () => {
    const shown = (value: string) =>
      observe([rowDescription([{ name: 'x' }]), dataRow([value]), commandComplete('SHOW')]);
    assert.equal(compare(shown('17.1'), shown('18.4')).notCompared, 'serverSpecific');
    assert.equal(compare(shown('on'), shown('on')).class, 'match');
    assert.equal(compare(shown('on'), failure('42704')).class, 'errorNew');
  });

  it('keeps the detail on one line of at most 120 characters', () => {
    const long = selected(['a'], [['x'.repeat(500)]]);
    const multi = selected(['a\nb'.repeat(30)], [['y\n\u0000\u001b[31m'.repeat(90)]]);
    for (const detail of [compare(long, selected(['a'], [['z']])).detail, compare(long, multi).detail]) {
      assert.ok(detail.length > 0 && detail.length <= 120);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they must not be there
      assert.doesNotMatch(detail, /[\u0000-\u001f]/);
    }
  });
});

const mirrored: Partial<Record<StatementClass, StatementClass>> = { errorNew: 'errorGone', errorGone: 'errorNew' };

/** A small random answer: small alphabets, so that equal, reordered and different ones all come up. */
function randomAnswer(random: () => number): Observed {
  const pick = (n: number) => Math.floor(random() * n);
  if (pick(8) === 0) return failure(['23505', '42P01'][pick(2)] as string, ['ERROR', 'FATAL'][pick(2)] as string);
  if (pick(10) === 0)
    return ended(tagged(''), [StatementEnd.SKIPPED, StatementEnd.UNANSWERED][pick(2)] as StatementEnd);
  if (pick(6) === 0) return tagged(['UPDATE 1', 'UPDATE 2', 'COMMIT', 'SHOW'][pick(4)] as string);
  const columns = Array.from({ length: 1 + pick(2) }, (_, i) => ({
    name: `c${i}`,
    typeOid: [23, 20][pick(2)] as number,
  }));
  const rows = Array.from({ length: pick(4) }, () => columns.map(() => [null, '1', '2'][pick(3)] ?? null));
  const frames = [rowDescription(columns), ...rows.map((row) => dataRow(row))];
  const end = pick(8) === 0 ? frame('s') : commandComplete(`SELECT ${rows.length}`);
  return observe([...frames, end], { digest: pick(10) > 0 });
}

describe('classify over generated answers', () => {
  it('is symmetrical: swapping the sides swaps errorNew and errorGone and nothing else', () => {
    const random = seeded(2024);
    const seen = new Set<StatementClass>();
    for (let round = 0; round < 20_000; round++) {
      const a = randomAnswer(random);
      const b = randomAnswer(random);
      const there = compare(a, b);
      const back = compare(b, a);
      seen.add(there.class);
      assert.equal(back.class, mirrored[there.class] ?? there.class);
      assert.equal(back.notCompared, there.notCompared);
      assert.equal(there.notCompared !== '', there.class === 'notCompared');
    }
    assert.equal(seen.size, 10, `every class came up: ${[...seen].join(' ')}`);
  });

  it('is a match for the same answer twice, unless there is nothing to compare', () => {
    const random = seeded(77);
    for (let round = 0; round < 5000; round++) {
      const a = randomAnswer(random);
      const found = compare(a, a);
      if (found.class !== 'match') assert.ok(['skipped', 'unanswered', 'notStored'].includes(found.notCompared));
    }
  });

  it('finds every planted change of one cell', () => {
    const random = seeded(5150);
    for (let round = 0; round < 2000; round++) {
      const rows = Array.from({ length: 1 + Math.floor(random() * 6) }, (_, i) => [
        String(i),
        String(Math.floor(random() * 9)),
      ]);
      const row = Math.floor(random() * rows.length);
      const changed = rows.map((cells, i) => (i === row ? [cells[0] as string, `${cells[1]}!`] : cells));
      const found = compare(selected(['id', 'v'], rows), selected(['id', 'v'], changed));
      assert.equal(found.class, 'value');
      assert.equal(found.detail, `row ${row + 1}, column v: ${rows[row]?.[1]} → ${rows[row]?.[1]}!`);
    }
  });
});
