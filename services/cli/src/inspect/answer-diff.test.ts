import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type DecodedAnswer, decodeAnswer } from '@mirrorstream/compare';
import { diffAnswers } from './answer-diff.ts';
import { backendBytes, described, ready, row, tag } from './captured.fixture.ts';

const answer = (columns: readonly string[], rows: readonly (readonly (string | null)[])[]): DecodedAnswer =>
  decodeAnswer(
    {
      bytes: backendBytes([
        described(...columns),
        ...rows.map((cells) => row(...cells)),
        tag(`SELECT ${rows.length}`),
        ready(),
      ]),
      statement: 0,
      truncated: false,
    },
    { maxRows: 1000 },
  );

const kinds = (a: DecodedAnswer | null, b: DecodedAnswer | null): string[] =>
  diffAnswers(a, b).rows.map((entry) => (entry.kind === 'same' ? `same ${entry.rows}` : entry.kind));

describe('two answers row by row', () => {
  it('keeps what is the same together, and names the columns that changed', () => {
    const a = answer(
      ['id', 'name'],
      [
        ['1', 'a'],
        ['2', 'b'],
        ['3', 'c'],
      ],
    );
    const b = answer(
      ['id', 'name'],
      [
        ['1', 'a'],
        ['2', 'x'],
        ['3', 'c'],
      ],
    );
    const diff = diffAnswers(a, b);
    assert.deepEqual(kinds(a, b), ['same 1', 'changed', 'same 1']);
    const changed = diff.rows[1];
    assert.deepEqual(changed?.kind === 'changed' ? changed.columns : [], [1]);
    assert.deepEqual(diff.columns, ['id', 'name']);
  });

  it('finds a row that only one side has, wherever it is', () => {
    const rows = [['1'], ['2'], ['3'], ['4']];
    assert.deepEqual(
      kinds(
        answer(['n'], rows),
        answer(
          ['n'],
          rows.filter(([n]) => n !== '2'),
        ),
      ),
      ['same 1', 'onlyCaptured', 'same 2'],
    );
    assert.deepEqual(kinds(answer(['n'], rows.slice(1)), answer(['n'], rows)), ['onlyReplayed', 'same 3']);
  });

  it('tells a row that is at another place from one that is missing', () => {
    const diff = diffAnswers(answer(['n'], [['1'], ['2'], ['3']]), answer(['n'], [['2'], ['3'], ['1']]));
    const moved = diff.rows.filter((entry) => entry.kind === 'onlyCaptured' || entry.kind === 'onlyReplayed');
    assert.deepEqual(
      moved.map((entry) => entry.elsewhere),
      [true, true],
    );
  });

  it('tells NULL from the empty text and from the word', () => {
    for (const [a, b] of [
      [null, ''],
      [null, 'NULL'],
      ['', ' '],
    ] as const)
      assert.deepEqual(kinds(answer(['n'], [[a]]), answer(['n'], [[b]])), ['changed']);
  });

  it('says which columns differ', () => {
    const diff = diffAnswers(answer(['a', 'b'], []), answer(['a', 'c', 'd'], []));
    assert.deepEqual(diff.columnChanges, [
      { captured: 'b text', replayed: 'c text' },
      { captured: null, replayed: 'd text' },
    ]);
  });

  it('shows one side alone where the other was not kept, and says when something is cut', () => {
    assert.deepEqual(kinds(null, answer(['n'], [['1']])), ['onlyReplayed']);
    const many = answer(
      ['n'],
      Array.from({ length: 300 }, (_, i) => [String(i)]),
    );
    const diff = diffAnswers(many, answer(['n'], []), 10);
    assert.equal(diff.rows.length, 10);
    assert.equal(diff.notShown, 190);
    assert.equal(diff.cut, true);
  });
});
