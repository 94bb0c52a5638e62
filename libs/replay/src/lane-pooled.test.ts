// A lane whose connection is shared: when it gives it away, what it is given, and what makes it keep it.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DependencyReason } from '@mirrorstream/envelope';
import { context, envelope, LaneStage, ready, simple, tag } from './lane.fixture.ts';
import { createPacing } from './pacing.ts';

const select = simple('SELECT 1', 'SELECT 1');
const marks = ["SET mirrorstream.session = 'session-1'"];

function answer(stage: LaneStage, commandTag = 'SELECT 1', status: 'I' | 'T' = 'I'): void {
  stage.mirror(tag(commandTag), ready(status));
}

function pooled({ crowded = true, pacing = createPacing({ mode: 'asap', speed: 1, replayDelayMs: 0 }) } = {}) {
  const pool = { crowded, isCrowded: () => pool.crowded, sliceMs: 20 };
  const stage = new LaneStage({ pool, pacing });
  return { stage, pool };
}

describe('a lane with a shared connection', () => {
  it('hands it on as soon as it has nothing more to do, if somebody waits', () => {
    const { stage, pool } = pooled({ crowded: false });
    stage.take(envelope({ seq: 1 }, select));
    stage.connect();
    answer(stage);
    assert.deepEqual(stage.seen(), ['connect', 'F Query', '#1 replayed =']);
    pool.crowded = true;
    stage.step({ kind: 'evict' });
    assert.deepEqual(stage.seen(), ['close handOn']);
  });

  it('leaves nothing of the session before it, is marked, and is given its context, each time', () => {
    const { stage } = pooled();
    stage.take(envelope({ seq: 1 }, select));
    stage.step({ kind: 'connected', handedOn: marks });
    assert.deepEqual(stage.seen(), ['connect', 'F Query x3']);
    for (const reset of ['DISCARD ALL', 'RESET', 'SET']) answer(stage, reset);
    assert.deepEqual(stage.seen(), ['F Query']);
    answer(stage);
    assert.deepEqual(stage.seen(), ['#1 replayed =', 'close handOn']);
    stage.take(envelope({ seq: 2, context: context({ settings: ['SET a TO b'] }) }, select));
    stage.step({ kind: 'connected', handedOn: marks });
    assert.deepEqual(stage.seen(), ['connect', 'F Query x4']);
  });

  it('keeps it through a transaction, and while the mirror is in one although production is not', () => {
    const { stage } = pooled();
    stage.take(envelope({ seq: 1, lastPart: false }, simple('BEGIN', 'BEGIN', 'T')));
    stage.connect();
    answer(stage, 'BEGIN', 'T');
    stage.step({ kind: 'evict' });
    stage.take(envelope({ seq: 1, part: 1 }, { ...simple('COMMIT', 'COMMIT'), index: 1 }));
    answer(stage, 'COMMIT', 'T');
    assert.ok(!stage.seen().includes('close handOn'));
  });

  it('has its share when it has more to do, then yields and asks again', () => {
    const { stage } = pooled();
    stage.take(envelope({ seq: 1 }, select), envelope({ seq: 2 }, select), envelope({ seq: 3 }, select));
    stage.connect();
    answer(stage);
    assert.deepEqual(stage.seen(), ['connect', 'F Query', '#1 replayed =', 'F Query']);
    stage.pass(25);
    answer(stage);
    assert.deepEqual(stage.seen(), ['#2 replayed =', 'close handOn', 'connect']);
  });

  it('asks for one only when there is something to send', () => {
    const { stage } = pooled({ pacing: createPacing({ mode: 'timed', speed: 1, replayDelayMs: 100 }) });
    stage.take(envelope({ seq: 1 }, select));
    assert.deepEqual(stage.seen(), []);
    stage.pass(200);
    assert.deepEqual(stage.seen(), ['connect']);
  });

  for (const [reason, name] of [
    [DependencyReason.TEMP_TABLE, 'tempTable'],
    [DependencyReason.HELD_CURSOR, 'heldCursor'],
    [DependencyReason.LISTEN, 'listen'],
    [DependencyReason.ADVISORY_LOCK, 'advisoryLock'],
    [DependencyReason.SEQUENCE_VALUE, 'sequenceValue'],
  ] as const) {
    it(`keeps it while the session has what it would lose: ${name}`, () => {
      const { stage } = pooled({ crowded: false });
      stage.take(envelope({ seq: 1, dependsOn: [reason] }, select));
      stage.connect();
      answer(stage);
      assert.equal(stage.lane.binding, name);
    });
  }

  it('keeps it after words that may have created such a thing, until the next envelope says that they have not', () => {
    for (const sql of [
      'create temp table t (n int)',
      'SELECT 1 INTO TEMPORARY t',
      'CREATE TABLE pg_temp.t ()',
      'LISTEN jobs',
      'DECLARE c CURSOR WITH HOLD FOR SELECT 1',
      'SELECT pg_try_advisory_lock(1)',
    ]) {
      const { stage, pool } = pooled();
      stage.take(envelope({ seq: 1 }, simple(sql, 'X')));
      stage.connect();
      answer(stage, 'X');
      assert.ok(!stage.seen().includes('close handOn'), sql);
      assert.equal(stage.lane.binding, 'mayKeepState');
      pool.crowded = true;
      stage.take(envelope({ seq: 2 }, select));
      answer(stage);
      assert.ok(stage.seen().includes('close handOn'), sql);
    }
    const { stage } = pooled({ crowded: false });
    stage.take(envelope({ seq: 1 }, simple('SELECT temp, temporary FROM template', 'SELECT 1')));
    stage.connect();
    answer(stage);
    assert.equal(stage.lane.binding, null);
  });
});
