// Finding the place again after a gap when the client does not wait for answers: never by taking one answer for another's.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { query, ready, type Step, tag, transactionsOf } from './conversation-script.fixture.ts';

const select = query('SELECT 1');
const update = query('UPDATE t SET a = 1');
const selected = tag('SELECT 1');
const updated = tag('UPDATE 1');
const idle = ready('I');

/** Two requests under way, so that capture knows the client does not wait; then bytes are missed. */
const pipelinedThenGap: Step[] = [
  ['F', select, select],
  ['B', selected, idle, selected, idle],
  ['missed', 'client', 30],
];

test('a client that sends without waiting is followed again only after a pause, and its answers are its own', () => {
  const steps: Step[] = [
    ...pipelinedThenGap,
    // Two UPDATEs went by unseen: the idle server is not done yet.
    ['B', updated, idle],
    ['F', select],
    ['B', updated, idle],
    ['F', select],
    ['B', selected, idle],
    ['B', selected, idle],
    ['tick', 60_000],
    ['F', update],
    ['B', updated, idle],
  ];
  assert.deepEqual(transactionsOf(steps), [
    '#1 committed',
    '  0: F Query -> complete SELECT 1 I',
    '#2 committed',
    '  0: F Query -> complete SELECT 1 I',
    'gap ring_full transactions>=4 after 2',
    '#3 committed writes needs:after_gap',
    '  0: F Query -> complete UPDATE 1 I',
  ]);
});

test('a client not known to do so is found out by an answer that does not fit, before anything false is told', () => {
  const steps: Step[] = [
    ['F', select],
    ['B', selected, idle],
    ['missed', 'client', 60],
    ['B', updated, idle],
    ['F', select],
    // The answer to an UPDATE that went by unseen, not to this SELECT.
    ['B', updated, idle],
    ['F', update],
    ['B', selected, idle],
    ['B', updated, idle],
    ['tick', 60_000],
    ['F', select],
    ['B', selected, idle],
  ];
  const lines = transactionsOf(steps);
  assert.deepEqual(
    lines.filter((line) => !line.startsWith('gap')),
    [
      '#1 committed',
      '  0: F Query -> complete SELECT 1 I',
      '#2 committed needs:after_gap',
      '  0: F Query -> complete SELECT 1 I',
    ],
  );
  assert.equal(lines.filter((line) => line.startsWith('gap')).length, 2);
});

test('a client that waits for its answers is followed again at once', () => {
  const steps: Step[] = [
    ['F', select],
    ['B', selected, idle],
    ['missed', 'server', 30],
    ['F', select],
    ['B', selected, idle],
    ['F', update],
    ['B', updated, idle],
  ];
  assert.deepEqual(transactionsOf(steps).slice(2), [
    'gap ring_full transactions>=1 after 1',
    '#2 committed writes needs:after_gap',
    '  0: F Query -> complete UPDATE 1 I',
  ]);
});

test('a client that waits is followed again at once after each of several gaps in short succession', () => {
  const steps: Step[] = [
    ['F', select],
    ['B', selected, idle],
    ['missed', 'client', 0],
    ['B', selected, idle],
    ['F', select],
    ['B', selected, idle],
    // The place was right: bytes are missed once more, and that says nothing of the client.
    ['missed', 'client', 0],
    ['B', selected, idle],
    ['F', update],
    ['B', updated, idle],
  ];
  assert.deepEqual(transactionsOf(steps).at(-1), '  0: F Query -> complete UPDATE 1 I');
});

test('soon after a gap the tags that texts can be answered with are all accepted', () => {
  const pairs: readonly (readonly [string, string])[] = [
    ['WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x', 'INSERT 0 1'],
    ['SELECT 1 INTO t', 'SELECT 1'],
    ['VALUES (1)', 'SELECT 1'],
    ['TABLE t', 'SELECT 1'],
    ['END', 'ROLLBACK'],
    ['ABORT', 'ROLLBACK'],
    ['EXECUTE p', 'UPDATE 1'],
    ['START TRANSACTION; COMMIT', 'START TRANSACTION'],
    ["PREPARE TRANSACTION 'a'", 'ROLLBACK'],
    ['SET CONSTRAINTS ALL DEFERRED', 'SET CONSTRAINTS'],
    ['MOVE c', 'MOVE 1'],
    ['-- why\n/* and */ update t set a = 1', 'UPDATE 1'],
  ];
  for (const [sql, answer] of pairs) {
    const lines = transactionsOf([
      ['F', select],
      ['B', selected, idle],
      ['missed', 'client', 30],
      ['B', idle],
      ['F', query(sql)],
      ['B', tag(answer), idle],
    ]);
    assert.match(lines.at(-1) ?? '', new RegExp(`complete ${answer}`), sql);
  }
});
