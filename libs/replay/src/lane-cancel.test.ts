// What production's client cancelled: cancelled here after the same time, or excused where it went otherwise.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { backend, envelope, failure, frontend, LaneStage, query, ready, simple, tag } from './lane.fixture.ts';
import type { LaneOptions } from './lane-types.ts';

const sleeping = {
  request: frontend(query('SELECT pg_sleep(60)')),
  answer: backend(failure('57014'), ready('E')),
  doneUs: 300_000,
  cancelledAfterUs: 250_000,
};
const rollback = { ...simple('ROLLBACK', 'ROLLBACK'), sentUs: 400_000, doneUs: 400_050 };

function playing(options: Partial<LaneOptions> = {}): LaneStage {
  const stage = new LaneStage(options);
  stage.take(envelope({ seq: 1 }, simple('BEGIN', 'BEGIN', 'T'), { ...sleeping, sentUs: 100 }, rollback));
  stage.connect();
  stage.mirror(tag('BEGIN'), ready('T'));
  assert.deepEqual(stage.seen(), ['connect', 'F Query', 'F Query']);
  return stage;
}

describe('a statement that production’s client cancelled', () => {
  it('is cancelled after the same time, and nothing follows until the cancel has arrived', () => {
    const stage = playing();
    assert.equal(stage.wakeAtUs(), stage.nowUs + 250_000);
    stage.pass(249);
    assert.deepEqual(stage.seen(), []);
    stage.pass(1);
    assert.deepEqual(stage.seen(), ['cancel']);
    stage.mirror(failure('57014'), ready('E'));
    assert.deepEqual(stage.seen(), [], 'a late cancel could hit the ROLLBACK');
    stage.step({ kind: 'cancelDone' });
    assert.deepEqual(stage.seen(), ['F Query']);
    stage.mirror(tag('ROLLBACK'), ready());
    assert.deepEqual(stage.seen(), ['#1 replayed = = =']);
  });

  it('is no divergence where the mirror was faster, nor is what follows in its transaction', () => {
    const stage = playing();
    stage.mirror(tag('SELECT 1'), ready('T'));
    assert.deepEqual(stage.seen(), ['F Query']);
    stage.mirror(failure('42P01'), ready());
    assert.deepEqual(stage.seen(), ['#1 replayed = cancelled cancelled']);
    stage.take(envelope({ seq: 2 }, simple('SELECT', 'SELECT 0')));
    stage.mirror(failure('42P01'), ready());
    assert.deepEqual(stage.seen(), ['F Query', '#2 replayed ≠'], 'another transaction has no excuse');
  });

  it('is left alone where cancels are not replayed', () => {
    const stage = playing({ replayCancels: false });
    stage.pass(1000);
    assert.deepEqual(stage.seen(), []);
  });

  it('has no excuse when a limit of the server ended it', () => {
    const stage = new LaneStage();
    stage.take(envelope({ seq: 1 }, { ...sleeping, cancelledAfterUs: 0 }));
    stage.connect();
    stage.pass(1000);
    stage.mirror(tag('SELECT 1'), ready());
    assert.deepEqual(stage.seen(), ['connect', 'F Query', '#1 replayed ≠']);
  });
});
