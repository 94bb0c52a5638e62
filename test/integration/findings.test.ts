// Findings from results to the command line: two mirrors on a real broker, one of them the control; real, noise, slower; what people say.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { controlTopic, mirrorControlKey, resultsTopic } from '@mirrorstream/domain';
import { encodeResultBatch, ResultOutcome, StatementEnd } from '@mirrorstream/envelope';
import type { Finding, PerformanceEntry, SuppressionCount } from '@mirrorstream/findings';
import {
  removeDirectory,
  type SeededRandom,
  seededRandom,
  sharedKafka,
  temporaryDirectory,
} from '@mirrorstream/testkit';
import { type Ended, run } from '../e2e/up-process.ts';
import { ComparerScene, stopInOrder } from './comparer-scene.ts';
import { PARTITIONS, type ResultInit } from './comparer-stream.ts';

interface Printed {
  readonly controls: readonly { readonly mirror: string }[];
  readonly findings: readonly Finding[];
  readonly finding: Finding;
  readonly written: string;
  readonly regressions: readonly PerformanceEntry[];
  readonly improvements: readonly PerformanceEntry[];
  readonly suppressions: readonly SuppressionCount[];
}

const answer = {
  end: StatementEnd.COMPLETE,
  commandTag: 'SELECT 1',
  rows: 1n,
  digested: true,
  orderedDigest: 1n,
  multisetDigest: 1n,
  columnsDigest: 5n,
  columnCount: 1,
};
const noisy = 'SELECT payload FROM events WHERE id = $1';
const broken = 'SELECT name FROM customers WHERE code = $1';
const slow = 'SELECT sum(total) FROM orders WHERE day = $1';
const plain = 'SELECT stock FROM products WHERE id = $1';
const transactions = 400;

/** What a mirror answered to four statements in each of 400 transactions, in 4 partitions. */
function resultsOf(random: SeededRandom, isCandidate: boolean): readonly ResultInit[][] {
  const partitions: ResultInit[][] = Array.from({ length: PARTITIONS }, () => []);
  for (let i = 0; i < transactions; i++) {
    const statements = [noisy, broken, slow, plain].map((sql, exchange) => {
      const capturedUs = 200 + random.integer(0, 400);
      const factor = isCandidate && sql === slow ? 3 : 1;
      const captured = { ...answer, latencyUs: BigInt(capturedUs) };
      const replayed = { ...answer, latencyUs: BigInt(Math.round(capturedUs * factor * (0.9 + random.next() / 5))) };
      const differs = (sql === noisy && random.next() < 0.3) || (isCandidate && sql === broken && random.next() < 0.25);
      if (!differs) return { exchange, sql, equal: true, captured, replayed };
      const failed = { end: StatementEnd.ERROR, sqlState: '42883', severity: 'ERROR', digested: true };
      return sql === broken
        ? { exchange, sql, captured, replayed: failed }
        : { exchange, sql, captured, replayed: { ...replayed, rows: 2n, commandTag: 'SELECT 2' } };
    });
    // A session of its own each: nothing is suspect because of something else.
    const ref = { sessionId: `s${i}`, sessionSeq: 1n, part: 0, lastPart: true, offset: BigInt(i), index: 0 };
    const atUs = BigInt(Date.now()) * 1_000n;
    const times = { capturedAtUs: atUs, scheduledAtUs: atUs, sentAtUs: atUs + 50n, doneAtUs: atUs + 5_000n };
    partitions[i % PARTITIONS]?.push({ ref, outcome: ResultOutcome.REPLAYED, transactions: 1, statements, ...times });
  }
  return partitions;
}

