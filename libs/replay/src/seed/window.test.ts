// Made-up histories of a server, with the truth about every commit: what the window says of a snapshot never contradicts it.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isInSeed } from '@mirrorstream/domain';
import {
  BatchEncoder,
  type CaptureRecordDraft,
  createOrderMerge,
  decodeEnvelopeBatch,
  type EnvelopeBatch,
  type EnvelopeDraft,
  type ExchangeDraft,
  TransactionOutcome,
} from '@mirrorstream/envelope';
import type { BackendReading, SnapshotReading } from './overlap.ts';
import { bestSnapshot, SeedWindow } from './window.ts';

const epochUs = 1_700_000_000_000_000;

/** mulberry32. */
function seeded(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit;
  };
}

const session = {
  database: 'd',
  user: 'u',
  protocolVersion: 196_608,
  startupParameters: [],
  settings: [],
  statements: [],
};

interface Sketch {
  readonly sessionId: string;
  readonly seq: number;
  /** Request and answer of each exchange, µs. */
  readonly exchanges: readonly { readonly sentUs: number; readonly doneUs: number }[];
  readonly writes: boolean;
  readonly outcome: TransactionOutcome;
  readonly request: string;
  /** When its effects became visible; never: Infinity. */
  readonly visibleUs: number;
  /** When the server began with it, and when it was idle again. */
  readonly beganUs: number;
  readonly idleUs: number;
}

