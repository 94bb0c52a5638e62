// How far a lane goes beyond what Kafka knows it did.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { envelope, LaneStage, ready, simple, tag } from './lane.fixture.ts';

const select = (seq: number, times: { startedUs?: number; doneUs?: number } = {}) =>
  envelope(
    { seq, ...(times.startedUs === undefined ? {} : { startedUs: times.startedUs }) },
    { ...simple('SELECT', 'SELECT 1'), ...(times.doneUs === undefined ? {} : { doneUs: times.doneUs }) },
  );

describe('the duplicate window of a lane', () => {
  it('of one: the next transaction begins when the result of the one before is acknowledged', () => {
    const stage = new LaneStage({ duplicateWindow: 1 });
    stage.take(select(1), select(2), select(3));
    stage.connect();
    stage.mirror(tag('SELECT 1'), ready());
    assert.deepEqual(stage.seen(), ['connect', 'F Query', '#1 replayed =']);
    stage.step({ kind: 'acknowledged' });
    assert.deepEqual(stage.seen(), ['F Query']);
    stage.mirror(tag('SELECT 1'), ready());
    assert.deepEqual(stage.seen(), ['#2 replayed =']);
  });

  it('counts what is under way, too, also where production had sent ahead', () => {
    const stage = new LaneStage({ duplicateWindow: 2 });
    // Each is answered only after the next was sent.
    stage.take(...[1, 2, 3].map((seq) => select(seq, { startedUs: seq * 10, doneUs: 1000 })));
    stage.connect();
    assert.deepEqual(stage.seen(), ['connect', 'F Query', 'F Query']);
    stage.mirror(tag('SELECT 1'), ready());
    assert.deepEqual(stage.seen(), ['#1 replayed =']);
    stage.step({ kind: 'acknowledged' });
    assert.deepEqual(stage.seen(), ['F Query']);
  });

  it('never stops a transaction in its midst', () => {
    const stage = new LaneStage({ duplicateWindow: 1 });
    const part = (number: number, lastPart: boolean) =>
      envelope({ seq: 1, part: number, lastPart }, simple(`part ${number}`, 'SELECT 1', lastPart ? 'I' : 'T'));
    stage.take(part(0, false), part(1, false), part(2, true), select(2));
    stage.connect();
    for (const status of ['T', 'T', 'I'] as const) stage.mirror(tag('SELECT 1'), ready(status));
    const queries = ['F Query', 'F Query', 'F Query'];
    assert.deepEqual(stage.seen(), ['connect', ...queries, '#1.0+ replayed =', '#1.1+ replayed =', '#1.2 replayed =']);
    for (let i = 0; i < 3; i++) stage.step({ kind: 'acknowledged' });
    assert.deepEqual(stage.seen(), ['F Query']);
  });
});