describe('findings', () => {
  let scene: ComparerScene;
  let folder: string;
  before(async () => {
    scene = await ComparerScene.open((await sharedKafka()).bootstrap);
    folder = await temporaryDirectory('findings');
  });
  after(async () => {
    await scene.close();
    await removeDirectory(folder);
  });

  const command = (...args: readonly string[]): Promise<Ended> =>
    run(['findings', ...args, '--brokers', scene.brokers], folder);

  async function play(mirror: string, seed: number, isCandidate: boolean): Promise<void> {
    const service = await scene.startComparer(mirror);
    await produce(mirror, seed, isCandidate);
    await scene.waitForResolved(mirror, transactions);
    await stopInOrder(service);
  }

  async function produce(mirror: string, seed: number, isCandidate: boolean): Promise<void> {
    const of = { environment: 'default', mirror, run: 'live', replayer: 'test' };
    const records = resultsOf(seededRandom(seed), isCandidate).map((results, partition) => ({
      topic: resultsTopic('default', mirror),
      partition,
      key: null,
      value: encodeResultBatch({ ...of, partition, results }),
    }));
    await scene.producer.send(records);
  }

  async function findings(...args: readonly string[]): Promise<Printed> {
    const { code, stdout, stderr } = await command(...args, '--json');
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout) as Printed;
  }

  it('tell what is broken, what is slower and what the control shows as well; and keep what people say about them', async () => {
    const [candidate, control] = [await scene.newMirror(), await scene.newMirror()];
    await play(candidate, 1, true);
    await play(control, 2, false);

    const alone = await findings('list', '--mirror', candidate);
    assert.deepEqual(new Set(alone.findings.map(({ decision }) => decision)), new Set(['undecided']));

    await scene.ensureControlTopic();
    const role = Buffer.from('{"version":1,"role":"control"}');
    await scene.producer.send([
      { topic: controlTopic, partition: 0, key: mirrorControlKey('default', control), value: role },
    ]);
    const listed = await findings('list', '--mirror', candidate);
    assert.ok(listed.controls.some(({ mirror }) => mirror === control));
    const bySql = new Map(listed.findings.map((finding) => [finding.normalizedSql, finding]));
    assert.deepEqual([bySql.get(broken)?.class, bySql.get(broken)?.decision], ['errorNew', 'real']);
    assert.deepEqual(
      bySql.get(broken)?.errors.map(({ captured, replayed }) => [captured, replayed]),
      [['', '42883']],
    );
    assert.deepEqual([bySql.get(noisy)?.class, bySql.get(noisy)?.decision], ['rowCount', 'noise']);
    assert.match(bySql.get(noisy)?.why ?? '', /^raw \d.* noise \d.*n = 400 \/ 400/);
    assert.equal(bySql.size, 2);
    assert.deepEqual(
      listed.regressions.map(({ normalizedSql, samples }) => [normalizedSql, samples]),
      [[slow, transactions]],
    );
    const [regression] = listed.regressions;
    assert.ok(regression !== undefined && regression.netRatio.low > 2.8 && regression.netRatio.high < 3.2);
    assert.deepEqual(listed.improvements, []);

    const id = bySql.get(broken)?.id ?? '';
    const shown = await findings('show', id, '--mirror', candidate);
    assert.ok(shown.finding.exemplars.length > 0);
    assert.equal((await findings('ack', id, '--mirror', candidate)).finding.status, 'acknowledged');
    const { finding: resolved } = await findings(
      'resolve',
      id,
      '--mirror',
      candidate,
      '--reason',
      'function added',
      '--by',
      'ana',
    );
    assert.equal(resolved.status, 'resolved');
    assert.deepEqual([resolved.statusBy?.by, resolved.statusBy?.reason], ['ana', 'function added']);

    const noisyId = bySql.get(noisy)?.id ?? '';
    const flags = ['--mirror', candidate, '--reason', 'known', '--owner', 'bo', '--expires', '1h'];
    const { written } = await findings('suppress', noisyId, ...flags);
    const after = await findings('list', '--mirror', candidate);
    const hidden = after.findings.find((finding) => finding.id === noisyId);
    assert.deepEqual([hidden?.status, hidden?.hidden], ['suppressed', hidden?.count]);
    assert.deepEqual(
      after.suppressions.map((one) => [one.id, one.owner, one.hides]),
      [[written, 'bo', hidden?.count]],
    );
    await findings('unsuppress', written, '--mirror', candidate);

    // The same again, after it was called resolved: in sessions that were not there before.
    const more = await scene.startComparer(candidate);
    const of = { environment: 'default', mirror: candidate, run: 'live', replayer: 'test', partition: 0 };
    const again = resultsOf(seededRandom(3), true)[0] ?? [];
    const results = again.map(
      (one) => ({ ...one, ref: { ...one.ref, sessionId: `again-${one.ref?.sessionId}` } }) as ResultInit,
    );
    await scene.producer.send([
      {
        topic: resultsTopic('default', candidate),
        partition: 0,
        key: null,
        value: encodeResultBatch({ ...of, results }),
      },
    ]);
    await scene.waitForResolved(candidate, transactions + results.length);
    await stopInOrder(more);
    const reopened = await findings('list', '--mirror', candidate);
    const statuses = reopened.findings.map((finding) => [finding.id, finding.status]);
    assert.deepEqual(
      new Map(statuses as [string, string][]),
      new Map([
        [id, 'reopened'],
        [noisyId, 'open'],
      ]),
    );
    const slowCalls = reopened.regressions.map(({ samples }) => samples);
    assert.deepEqual(slowCalls, [transactions + results.length]);
  });

  it('leave detail and work out where the comparer is behind, count it by reason, and come to exact totals', async () => {
    const mirror = await scene.newMirror();
    await produce(mirror, 5, true);
    // Whatever was produced before now is older than 1 ms.
    const service = await scene.startComparer(mirror, '--detail-behind-ms', '1', '--work-behind-ms', '1');
    await scene.waitForResolved(mirror, transactions);
    await stopInOrder(service);
    const totals = await scene.totals(mirror);
    const statements = ['match', 'notCompared', 'rowCount', 'errorNew'].map((name) => totals.get(name) ?? 0);
    assert.equal(
      statements.reduce((sum, count) => sum + count, 0),
      transactions * 4,
    );
    assert.ok((totals.get('notCompared') ?? 0) > 100, JSON.stringify([...totals]));
    const { findings: found } = await findings('list', '--mirror', mirror);
    assert.deepEqual(found, []);
    assert.deepEqual(
      new Map(await scene.aggregated(mirror)),
      new Map([...totals].filter(([name]) => ['match', 'notCompared'].includes(name))),
    );
  });

  it('refuse a mirror that nothing is known of, and a finding that there is none of, with exit code 2', async () => {
    const mirror = await scene.newMirror();
    const missing = await command('--mirror', 'nobody');
    assert.equal(missing.code, 2);
    assert.match(missing.stderr, /no findings of nobody/);
    const unknown = await command('show', '0123456789ab', '--mirror', mirror);
    assert.equal(unknown.code, 2);
    assert.match(unknown.stderr, /no finding 0123456789ab/);
  });
});
