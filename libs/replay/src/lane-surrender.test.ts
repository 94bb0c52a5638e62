// A lane whose step threw: everything it holds is accounted for, and no offset stays open.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { envelope, LaneStage, ready, simple, tag } from './lane.fixture.ts';
import type { LaneInput } from './lane-types.ts';

const select = simple('SELECT', 'SELECT 0');

/** Throws when it comes to sending what production sent at that moment. */
function stageThatThrowsAt(capturedAtUs: number): LaneStage {
  return new LaneStage({
    pacing: {
      dueAtUs: (at) => {
        if (at >= capturedAtUs) throw new Error('a bug');
        return 0;
      },
    },
  });
}

const at = (seq: number): number => 1_000_000_000 + seq * 10_000;

describe('a lane that broke', () => {
  it('fails what it had under way and what waits, in order, and keeps what was done', () => {
    const stage = stageThatThrowsAt(at(2));
    stage.take(envelope({ seq: 1 }, select));
    stage.connect();
    const answered: LaneInput = { kind: 'envelope', ...stage.placed(envelope({ seq: 2 }, select)) };
    stage.seen();
    stage.mirror(tag('SELECT 0'), ready());
    assert.deepEqual(stage.seen(), ['#1 replayed =']);
    assert.throws(() => stage.step(answered), /a bug/);
    stage.surrender(answered);
    assert.deepEqual(stage.seen(), ['#2 failed{internal}', 'close destroy', 'ended']);
    stage.step({ kind: 'timer' });
    assert.deepEqual(stage.seen(), []);
  });

  it('leaves no offset of a transaction in parts open', () => {
    const stage = stageThatThrowsAt(at(1) + 100);
    stage.take(envelope({ seq: 1, lastPart: false }, simple('BEGIN', 'BEGIN', 'T')));
    stage.connect();
    stage.mirror(tag('BEGIN'), ready('T'));
    const next: LaneInput = {
      kind: 'envelope',
      ...stage.placed(envelope({ seq: 1, part: 1, lastPart: false }, { ...simple('X', 'X', 'T'), sentUs: 100 })),
    };
    assert.throws(() => stage.step(next), /a bug/);
    stage.surrender(next);
    const resolved = stage.effects.flatMap((effect) =>
      effect.kind === 'result' ? effect.resolves : effect.kind === 'duplicate' ? [effect.offset] : [],
    );
    assert.deepEqual(resolved, [1n, 0n]);
  });

  it('reports the end of the session that waited', () => {
    const stage = stageThatThrowsAt(at(1));
    stage.step({ kind: 'hold', on: true });
    stage.take(envelope({ seq: 1 }, select));
    stage.end();
    stage.step({ kind: 'hold', on: false });
    assert.throws(() => stage.connect(), /a bug/);
    stage.surrender({ kind: 'connected' });
    assert.deepEqual(stage.seen().slice(1), ['#1 failed{internal}', 'sessionEnd', 'close destroy', 'ended']);
  });
});
