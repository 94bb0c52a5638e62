// A session that went on without this connection: what it is given again, and what is said of what it cannot have.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DependencyReason, TransactionOutcome } from '@mirrorstream/envelope';
import {
  backend,
  bind,
  context,
  copyIn,
  envelope,
  execute,
  failure,
  frontend,
  LaneStage,
  parse,
  query,
  ready,
  simple,
  sync,
  tag,
} from './lane.fixture.ts';

const parsed = { kind: 'parseComplete' } as const;
const bound = { kind: 'bindComplete' } as const;
const closed = { kind: 'closeComplete' } as const;
const select = simple('SELECT', 'SELECT 0');

/** A transaction that uses the named statement, which its context brings along. */
const using = (seq: number, name: string, sql = 'SELECT 1') =>
  envelope(
    { seq, context: context({ statements: { [name]: sql } }) },
    { request: frontend(bind(name), execute, sync), answer: backend(bound, tag('SELECT 0'), ready()) },
  );

/** A lane whose session went on to transaction 4 elsewhere; that one is played. */
function rebuilt(dependsOn: readonly DependencyReason[] = []): LaneStage {
  const stage = new LaneStage();
  stage.take(envelope({ seq: 4, dependsOn }, select));
  stage.connect();
  stage.mirror(tag('SELECT 0'), ready());
  stage.seen();
  return stage;
}

describe('a session on a connection that has not its past', () => {
  it('is given each statement that was prepared before, when it is used for the first time', () => {
    const stage = rebuilt();
    stage.take(using(5, 'a'));
    assert.deepEqual(stage.seen(), ['F Close / F Parse / F Sync']);
    stage.mirror(closed, parsed, ready());
    assert.deepEqual(stage.seen(), ['F Bind / F Execute / F Sync']);
    stage.mirror(bound, tag('SELECT 0'), ready());
    stage.take(using(6, 'a'));
    assert.deepEqual(stage.seen(), ['#5 replayed =', 'F Bind / F Execute / F Sync']);
    stage.mirror(bound, tag('SELECT 0'), ready());
    stage.take(using(7, 'b'));
    assert.deepEqual(stage.seen(), ['#6 replayed =', 'F Close / F Parse / F Sync']);
  });

  it('is not given what it has prepared itself since', () => {
    const stage = rebuilt();
    stage.take(
      envelope({ seq: 5 }, { request: frontend(parse('a', 'SELECT 1'), sync), answer: backend(parsed, ready()) }),
    );
    stage.mirror(parsed, ready());
    stage.take(using(6, 'a'));
    assert.deepEqual(stage.seen(), ['F Parse / F Sync', '#5 replayed', 'F Bind / F Execute / F Sync']);
  });

  it('is given statements of the SQL command PREPARE, too, once, and again when they are others', () => {
    const stage = rebuilt();
    const run = (seq: number, sql: string) =>
      envelope({ seq, context: { ...context(), sqlStatements: [{ name: 'p', sql }] } }, select);
    const given = ['F Close / F Sync / F Query'];
    for (const [seq, sql, expected] of [
      [5, 'PREPARE p AS SELECT 1', given],
      [6, 'PREPARE p AS SELECT 1', []],
      [7, 'PREPARE p AS SELECT 2', given],
    ] as const) {
      stage.take(run(seq, sql));
      assert.deepEqual(
        stage.seen().filter((line) => line.includes('Close')),
        expected,
      );
      if (expected.length > 0) stage.mirror(closed, ready(), tag('PREPARE'), ready());
      stage.mirror(tag('SELECT 0'), ready());
    }
    assert.equal(stage.results().length, 4);
  });

  it('is given a statement once its turn comes, when it was taken in while another exchange was under way', () => {
    const stage = rebuilt();
    const sqlStatements = [{ name: 'p', sql: 'PREPARE p AS SELECT 1' }];
    stage.take(envelope({ seq: 5 }, select), envelope({ seq: 6, context: { ...context(), sqlStatements } }, select));
    assert.deepEqual(stage.seen(), ['F Query']);
    stage.mirror(tag('SELECT 0'), ready());
    assert.deepEqual(stage.seen(), ['#5 replayed =', 'F Close / F Sync / F Query']);
  });

  it('cannot use temporary tables of its past, but those it makes after production’s session has lost all others', () => {
    const needs = [DependencyReason.TEMP_TABLE];
    const stage = new LaneStage();
    stage.take(envelope({ seq: 4, dependsOn: needs }, select), envelope({ seq: 5 }, simple('DISCARD TEMP', 'DISCARD')));
    stage.connect();
    stage.mirror(tag('DISCARD'), ready());
    stage.take(envelope({ seq: 6 }, simple('CREATE TEMP TABLE t ()', 'CREATE TABLE')));
    stage.mirror(tag('CREATE TABLE'), ready());
    stage.take(envelope({ seq: 7, dependsOn: needs }, select));
    stage.mirror(tag('SELECT 0'), ready());
    assert.deepEqual(
      stage.results().map(({ outcome, reason }) => outcome + reason),
      ['faileddependsOnSession', 'replayed', 'replayed', 'replayed'],
    );
  });

  it('does not prove anything by differences in what the session remembers', () => {
    for (const [dependsOn, verdict] of [
      [DependencyReason.SEQUENCE_VALUE, 'sessionState'],
      [DependencyReason.ADVISORY_LOCK, 'sessionState'],
      [DependencyReason.AFTER_GAP, 'afterGap'],
    ] as const) {
      const stage = new LaneStage();
      stage.take(envelope({ seq: 4, dependsOn: [dependsOn] }, select));
      stage.connect();
      stage.mirror(failure('55000'), ready());
      assert.deepEqual(stage.seen().at(-1), `#4 replayed ${verdict}`);
    }
    const whole = new LaneStage();
    whole.take(envelope({ seq: 1, dependsOn: [DependencyReason.SEQUENCE_VALUE] }, select));
    whole.connect();
    whole.mirror(failure('55000'), ready());
    assert.deepEqual(whole.seen().at(-1), '#1 replayed ≠', 'a session that has all its past has no excuse');
  });

  it('never has a snapshot that another session exported', () => {
    const stage = new LaneStage();
    stage.take(envelope({ seq: 1, dependsOn: [DependencyReason.SNAPSHOT] }, select));
    stage.connect();
    stage.mirror(failure('22023'), ready());
    assert.deepEqual(stage.seen().at(-1), '#1 replayed sessionState');
  });
});

describe('a lane', () => {
  it('tells the outcomes of pipelined transactions apart that are answered in one chunk', () => {
    const stage = new LaneStage();
    const answer = backend(tag('ROLLBACK'), ready());
    const first = { request: frontend(query('ROLLBACK')), answer, doneUs: 500 };
    stage.take(envelope({ seq: 1, startedUs: 0 }, first), envelope({ seq: 2, startedUs: 100 }, select));
    stage.connect();
    stage.mirror(tag('ROLLBACK'), ready(), tag('SELECT 0'), ready());
    assert.deepEqual(
      stage.results().map((it) => it.replayedOutcome),
      [TransactionOutcome.ROLLED_BACK, TransactionOutcome.COMMITTED],
    );
  });

  it('leaves a COPY where production’s client left it, without a word to the mirror', () => {
    const stage = new LaneStage();
    stage.take(envelope({ seq: 1 }, { request: frontend(query('COPY t FROM STDIN')) }));
    stage.connect();
    stage.mirror(copyIn);
    assert.deepEqual(stage.seen(), ['connect', 'F Query', 'close destroy', '#1 replayed']);
  });
});
