// Conversations of a lane: what it sends, when, and what it reports, as traces against a mirror that each test plays.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DependencyReason, StatementEnd, TransactionOutcome } from '@mirrorstream/envelope';
import {
  backend,
  bind,
  context,
  copyData,
  copyDone,
  copyIn,
  envelope,
  execute,
  failure,
  flush,
  frontend,
  LaneStage,
  parse,
  query,
  ready,
  row,
  simple,
  sync,
  tag,
} from './lane.fixture.ts';
import { createPacing } from './pacing.ts';

const parseComplete = { kind: 'parseComplete' } as const;
const bindComplete = { kind: 'bindComplete' } as const;
const closeComplete = { kind: 'closeComplete' } as const;

function connected(...settings: Parameters<typeof envelope>[]): LaneStage {
  const stage = new LaneStage();
  stage.take(...settings.map((it) => envelope(...it)));
  stage.connect();
  return stage;
}

describe('lane', () => {
  it('connects on the first envelope, sends one exchange after the other, and reports the transaction as equal', () => {
    const stage = new LaneStage();
    stage.take(
      envelope(
        { seq: 1 },
        simple('BEGIN', 'BEGIN', 'T'),
        simple('INSERT', 'INSERT 0 1', 'T'),
        simple('COMMIT', 'COMMIT'),
      ),
    );
    assert.deepEqual(stage.seen(), ['connect']);
    stage.connect();
    assert.deepEqual(stage.seen(), ['F Query']);
    stage.mirror(tag('BEGIN'), ready('T'));
    assert.deepEqual(stage.seen(), ['F Query']);
    stage.mirror(tag('INSERT 0 1'), ready('T'));
    stage.mirror(tag('COMMIT'), ready());
    assert.deepEqual(stage.seen(), ['F Query', '#1 replayed = = =']);
    const [result] = stage.results();
    assert.deepEqual(
      result?.statements.map((it) => [it.exchange, it.statement, it.sql]),
      [
        [0, 0, 'BEGIN'],
        [1, 0, 'INSERT'],
        [2, 0, 'COMMIT'],
      ],
    );
    assert.equal(result?.replayedOutcome, TransactionOutcome.COMMITTED);
    assert.equal(result?.transactions, 1);
  });

  it('keeps both answers of the exchange on its first difference only', () => {
    const answer = backend(row('a'), tag('SELECT 1'), row('b'), tag('SELECT 1'), ready());
    const stage = connected([{ seq: 1 }, { request: frontend(query('SELECT a; SELECT b')), answer }]);
    stage.mirror(row('x'), tag('SELECT 1'), row('y'), tag('SELECT 1'), ready());
    const [first, second] = stage.results()[0]?.statements ?? [];
    assert.equal(first?.equal, false);
    assert.deepEqual(Buffer.from(first?.capturedRaw ?? []), Buffer.from(answer));
    assert.deepEqual(
      Buffer.from(first?.replayedRaw ?? []),
      Buffer.from(backend(row('x'), tag('SELECT 1'), row('y'), tag('SELECT 1'), ready())),
    );
    assert.equal(second?.equal, false);
    assert.equal(second?.capturedRaw.length, 0);
  });

  it('keeps the rows around the first that differs of answers too large to keep', () => {
    const rows = (changed: number) =>
      Array.from({ length: 10_000 }, (_, i) => row(`row ${i}${i === changed ? ' changed' : ''}`));
    const answer = backend(tag('BEGIN'), ...rows(-1), tag('SELECT 10000'), ready());
    const other = backend(tag('BEGIN'), ...rows(9_000), tag('SELECT 10000'), ready());
    for (const pieceBytes of [1_000, 100_000, other.length]) {
      const stage = connected([{ seq: 1 }, { request: frontend(query('BEGIN; SELECT a')), answer }]);
      for (let at = 0; at < other.length; at += pieceBytes)
        stage.step({ kind: 'bytes', chunk: other.slice(at, at + pieceBytes) });
      const [begin, select] = stage.results()[0]?.statements ?? [];
      assert.equal(begin?.equal, true);
      assert.deepEqual(
        [select?.equal, select?.rawAlone, select?.capturedRowsBefore, select?.replayedRowsBefore],
        [false, true, 8_995, 8_995],
      );
      const [captured, replayed] = [select?.capturedRaw ?? answer, select?.replayedRaw ?? answer];
      const before = backend(...rows(-1).slice(8_995, 9_000));
      assert.ok(Buffer.from(captured).toString('latin1').startsWith(Buffer.from(before).toString('latin1')));
      assert.ok(Buffer.from(replayed).toString('latin1').startsWith(Buffer.from(before).toString('latin1')));
      assert.ok(Buffer.from(replayed).includes('row 9000 changed'));
      assert.ok(captured.length < 70_000 && replayed.length < 70_000);
    }
  });

  it('reads answers the same however the network cuts them', () => {
    const answer = backend(row('some value'), tag('SELECT 1'), ready());
    for (let cut = 1; cut < answer.length; cut++) {
      const stage = connected([{ seq: 1 }, { request: frontend(query('SELECT')), answer }]);
      stage.step({ kind: 'bytes', chunk: answer.subarray(0, cut) });
      stage.step({ kind: 'bytes', chunk: answer.subarray(cut) });
      assert.deepEqual(stage.seen().slice(2), ['#1 replayed ='], `cut at ${cut}`);
    }
  });

  it('sends what production pipelined without waiting, and waits for what production waited for', () => {
    const answer = backend(tag('SELECT 0'), ready());
    const request = frontend(query('SELECT'));
    const stage = connected(
      [
        { seq: 1, startedUs: 0 },
        { request, answer, sentUs: 0, doneUs: 500 },
      ],
      [
        { seq: 2, startedUs: 100 },
        { request, answer, sentUs: 0, doneUs: 500 },
      ],
      [
        { seq: 3, startedUs: 550 },
        { request, answer, sentUs: 0, doneUs: 500 },
      ],
    );
    assert.deepEqual(stage.seen(), ['connect', 'F Query', 'F Query']);
    stage.mirror(tag('SELECT 0'), ready());
    assert.deepEqual(stage.seen(), ['#1 replayed =', 'F Query']);
    stage.mirror(tag('SELECT 0'), ready(), tag('SELECT 0'), ready());
    assert.deepEqual(stage.seen(), ['#2 replayed =', '#3 replayed =']);
  });

  it('waits for a reply where the client waited inside an exchange', () => {
    const first = frontend(parse('', 'SELECT'), flush);
    const rest = frontend(bind(''), execute, sync);
    const answer = backend(parseComplete, bindComplete, tag('SELECT 0'), ready());
    const request = Buffer.concat([first, rest]);
    const stage = connected([{ seq: 1 }, { request, answer, segments: [{ end: first.length, sentUs: 20 }] }]);
    assert.deepEqual(stage.seen(), ['connect', 'F Parse / F Flush']);
    stage.mirror(parseComplete);
    assert.deepEqual(stage.seen(), ['F Bind / F Execute / F Sync']);
    stage.mirror(bindComplete, tag('SELECT 0'), ready());
    assert.deepEqual(stage.seen(), ['#1 replayed =']);
    assert.equal(stage.results()[0]?.statements[0]?.sql, 'SELECT');
  });

  it('does not wait for ever for a reply that only production gave in mid-exchange', () => {
    const first = frontend(parse('', 'SELECT'));
    const request = Buffer.concat([first, frontend(bind(''), execute, sync)]);
    const answer = backend(parseComplete, bindComplete, tag('SELECT 0'), ready());
    const stage = connected([{ seq: 1 }, { request, answer, segments: [{ end: first.length, sentUs: 20 }] }]);
    stage.seen();
    assert.equal(stage.wakeAtUs(), stage.nowUs + 1_000_000);
    stage.pass(1000);
    assert.deepEqual(stage.seen(), ['F Bind / F Execute / F Sync']);
  });

  it('streams a COPY in parts and settles its first part with its last', () => {
    const stage = new LaneStage();
    const answer = backend(copyIn, tag('COPY 2'), ready());
    const start = frontend(query('COPY t FROM STDIN'));
    const piece = Buffer.concat([start, frontend(copyData('1\n'))]);
    stage.take(
      envelope(
        { seq: 1, lastPart: false },
        { request: piece, continues: true, segments: [{ end: start.length, sentUs: 10 }] },
      ),
    );
    stage.connect();
    assert.deepEqual(stage.seen(), ['connect', 'F Query']);
    stage.mirror(copyIn);
    assert.deepEqual(stage.seen(), ['F CopyData', '#1.0+ replayed']);
    stage.take(envelope({ seq: 1, part: 1 }, { request: frontend(copyData('2\n'), copyDone), answer, index: 0 }));
    assert.deepEqual(stage.seen(), ['F CopyData / F CopyDone']);
    stage.mirror(tag('COPY 2'), ready());
    assert.deepEqual(stage.seen(), ['#1.1 replayed =']);
    const effects = stage.effects.filter((effect) => effect.kind === 'result');
    assert.deepEqual(
      effects.map((effect) => [effect.resolves, effect.holds]),
      [
        [[], 0n],
        [[0n, 1n], null],
      ],
    );
    assert.equal(stage.results()[1]?.statements[0]?.sql, 'COPY t FROM STDIN');
  });

  it('begins a transaction whose first part brings nothing but its context', () => {
    const stage = new LaneStage();
    stage.take(
      envelope({ seq: 1, lastPart: false }),
      envelope({ seq: 1, part: 1, lastPart: false }, simple('BEGIN', 'BEGIN', 'T')),
      envelope({ seq: 1, part: 2 }),
    );
    stage.connect();
    stage.mirror(tag('BEGIN'), ready('T'));
    assert.deepEqual(stage.seen(), ['connect', '#1.0+ replayed', 'F Query', '#1.1+ replayed =', '#1.2 replayed']);
  });

  it('cuts a frame across parts and still knows its text', () => {
    const stage = new LaneStage();
    const whole = frontend(query(`SELECT '${'x'.repeat(5000)}'`));
    const answer = backend(tag('SELECT 1'), ready());
    stage.take(
      envelope({ seq: 1, lastPart: false }, { request: whole.subarray(0, 3000), continues: true }),
      envelope({ seq: 1, part: 1 }, { request: whole.subarray(3000), answer, index: 0 }),
    );
    stage.connect();
    stage.mirror(tag('SELECT 1'), ready());
    const sql = stage.results()[1]?.statements[0]?.sql ?? '';
    assert.equal(sql.length, 2048);
    assert.ok(sql.startsWith("SELECT 'xxx"));
  });

  it('gives up a COPY that only the mirror accepts, and goes on in step', () => {
    const refused = { request: frontend(query('COPY t FROM STDIN')), answer: backend(failure('42P01'), ready()) };
    const stage = connected([{ seq: 1 }, refused], [{ seq: 2 }, simple('SELECT', 'SELECT 0')]);
    stage.seen();
    stage.mirror(copyIn);
    assert.deepEqual(stage.seen(), ['F CopyFail']);
    stage.mirror(failure('57014'), ready());
    assert.deepEqual(stage.seen(), ['#1 replayed ≠', 'F Query']);
    stage.mirror(tag('SELECT 0'), ready());
    assert.deepEqual(stage.seen(), ['#2 replayed =']);
  });

  it('stays in step when the mirror fails an extended COPY that production swallowed a Sync for', () => {
    const request = frontend(parse('', 'COPY'), bind(''), execute, sync, copyData('1\n'), copyDone, sync);
    const answer = backend(parseComplete, bindComplete, copyIn, tag('COPY 1'), ready());
    const stage = connected([{ seq: 1 }, { request, answer }], [{ seq: 2 }, simple('SELECT', 'SELECT 0')]);
    stage.seen();
    // Two ReadyForQuerys here, one in production.
    stage.mirror(failure('42P01'), ready());
    assert.deepEqual(stage.seen(), []);
    stage.mirror(ready());
    assert.deepEqual(stage.seen(), ['#1 replayed ≠', 'F Query']);
    stage.mirror(tag('SELECT 0'), ready());
    assert.deepEqual(stage.seen(), ['#2 replayed =']);
  });

  it('sends the Sync that a mirror needs which discards a Query after an error of its own', () => {
    const request = frontend(parse('', 'SELECT x'), bind(''), execute, query('SELECT 1'));
    const answer = backend(parseComplete, bindComplete, tag('SELECT 0'), tag('SELECT 1'), ready());
    const stage = connected([{ seq: 1 }, { request, answer }]);
    stage.seen();
    stage.mirror(failure('42703'));
    assert.deepEqual(stage.seen(), ['F Sync']);
    stage.mirror(ready());
    assert.deepEqual(stage.seen(), ['#1 replayed ≠ ≠']);
    assert.equal(stage.results()[0]?.statements[1]?.replayed.end, StatementEnd.SKIPPED);
  });

  it('sees that both sides discarded what followed an error', () => {
    const request = frontend(parse('a', 'SELECT x'), bind('a'), execute, bind('a'), execute, sync);
    const answer = backend(failure('42703'), ready());
    const stage = connected([{ seq: 1 }, { request, answer }]);
    stage.mirror(failure('42703'), ready());
    assert.deepEqual(stage.seen().slice(2), ['#1 replayed =']);
    assert.equal(stage.results()[0]?.replayedOutcome, TransactionOutcome.FAILED);
  });

  it('applies settings and prepared statements to a connection that has no history, and compares none of it', () => {
    const stage = new LaneStage();
    const answer = backend(bindComplete, tag('SELECT 0'), ready());
    stage.take(
      envelope(
        { seq: 5, context: context({ settings: ['SET search_path TO app'], statements: { s1: 'SELECT 1' } }) },
        { request: frontend(bind('s1'), execute, sync), answer },
      ),
    );
    stage.connect();
    assert.deepEqual(stage.seen(), ['connect', 'F Query / F Parse / F Sync']);
    stage.mirror(tag('SET'), ready());
    stage.mirror(parseComplete, ready());
    assert.deepEqual(stage.seen(), ['F Bind / F Execute / F Sync']);
    stage.mirror(bindComplete, tag('SELECT 0'), ready());
    assert.deepEqual(stage.seen(), ['#5 replayed =']);
    assert.equal(stage.results()[0]?.statements[0]?.sql, 'SELECT 1');
  });

  it('does not send a kept Parse that is no whole Parse frame', () => {
    const stage = new LaneStage();
    const whole = context({ statements: { s1: 'SELECT 1' } });
    const damaged = { ...whole, statements: [{ name: 's1', parseFrame: frontend(bind('s1')).subarray(0, 9) }] };
    stage.take(envelope({ seq: 2, context: damaged }, simple('A', 'A')), envelope({ seq: 3 }, simple('B', 'B')));
    stage.connect();
    assert.deepEqual(stage.seen(), ['connect', '#2 failed{incomplete}', 'F Query']);
  });

  it('takes back what the session had before it applies the context after a gap on the same connection', () => {
    const stage = connected([{ seq: 1 }, simple('SELECT', 'SELECT 0')]);
    stage.mirror(tag('SELECT 0'), ready());
    stage.seen();
    stage.step({ kind: 'gap' });
    stage.take(
      envelope({ seq: 2, context: context({ statements: { s1: 'SELECT 1' } }) }, simple('SELECT', 'SELECT 0')),
    );
    assert.deepEqual(stage.seen(), ['F Query x3 / F Close / F Parse / F Sync']);
    for (let i = 0; i < 3; i++) stage.mirror(tag('RESET'), ready());
    stage.mirror(closeComplete, parseComplete, ready());
    assert.deepEqual(stage.seen(), ['F Query']);
  });

  it('fails the open transaction when the connection is lost and plays the next on a new connection', () => {
    const stage = connected(
      [{ seq: 1 }, simple('BEGIN', 'BEGIN', 'T'), simple('COMMIT', 'COMMIT')],
      [{ seq: 2, context: context({ settings: ['SET a TO b'] }) }, simple('SELECT', 'SELECT 0')],
    );
    stage.mirror(tag('BEGIN'), ready('T'));
    stage.seen();
    stage.step({ kind: 'lost' });
    assert.deepEqual(stage.seen(), ['#1 failed{connectionLost}', 'connect']);
    stage.connect();
    assert.deepEqual(stage.seen(), ['F Query']);
    stage.mirror(tag('SET'), ready());
    stage.mirror(tag('SELECT 0'), ready());
    assert.deepEqual(stage.seen(), ['F Query', '#2 replayed =']);
  });

  it('fails the parts still to come of a transaction whose connection was lost', () => {
    const stage = connected([{ seq: 1, lastPart: false }, simple('BEGIN', 'BEGIN', 'T')]);
    stage.mirror(tag('BEGIN'), ready('T'));
    stage.step({ kind: 'lost' });
    stage.seen();
    stage.take(envelope({ seq: 1, part: 1 }, { ...simple('COMMIT', 'COMMIT'), index: 1 }));
    assert.deepEqual(stage.seen(), ['#1.1 failed{connectionLost}']);
  });

  it('fails a transaction when no connection can be made, and tries again for the next', () => {
    const stage = new LaneStage();
    stage.take(envelope({ seq: 1 }, simple('SELECT', 'SELECT 0')), envelope({ seq: 2 }, simple('SELECT', 'SELECT 0')));
    assert.deepEqual(stage.seen(), ['connect']);
    stage.step({ kind: 'connectFailed', reason: 'targetUnreachable' });
    assert.deepEqual(stage.seen(), ['#1 failed{targetUnreachable}', 'connect']);
  });

  it('gives up a transaction whose context kills every connection', () => {
    const stage = new LaneStage();
    stage.take(envelope({ seq: 3, context: context({ settings: ['SET a TO b'] }) }, simple('SELECT', 'SELECT 0')));
    for (let i = 0; i < 3; i++) {
      stage.connect();
      stage.step({ kind: 'lost' });
    }
    assert.deepEqual(stage.seen().at(-1), '#3 failed{connectionLost}');
  });

  it('does not play what needs session state that this connection cannot have', () => {
    const stage = new LaneStage();
    stage.take(
      envelope({ seq: 4, dependsOn: [DependencyReason.TEMP_TABLE] }, simple('SELECT', 'SELECT 0')),
      envelope({ seq: 5, dependsOn: [DependencyReason.ADVISORY_LOCK] }, simple('SELECT', 'SELECT 0')),
    );
    stage.connect();
    assert.deepEqual(stage.seen(), ['connect', '#4 failed{dependsOnSession}', 'F Query']);
  });

  it('plays what needs session state on the connection that has it', () => {
    const stage = connected(
      [{ seq: 1 }, simple('CREATE TEMP TABLE t ()', 'CREATE TABLE')],
      [{ seq: 2, dependsOn: [DependencyReason.TEMP_TABLE] }, simple('SELECT', 'SELECT 0')],
    );
    stage.mirror(tag('CREATE TABLE'), ready());
    stage.mirror(tag('SELECT 0'), ready());
    assert.deepEqual(
      stage.results().map((it) => it.outcome),
      ['replayed', 'replayed'],
    );
  });

  it('counts a part whose beginning never came as incomplete', () => {
    const stage = new LaneStage();
    stage.take(envelope({ seq: 7, part: 2 }, simple('COMMIT', 'COMMIT')));
    assert.deepEqual(stage.seen(), ['#7.2 failed{incomplete}']);
  });

  it('settles a repeated envelope without a result', () => {
    const again = envelope({ seq: 1 }, simple('SELECT', 'SELECT 0'));
    const stage = connected([{ seq: 1 }, simple('SELECT', 'SELECT 0')]);
    stage.take(again);
    stage.mirror(tag('SELECT 0'), ready());
    stage.take(again);
    assert.deepEqual(stage.seen(), ['connect', 'F Query', 'duplicate', '#1 replayed =', 'duplicate']);
  });

  it('reports what production never answered as not compared, and waits for the mirror only so long', () => {
    const stage = connected([{ seq: 1 }, { request: frontend(query('SELECT pg_sleep(1000)')) }]);
    stage.seen();
    stage.pass(5000);
    assert.deepEqual(stage.seen(), ['close destroy', '#1 replayed']);
    assert.equal(stage.results()[0]?.replayedOutcome, TransactionOutcome.UNKNOWN);
    const answering = connected([{ seq: 1 }, { request: frontend(query('SELECT')) }]);
    answering.mirror(tag('SELECT 0'), ready());
    assert.deepEqual(answering.seen().slice(2), ['#1 replayed unanswered']);
  });

  it('closes the connection at the session end, after everything else', () => {
    const stage = connected([{ seq: 1 }, simple('SELECT', 'SELECT 0')]);
    stage.end();
    stage.seen();
    stage.mirror(tag('SELECT 0'), ready());
    assert.deepEqual(stage.seen(), ['#1 replayed =', 'sessionEnd', 'close terminate', 'ended']);
  });

  it('keeps the schedule of production, and shortens think time when it is late', () => {
    const pacing = createPacing({ mode: 'timed', speed: 1, replayDelayMs: 1000 });
    const stage = new LaneStage({ pacing });
    // Production: sent at 10 ms and, after its answer, at 210 ms.
    const exchanges = [simple('A', 'A', 'T'), { ...simple('B', 'B'), sentUs: 200_000, doneUs: 200_050 }] as const;
    stage.take(envelope({ seq: 1, startedUs: 10_000 }, ...exchanges));
    stage.connect();
    assert.deepEqual(stage.seen(), ['connect']);
    assert.equal(stage.wakeAtUs(), 1_001_010_000);
    stage.pass(1010);
    assert.deepEqual(stage.seen(), ['F Query']);
    stage.pass(150);
    stage.mirror(tag('A'), ready('T'));
    assert.equal(stage.wakeAtUs(), 1_001_210_000);
    stage.pass(50);
    assert.deepEqual(stage.seen(), ['F Query']);
    stage.mirror(tag('B'), ready());
    const [result] = stage.results();
    assert.deepEqual([result?.scheduledAtUs, result?.sentAtUs], [1_001_010_000n, 1_001_010_000n]);
  });

  it('sends nothing while the socket is full or results are held back', () => {
    const stage = new LaneStage();
    stage.step({ kind: 'hold', on: true });
    stage.take(envelope({ seq: 1 }, simple('A', 'A'), simple('B', 'B')));
    assert.deepEqual(stage.seen(), []);
    stage.step({ kind: 'hold', on: false });
    stage.connect();
    assert.deepEqual(stage.seen(), ['connect', 'F Query']);
    stage.step({ kind: 'blocked' });
    stage.mirror(tag('A'), ready());
    assert.deepEqual(stage.seen(), []);
    stage.step({ kind: 'drained' });
    assert.deepEqual(stage.seen(), ['F Query']);
  });

  it('finishes the transaction under way when it drains and begins no other', () => {
    const stage = connected(
      [{ seq: 1 }, simple('BEGIN', 'BEGIN', 'T'), simple('COMMIT', 'COMMIT')],
      [{ seq: 2 }, simple('SELECT', 'SELECT 0')],
    );
    stage.seen();
    stage.step({ kind: 'drain' });
    stage.mirror(tag('BEGIN'), ready('T'));
    stage.mirror(tag('COMMIT'), ready());
    assert.deepEqual(stage.seen(), ['F Query', '#1 replayed = =', 'close terminate', 'ended']);
  });

  it('publishes nothing more when its partition is somebody else’s', () => {
    const stage = connected([{ seq: 1 }, simple('A', 'A'), simple('B', 'B')]);
    stage.seen();
    stage.step({ kind: 'abandon' });
    assert.deepEqual(stage.seen(), []);
    stage.mirror(tag('A'), ready());
    assert.deepEqual(stage.seen(), ['close destroy', 'ended']);
  });

  it('gives its connection back to others only between transactions', () => {
    const stage = connected([{ seq: 1, lastPart: false }, simple('BEGIN', 'BEGIN', 'T')]);
    stage.mirror(tag('BEGIN'), ready('T'));
    stage.seen();
    stage.step({ kind: 'evict' });
    assert.deepEqual(stage.seen(), []);
    stage.take(envelope({ seq: 1, part: 1 }, { ...simple('COMMIT', 'COMMIT'), index: 1 }));
    stage.mirror(tag('COMMIT'), ready());
    stage.step({ kind: 'evict' });
    assert.deepEqual(stage.seen(), ['F Query', '#1.1 replayed =', 'close terminate']);
  });

  it('goes on in a new connection when capture never saw the end of a transaction', () => {
    const stage = connected(
      [{ seq: 1, lastPart: false }, simple('BEGIN', 'BEGIN', 'T')],
      [{ seq: 2 }, simple('SELECT', 'SELECT 0')],
    );
    stage.mirror(tag('BEGIN'), ready('T'));
    assert.deepEqual(stage.seen().slice(2), ['#1.0+ replayed =', 'close destroy', 'connect']);
    stage.connect();
    stage.mirror(tag('SELECT 0'), ready());
    const last = stage.effects.findLast((effect) => effect.kind === 'result');
    assert.deepEqual(last?.kind === 'result' ? last.resolves : [], [0n, 1n]);
  });
});
