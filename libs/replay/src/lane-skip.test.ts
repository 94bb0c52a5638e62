// Transactions that a lane is told not to play: results in the session's order, the context after the hole, and what is lost by it.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DependencyReason } from '@mirrorstream/envelope';
import { context, envelope, LaneStage, ready, simple, tag } from './lane.fixture.ts';
import { queuedBytes, SKIPPED_BYTES } from './lane-work.ts';
import type { Skip } from './skip.ts';

const shed: Skip = { outcome: 'shed', reason: 'behindSource', harmless: true };
const filtered: Skip = { outcome: 'filtered', reason: 'statementClass', harmless: false };

const select = simple('SELECT', 'SELECT 1');

function answer(stage: LaneStage): void {
  stage.mirror(tag('SELECT 1'), ready());
}

/** The answers to RESET SESSION AUTHORIZATION, RESET ROLE and RESET ALL. */
const takenBack = [tag('RESET'), ready(), tag('RESET'), ready(), tag('RESET'), ready()];

describe('a lane that skips', () => {
  it('reports what is skipped in its place, after what was under way before it', () => {
    const stage = new LaneStage();
    stage.take(envelope({ seq: 1 }, select));
    stage.connect();
    stage.skip(shed, envelope({ seq: 2 }, select));
    assert.deepEqual(stage.seen(), ['connect', 'F Query']);
    answer(stage);
    assert.deepEqual(stage.seen(), ['#1 replayed =', '#2 shed{behindSource}']);
  });

  it('needs no connection for what it skips', () => {
    const stage = new LaneStage();
    stage.skip(filtered, envelope({ seq: 1 }, select), envelope({ seq: 2 }, select));
    stage.end();
    assert.deepEqual(stage.seen(), [
      '#1 filtered{statementClass}',
      '#2 filtered{statementClass}',
      'sessionEnd',
      'ended',
    ]);
  });

  it('brings the session to where the next transaction expects it', () => {
    const stage = new LaneStage();
    stage.take(envelope({ seq: 1 }, select));
    stage.connect();
    answer(stage);
    stage.skip(shed, envelope({ seq: 2 }, simple('SET a TO 1', 'SET')));
    stage.seen();
    stage.take(envelope({ seq: 3, context: context({ settings: ['SET a TO 1'] }) }, select));
    assert.deepEqual(stage.seen(), ['F Query x4']); // what was set is taken back, SET
    stage.mirror(...takenBack, tag('SET'), ready());
    assert.deepEqual(stage.seen(), ['F Query']);
    answer(stage);
    assert.deepEqual(stage.seen(), ['#3 replayed =']);
  });

  it('fails what depends on a history that was skipped, and only that', () => {
    const needs = [DependencyReason.TEMP_TABLE];
    for (const skip of [shed, filtered]) {
      const stage = new LaneStage();
      stage.take(envelope({ seq: 1 }, select));
      stage.connect();
      answer(stage);
      stage.skip(skip, envelope({ seq: 2 }, simple('CREATE TEMP TABLE t ()', 'CREATE TABLE')));
      stage.take(envelope({ seq: 3, dependsOn: needs }, select));
      stage.take(envelope({ seq: 4 }, select));
      stage.mirror(...takenBack);
      answer(stage);
      if (skip.harmless) answer(stage);
      const results = stage.results().map(({ outcome, reason }) => `${outcome} ${reason}`.trim());
      const third = skip.harmless ? 'replayed' : 'failed dependsOnSession';
      assert.deepEqual(results.slice(2), [third, 'replayed']);
    }
  });

  it('does not take a session for one without its past when all before was skipped without loss', () => {
    const stage = new LaneStage();
    stage.skip(shed, envelope({ seq: 1 }, select), envelope({ seq: 2 }, select));
    stage.take(envelope({ seq: 3 }, simple('CREATE TEMP TABLE t ()', 'CREATE TABLE')));
    stage.connect();
    stage.mirror(tag('CREATE TABLE'), ready());
    stage.take(envelope({ seq: 4, dependsOn: [DependencyReason.TEMP_TABLE] }, select));
    answer(stage);
    assert.deepEqual(stage.results().at(-1)?.outcome, 'replayed');
  });

  it('skips all parts of a transaction, and keeps the offset of the first until the last has come', () => {
    const stage = new LaneStage();
    stage.skip(filtered, envelope({ seq: 1, lastPart: false }, simple('BEGIN', 'BEGIN', 'T')));
    stage.skip(filtered, envelope({ seq: 1, part: 1 }, simple('COMMIT', 'COMMIT')));
    const effects = stage.effects.flatMap((effect) => (effect.kind === 'result' ? [effect] : []));
    assert.deepEqual(
      effects.map(({ holds, resolves, result }) => [holds, resolves, result.transactions]),
      [
        [0n, [], 0],
        [null, [0n, 1n], 1],
      ],
    );
  });

  it('takes back what waits when it is asked again, gives its bytes free, and leaves what has begun alone', () => {
    const stage = new LaneStage();
    const waiting = [2, 3].map((seq) => envelope({ seq }, select));
    stage.take(envelope({ seq: 1, lastPart: false }, simple('BEGIN', 'BEGIN', 'T')));
    stage.connect();
    stage.take(envelope({ seq: 1, part: 1 }, simple('COMMIT', 'COMMIT')), ...waiting);
    stage.seen();
    stage.step({ kind: 'review', judge: ({ sessionSeq }) => (sessionSeq < 3n ? shed : null) });
    const released = stage.effects.flatMap((effect) => (effect.kind === 'released' ? [effect.sizeBytes] : []));
    assert.deepEqual(released, [queuedBytes(waiting[0] as (typeof waiting)[0]) - SKIPPED_BYTES]);
    stage.mirror(tag('BEGIN'), ready('T'));
    stage.mirror(tag('COMMIT'), ready());
    stage.mirror(...takenBack);
    answer(stage);
    assert.deepEqual(
      stage.seen().filter((line) => line.startsWith('#')),
      ['#1.0+ replayed =', '#1.1 replayed =', '#2 shed{behindSource}', '#3 replayed ='],
    );
  });

  it('skips the parts that come later of what it was asked to skip while it waited', () => {
    const stage = new LaneStage();
    stage.take(envelope({ seq: 1, lastPart: false }, simple('BEGIN', 'BEGIN', 'T')));
    stage.step({ kind: 'review', judge: () => shed });
    stage.take(envelope({ seq: 1, part: 1 }, simple('COMMIT', 'COMMIT')), envelope({ seq: 2 }, select));
    assert.deepEqual(stage.seen(), ['connect', '#1.0+ shed{behindSource}', '#1.1 shed{behindSource}']);
  });

  it('finishes the transaction under way and begins none while it is paused', () => {
    const stage = new LaneStage();
    stage.take(envelope({ seq: 1 }, simple('BEGIN', 'BEGIN', 'T'), simple('COMMIT', 'COMMIT')));
    stage.connect();
    stage.step({ kind: 'pause', on: true });
    stage.take(envelope({ seq: 2 }, select));
    stage.mirror(tag('BEGIN'), ready('T'));
    stage.mirror(tag('COMMIT'), ready());
    assert.deepEqual(stage.seen(), ['connect', 'F Query', 'F Query', '#1 replayed = =']);
    stage.step({ kind: 'pause', on: false });
    assert.deepEqual(stage.seen(), ['F Query']);
  });

  it('says how old the oldest transaction is that is to be played, from when production was done with it', () => {
    const stage = new LaneStage();
    assert.equal(stage.lane.oldestDoneAtUs, null);
    stage.take(envelope({ seq: 1, startedUs: 500 }, { ...select, sentUs: 0, doneUs: 7_000 }));
    assert.equal(stage.lane.oldestDoneAtUs, 1_000_000_000 + 500 + 7_000);
  });
});

describe('a lane that is to withhold a later part', () => {
  it('rolls the transaction back by giving its connection up, fails all of it, and goes on in a new one', () => {
    const stage = new LaneStage();
    stage.take(envelope({ seq: 1, lastPart: false }, simple('BEGIN', 'BEGIN', 'T')));
    stage.connect();
    stage.mirror(tag('BEGIN'), ready('T'));
    assert.deepEqual(stage.seen(), ['connect', 'F Query', '#1.0+ replayed =']);
    stage.withhold(envelope({ seq: 1, part: 1, lastPart: false }, simple('NOTIFY', 'NOTIFY', 'T')));
    stage.take(envelope({ seq: 1, part: 2 }, simple('COMMIT', 'COMMIT')));
    stage.take(envelope({ seq: 2 }, select));
    assert.deepEqual(stage.seen(), ['close destroy', '#1.1+ failed{sideEffect}', '#1.2 failed{sideEffect}', 'connect']);
    stage.connect();
    answer(stage);
    assert.deepEqual(stage.seen(), ['F Query', '#2 replayed =']);
  });
});
