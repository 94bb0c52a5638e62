// Snapshots: what earlier versions published is still read.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { transactionOutcomes } from './outcomes.ts';
import { snapshotSchema } from './snapshot.ts';

const earlierClasses = [
  'match',
  'orderOnly',
  'rowCount',
  'value',
  'columns',
  'commandTag',
  'errorNew',
  'errorGone',
  'errorChanged',
  'notCompared',
] as const;

const checkpoint = {
  kind: 'comparer',
  environment: 'default',
  mirror: 'candidate',
  partition: 3,
  atMs: 1,
  nextOffset: '17',
  outcomes: Object.fromEntries(transactionOutcomes.map((name) => [name, 2])),
  reasons: {},
  statements: Object.fromEntries(earlierClasses.map((name) => [name, 5])),
  notCompared: { volatile: 5 },
  duplicates: 0,
  sessions: { a: 4 },
};

test('a checkpoint of a version that had fewer classes counts 0 of the later ones', () => {
  const read = snapshotSchema.parse(checkpoint);
  assert.ok(read.kind === 'comparer');
  assert.deepEqual(read.statements, {
    ...checkpoint.statements,
    ...{ numericEpsilon: 0, maskedMatch: 0, collation: 0, suspect: 0 },
  });
});

test('a checkpoint without one of the classes that were always there is not one', () => {
  const { match, ...others } = checkpoint.statements;
  assert.ok(match !== undefined);
  assert.equal(snapshotSchema.safeParse({ ...checkpoint, statements: others }).success, false);
});
