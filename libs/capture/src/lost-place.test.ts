// What is told of a lost place is a lower bound: a transaction that was told as dropped while it went on is not told again at its end.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { GapReason } from '@mirrorstream/envelope';
import { LostPlace } from './lost-place.ts';

const idle = Buffer.from('Z\0\0\0\x05I', 'latin1');
const context = { sessionId: 's', wallUsAtMonoZero: 0, afterSeq: 3 };

/** Reports, with how often the server came to rest before each. */
function told(openTransactions: number, idlesBefore: readonly number[]): (number | undefined)[] {
  const lost = new LostPlace();
  lost.lose(GapReason.RING_FULL, 100, openTransactions, 0);
  return idlesBefore.map((idles, i) => {
    for (let n = 0; n < idles; n++) lost.quiet.server(idle, 0, idle.length);
    lost.unseen(10);
    return lost.report(context, true, i)?.transactions;
  });
}

it('a transaction that was open when the place was lost is told once, whenever its end goes by', () => {
  assert.deepEqual(told(1, [0, 1]), [1, 0]);
  assert.deepEqual(told(1, [0, 0, 3]), [1, 0, 2]);
  assert.deepEqual(told(1, [1, 1]), [1, 1]);
  assert.deepEqual(told(1, [2, 0]), [2, 0]);
  assert.deepEqual(told(0, [0, 1]), [0, 1]);
});
