// The merged order of several workers never contradicts production's real time, whatever the partitions deliver first.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { type EnvelopeBatch, EnvelopeBatchSchema } from './gen/mirrorstream/v1/envelope_pb.ts';
import { deliveries, simulate, type TrueExchange } from './order-history.fixture.ts';
import { createOrderMerge, type OrderMergeOptions } from './order-merge.ts';
import { answeredBefore, type OrderedExchange } from './ordered-exchange.ts';
import { seededRandom } from './sample-drafts.ts';

const oneHost = { clockOf: () => 'host', maxBufferedBytes: Number.POSITIVE_INFINITY };
const wallUs = 1_000_000_000;

interface Exchanged {
  readonly session: string;
  readonly seq?: number;
  readonly sentUs: number;
  readonly doneUs?: number;
  readonly doneSeq?: number;
  readonly afterSeq?: number;
  readonly continues?: boolean;
}

type Told = Exchanged | { readonly upToUs: number; readonly last?: boolean };

/** A batch of envelopes of one exchange each, and heartbeats. Times are monotonic. */
function batch(node: string, partition: number, ...told: readonly Told[]): EnvelopeBatch {
  const records = told.map((it) => {
    if ('upToUs' in it) {
      const value = { atUs: BigInt(wallUs + it.upToUs), monoUs: BigInt(it.upToUs), last: it.last ?? false };
      return { record: { case: 'heartbeat', value } } as const;
    }
    const { session, seq = 1, sentUs, doneUs, doneSeq = doneUs, afterSeq = 0, continues = false } = it;
    const exchange = {
      ...{ continues, doneSeq: BigInt(doneSeq ?? 0), afterSeq: BigInt(afterSeq) },
      doneUs: BigInt(doneUs === undefined ? 0 : doneUs - sentUs),
      request: new Uint8Array(100),
    };
    const started = { startedMonoUs: BigInt(sentUs), startedAtUs: BigInt(wallUs + sentUs) };
    const value = { sessionId: session, sessionSeq: BigInt(seq), ...started, exchanges: [exchange] };
    return { record: { case: 'envelope', value } } as const;
  });
  return create(EnvelopeBatchSchema, { captureNode: node, incarnation: node, partition, records });
}

const names = (given: readonly OrderedExchange[]): string[] =>
  given.map(({ envelope, inOrder }) => `${envelope.sessionId}${inOrder ? '' : '!'}`);

const mergeOf = (partitions: readonly number[], options: Partial<OrderMergeOptions> = {}) =>
  createOrderMerge({ partitions, ...oneHost, ...options });

describe('the merge of several workers', () => {
  it('gives out by completion, and only up to what every worker has promised in every partition', () => {
    const merge = mergeOf([0, 1]);
    merge.add(batch('a', 0, { session: 'second', sentUs: 5, doneUs: 20 }, { upToUs: 100 }));
    assert.deepEqual(names(merge.ready()), []);
    merge.add(batch('a', 1, { session: 'first', sentUs: 1, doneUs: 10 }, { upToUs: 15 }));
    assert.deepEqual(names(merge.ready()), ['first']);
    assert.deepEqual(
      merge.waitingFor().map(({ source, partition }) => [source.captureNode, partition]),
      [['a', 1]],
    );
    merge.add(batch('a', 1, { upToUs: 20 }));
    assert.deepEqual(names(merge.ready()), ['second']);
    assert.equal(merge.bufferedBytes, 0);
  });

  it('waits for a worker it was told to expect, until that is released', () => {
    const merge = mergeOf([0]);
    const silent = { captureNode: 'b', incarnation: 'b', worker: 0 };
    merge.expect(silent);
    merge.add(batch('a', 0, { session: 'one', sentUs: 1, doneUs: 2 }, { upToUs: 100 }));
    assert.deepEqual(names(merge.ready()), []);
    assert.deepEqual(
      merge.waitingFor().map(({ source }) => source),
      [silent],
    );
    merge.release(silent);
    assert.deepEqual(names(merge.ready()), ['one']);
  });

  it('does not wait for a worker that ended in order', () => {
    const merge = mergeOf([0, 1]);
    for (const partition of [0, 1]) merge.add(batch('a', partition, { upToUs: 10, last: true }));
    merge.add(batch('b', 0, { session: 'later', sentUs: 40, doneUs: 50 }, { upToUs: 60 }));
    merge.add(batch('b', 1, { upToUs: 60 }));
    assert.deepEqual(names(merge.ready()), ['later']);
  });

  it('gives out a piece and an unanswered exchange after all that was done before they were sent, without waiting for more', () => {
    const merge = mergeOf([0]);
    merge.add(
      batch(
        'a',
        0,
        { session: 'copy', sentUs: 30, continues: true },
        { session: 'lost', sentUs: 30 },
        { session: 'before', sentUs: 1, doneUs: 30 },
        { upToUs: 30 },
      ),
    );
    assert.deepEqual(names(merge.ready()), ['before', 'copy', 'lost']);
  });

  it('keeps the order inside a session when the connection was lost with pipelined requests unanswered', () => {
    const merge = mergeOf([0]);
    merge.add(batch('a', 0, { session: 's', seq: 1, sentUs: 1, doneUs: 90 }, { session: 's', seq: 2, sentUs: 2 }));
    merge.add(batch('a', 0, { session: 'other', sentUs: 3, doneUs: 50 }, { upToUs: 100 }));
    assert.deepEqual(
      merge.ready().map(({ envelope }) => `${envelope.sessionId}${envelope.sessionSeq}`),
      ['other1', 's1', 's2'],
    );
  });

  it('marks what comes too late, and counts it', () => {
    const merge = mergeOf([0]);
    merge.add(batch('a', 0, { session: 'one', sentUs: 1, doneUs: 20 }, { upToUs: 100 }));
    merge.ready();
    merge.add(batch('b', 0, { session: 'unheard of', sentUs: 1, doneUs: 10 }, { upToUs: 100 }));
    assert.deepEqual(names(merge.ready()), ['unheard of!']);
    assert.equal(merge.counts.late, 1);
  });

  it('gives out the oldest before its time when memory is short, marked and counted', () => {
    const merge = mergeOf([0, 1], { maxBufferedBytes: 700 });
    for (const doneUs of [30, 10, 20]) merge.add(batch('a', 0, { session: `s${doneUs}`, sentUs: 1, doneUs }));
    assert.deepEqual(names(merge.ready()), ['s10!']);
    assert.equal(merge.counts.forced, 1);
    assert.deepEqual(names(merge.flush()), ['s20', 's30']);
  });

  it('keeps times of one clock comparable although each process read the wall clock at its own start', () => {
    const merge = mergeOf([0]);
    const early = batch('a', 0, { session: 'a', sentUs: 10, doneUs: 20 }, { upToUs: 50 });
    const late = batch('b', 0, { session: 'b', sentUs: 25, doneUs: 30 }, { upToUs: 50 });
    for (const { record } of late.records) if (record.case === 'envelope') record.value.startedAtUs -= 1_000n; // its wall clock was a millisecond behind
    merge.add(early);
    merge.add(late);
    const [a, b] = merge.ready();
    assert.ok(a !== undefined && b !== undefined);
    assert.deepEqual(names([a, b]), ['a', 'b']);
    assert.equal(answeredBefore(a, b, 1_000_000), true);
    assert.equal(answeredBefore({ ...a, clock: 'elsewhere' }, b, 5), false, 'exactly as far apart as is uncertain');
    assert.equal(answeredBefore({ ...a, clock: 'elsewhere' }, b, 4), true);
  });

  it('agrees with real time in sixty histories of two hosts', () => {
    for (let seed = 1; seed <= 60; seed++) checkHistory(seed);
  });
});