/** Numbers the answers as one worker would, and publishes each transaction when it ends, or its first part after a while. */
function published(sketches: readonly Sketch[], endUs: number): { offset: bigint; batch: EnvelopeBatch }[] {
  const answers = sketches
    .flatMap((sketch) => sketch.exchanges.map((exchange) => ({ sketch, exchange })))
    .sort((a, b) => a.exchange.doneUs - b.exchange.doneUs);
  const doneSeq = new Map(answers.map(({ exchange }, i) => [exchange, i + 1]));
  const afterSeq = (sentUs: number) => {
    let [low, high] = [0, answers.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((answers[middle]?.exchange.doneUs ?? 0) <= sentUs) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const records: { atUs: number; draft: CaptureRecordDraft }[] = [];
  for (const sketch of sketches) {
    const startedUs = sketch.exchanges[0]?.sentUs ?? 0;
    const drafts = sketch.exchanges.map(
      (exchange, index): ExchangeDraft => ({
        index,
        continues: false,
        request: Buffer.from(sketch.request),
        segments: [],
        sentUs: exchange.sentUs - startedUs,
        firstReplyUs: 0,
        doneUs: exchange.doneUs - startedUs,
        afterSeq: afterSeq(exchange.sentUs),
        doneSeq: doneSeq.get(exchange) as number,
        answer: null,
        cancelledAfterUs: 0,
      }),
    );
    const base: Omit<EnvelopeDraft, 'part' | 'lastPart' | 'exchanges'> = {
      kind: 'envelope',
      sessionId: sketch.sessionId,
      sessionSeq: sketch.seq,
      startedAtUs: epochUs + startedUs,
      startedMonoUs: startedUs,
      samplingDraw: 0,
      context: { ...session, backendPid: Number(sketch.sessionId.split('-')[1]) + 1 },
      outcome: sketch.outcome,
      writes: sketch.writes,
      dependsOnSession: [],
      redactions: 0,
    };
    const lastUs = sketch.exchanges.at(-1)?.doneUs ?? 0;
    const cutUs = startedUs + 1_000;
    const early = drafts.filter((_, i) => (sketch.exchanges[i]?.doneUs ?? 0) <= cutUs);
    const parts =
      lastUs > cutUs && early.length > 0 && early.length < drafts.length
        ? [
            { atUs: cutUs, part: 0, lastPart: false, exchanges: early },
            { atUs: lastUs, part: 1, lastPart: true, exchanges: drafts.slice(early.length) },
          ]
        : [{ atUs: lastUs, part: 0, lastPart: true, exchanges: drafts }];
    for (const { atUs, ...part } of parts) if (atUs <= endUs) records.push({ atUs, draft: { ...base, ...part } });
  }
  records.sort((a, b) => a.atUs - b.atUs);
  const heartbeat = { kind: 'heartbeat' as const, atUs: epochUs + endUs, monoUs: endUs, doneSeq: 0, last: false };
  return [...records, { atUs: endUs, draft: heartbeat }].map(({ draft }, offset) => {
    const encoder = new BatchEncoder({ source: 's', captureNode: 'n', incarnation: 'i', worker: 0, partition: 0 });
    encoder.add(draft);
    return { offset: BigInt(offset), batch: decodeEnvelopeBatch(encoder.take()) };
  });
}

/** Visible, then no transaction any more, then idle, then answered. */
function serverTimes(
  exchanges: readonly { readonly sentUs: number; readonly doneUs: number }[],
  random: (n: number) => number,
) {
  const first = exchanges[0] as { sentUs: number; doneUs: number };
  const last = exchanges.at(-1) as { sentUs: number; doneUs: number };
  const beganUs = first.sentUs + random((first.doneUs - first.sentUs) / 2);
  const visibleUs = Math.max(beganUs, last.sentUs) + random(last.doneUs - Math.max(beganUs, last.sentUs));
  return { beganUs, visibleUs, idleUs: visibleUs + random(last.doneUs - visibleUs) };
}

/** As pg_stat_activity shows them in one moment, by another clock. */
function readingOf(
  sketches: readonly Sketch[],
  times: { askedUs: number; lookedUs: number; toldUs: number },
): SnapshotReading {
  const backends = new Map<number, BackendReading>();
  for (let session = 0; session < 12; session++) {
    const own = sketches.filter(({ sessionId }) => sessionId === `session-${session}`);
    const running = own.find(({ beganUs, idleUs }) => beganUs <= times.lookedUs && times.lookedUs < idleUs);
    const ended = own.findLast(({ idleUs }) => idleUs <= times.lookedUs);
    backends.set(session + 1, {
      xactStartUs: running === undefined ? null : serverUs(running.beganUs),
      hasXid: running?.writes === true && times.lookedUs < running.visibleUs,
      idleSinceUs: running !== undefined || ended === undefined ? null : serverUs(ended.idleUs),
    });
  }
  return { askedUs: serverUs(times.askedUs), toldUs: serverUs(times.toldUs), backends };
}

const serverUs = (us: number): number => epochUs + us - 3_000_000;

function history(seed: number) {
  const random = seeded(seed);
  const sketches: Sketch[] = [];
  for (let session = 0; session < 12; session++) {
    let nowUs = random(500);
    for (let seq = 1; nowUs < 40_000; seq++) {
      const exchanges = [];
      const count = 1 + Math.floor(random(4));
      for (let i = 0; i < count; i++) {
        const sentUs = Math.floor(nowUs + random(random(10) < 1 ? 3_000 : 300)) + 1;
        const doneUs = Math.floor(sentUs + 20 + random(random(60) < 1 ? 1_500 : 200)) + 1;
        exchanges.push({ sentUs, doneUs });
        nowUs = doneUs;
      }
      const committed = random(10) > 1;
      sketches.push({
        sessionId: `session-${session}`,
        seq,
        exchanges,
        writes: random(3) > 1,
        outcome: committed ? TransactionOutcome.COMMITTED : TransactionOutcome.ROLLED_BACK,
        request: 'work',
        ...serverTimes(exchanges, random),
      });
    }
  }
  const markers = Array.from({ length: 8 }, (_, i) => {
    const sentUs = 15_000 + i * 700 + Math.floor(random(300));
    const doneUs = sentUs + 20 + Math.floor(random(60));
    sketches.push({
      sessionId: `marker-${i}`,
      seq: 1,
      exchanges: [
        { sentUs, doneUs },
        { sentUs: 36_000, doneUs: 36_050 },
      ],
      writes: false,
      outcome: TransactionOutcome.COMMITTED,
      request: `marker ${i}`,
      visibleUs: Number.POSITIVE_INFINITY,
      beganUs: 0,
      idleUs: 0,
    });
    const askedUs = sentUs + random((doneUs - sentUs) / 3);
    const takenUs = askedUs + random((doneUs - askedUs) / 4);
    const lookedUs = takenUs + random((doneUs - takenUs) / 2);
    const toldUs = lookedUs + random(doneUs - lookedUs);
    return { name: `marker ${i}`, askedUs, takenUs, lookedUs, toldUs };
  });
  return { sketches, markers, records: published(sketches, 34_000) };
}

function windowOf(records: ReturnType<typeof published>, maxTransactions = 100_000) {
  const merge = createOrderMerge({ partitions: [0], maxBufferedBytes: 1e9 });
  const window = new SeedWindow({ clockUncertaintyUs: 0, maxTransactions }, ({ exchange }) => {
    const text = Buffer.from(exchange.request).toString();
    return text.startsWith('marker') && exchange.index === 0 ? text : null;
  });
  for (const { offset, batch } of records) {
    window.read(offset, batch);
    merge.add(batch);
    for (const ordered of merge.ready()) window.take(ordered);
  }
  return window;
}

describe('the window around a snapshot', () => {
  it('never contradicts what the server did, and nearly always finds a snapshot without doubt among a few', () => {
    let overlaps = 0;
    let doubts = 0;
    let sure = 0;
    for (let seed = 1; seed <= 30; seed++) {
      const { sketches, markers, records } = history(seed);
      const window = windowOf(records);
      const truth = new Map(sketches.map((one) => [`${one.sessionId}/${one.seq}`, one]));
      const candidates = markers.map(({ name, takenUs, ...times }) => {
        const marker = window.marker(name);
        assert.ok(marker, name);
        overlaps += window.judge(marker, null).unresolved.length;
        return { takenUs, judgement: window.judge(marker, readingOf(sketches, times)) };
      });
      for (const { takenUs, judgement } of candidates) {
        assert.deepEqual(judgement.beheaded, []);
        const plan = {
          version: 1 as const,
          seedId: 'x',
          database: 'd',
          snapshotAtUs: judgement.snapshotAtUs,
          endOffsets: { '0': String(records.length) },
          exceptions: judgement.exceptions,
        };
        doubts += judgement.unresolved.length;
        for (const { offset, batch } of records) {
          const record = batch.records[0]?.record;
          if (record?.case !== 'envelope' || record.value.sessionId.startsWith('marker')) continue;
          const { sessionId, sessionSeq, startedAtUs } = record.value;
          if (judgement.unresolved.includes(`${sessionId}/${sessionSeq}`)) continue;
          const real = truth.get(`${sessionId}/${sessionSeq}`);
          if (!real?.writes || real.outcome !== TransactionOutcome.COMMITTED) continue;
          const inSeed = isInSeed(plan, { partition: 0, offset, sessionId, sessionSeq, startedAtUs });
          assert.equal(inSeed, real.visibleUs < takenUs, `seed ${seed}: ${sessionId}/${sessionSeq}`);
          if (!inSeed) assert.ok((judgement.startOffsets.get(0) as bigint) <= offset);
        }
      }
      if (bestSnapshot(candidates)?.judgement.unresolved.length === 0) sure += 1;
    }
    assert.ok(sure >= 29, `${sure} of 30 histories had a snapshot without doubt`);
    assert.ok(overlaps > 300 && doubts < overlaps / 2, `${overlaps} overlapped a snapshot, ${doubts} of them in doubt`);
  });

  it('plays what was open when the snapshot was taken, from its first part on, and never the markers themselves', () => {
    const { records } = history(7);
    const window = windowOf(records);
    const marker = window.marker('marker 3');
    assert.ok(marker);
    const { exceptions } = window.judge(marker, null);
    const played = Object.entries(exceptions).filter(([, play]) => play);
    assert.ok(played.length > 0);
    assert.ok(played.every(([key]) => key.startsWith('session-')));
    const skipped = Object.keys(exceptions).filter((key) => exceptions[key] === false);
    assert.ok(skipped.length > 0 && skipped.every((key) => key.startsWith('marker-')));
  });

  it('says what it would have to play without its beginning', () => {
    const { records } = history(11);
    const parts = records.filter(({ batch }) => {
      const record = batch.records[0]?.record;
      return record?.case !== 'envelope' || record.value.part > 0 || record.value.sessionId.startsWith('marker');
    });
    const window = windowOf(parts);
    const marker = window.marker('marker 0');
    assert.ok(marker);
    assert.ok(window.judge(marker, null).beheaded.length > 0);
  });

  it('says when it has read more than it may keep', () => {
    assert.equal(windowOf(history(3).records, 100).full, true);
  });
});

it('of several snapshots the one with least doubt is best, and one with too many exceptions is none', () => {
  const base = { snapshotAtUs: 0, beheaded: [], startOffsets: new Map<number, bigint>() };
  const many = Object.fromEntries(Array.from({ length: 5_001 }, (_, i) => [String(i), true]));
  const candidates = [
    { judgement: { ...base, unresolved: ['a'], exceptions: {} } },
    { judgement: { ...base, unresolved: [], exceptions: { b: true, c: true } } },
    { judgement: { ...base, unresolved: [], exceptions: { b: true } } },
    { judgement: { ...base, unresolved: [], exceptions: many } },
  ];
  assert.equal(bestSnapshot(candidates), candidates[2]);
  assert.equal(bestSnapshot(candidates.slice(3)), null);
});