/** Three workers, two of them on one host, with partitions delivered in any interleaving. */
function checkHistory(seed: number): void {
  const random = seededRandom(seed);
  const clockErrorUs = 50;
  const workers = [
    { node: 'a', clock: 'one host', errorUs: 0 },
    { node: 'b', clock: 'one host', errorUs: 0 },
    { node: 'c', clock: 'another host', errorUs: Math.floor((random() * 2 - 1) * clockErrorUs) },
  ];
  const partitions = [0, 1, 2];
  const history = simulate({ random, workers, partitions, sessions: 8, exchanges: 300 });
  const merge = createOrderMerge({
    partitions,
    clockOf: ({ captureNode }) => workers.find(({ node }) => node === captureNode)?.clock ?? '',
    maxBufferedBytes: Number.POSITIVE_INFINITY,
  });
  for (const { node } of workers) merge.expect({ captureNode: node, incarnation: node, worker: 0 });
  const given: OrderedExchange[] = [];
  for (const delivered of deliveries(history.streams, random)) {
    merge.add(delivered);
    given.push(...merge.ready());
  }
  assert.deepEqual(merge.counts, { late: 0, forced: 0 }, `history ${seed}`);
  assert.equal(merge.bufferedBytes, 0);
  checkOrder(given, history.truth, 2 * clockErrorUs, `history ${seed}`);
}

function checkOrder(
  given: readonly OrderedExchange[],
  truth: ReadonlyMap<string, TrueExchange>,
  uncertaintyUs: number,
  where: string,
): void {
  const found = given.map((it) => {
    const { envelope, exchange } = it;
    return {
      it,
      real: truth.get(Buffer.from(exchange.request).toString()) as TrueExchange,
      session: envelope.sessionId,
    };
  });
  assert.equal(new Set(found.map(({ real }) => real.name)).size, truth.size, `${where}: each exchange is given out`);
  let claimed = 0;
  for (const [i, later] of found.entries()) {
    for (const earlier of found.slice(0, i)) {
      // Nothing that was answered before `earlier` was sent may come after it.
      assert.ok(
        !answeredBefore(later.it, earlier.it, uncertaintyUs),
        `${where}: ${later.real.name} after ${earlier.real.name}`,
      );
      if (earlier.session === later.session) assert.ok(earlier.real.turn <= later.real.turn, where);
      if (!answeredBefore(earlier.it, later.it, uncertaintyUs)) continue;
      claimed += 1;
      assert.ok(
        earlier.real.doneEvent < later.real.sentEvent,
        `${where}: ${earlier.real.name} is claimed before ${later.real.name}`,
      );
    }
  }
  assert.ok(claimed > (found.length * found.length) / 4, `only ${claimed} pairs have an order`);
}
