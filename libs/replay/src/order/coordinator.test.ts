import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { EnvelopeBatch, Exchange } from '@mirrorstream/envelope';
import type { OrderClaim, OrderOptions } from './coordinator.ts';
import {
  answeredBefore,
  exchangeName,
  type History,
  PlayedReplayer,
  type Random,
  seededRandom,
  simulate,
} from './history.fixture.ts';
import { type OverlapRule, overlapRules } from './overlap-queue.ts';

const clockUncertaintyUs = 20;
const patient: OrderOptions = {
  ...{ keeps: true, rule: 'free', waitUs: 1e12, silenceUs: 1e12, overlapWaitUs: 1e12, headStartUs: 1e12 },
  readLeadUs: 0,
  unblockedWaitUs: 0,
  ...{ clockUncertaintyUs, maxWrites: 1000 },
};

interface Play {
  readonly replayers: readonly PlayedReplayer[];
  /** Sent although something that comes before was not answered. */
  readonly violations: readonly string[];
  readonly played: number;
}

/** Delivers, answers and says in any order until nothing more happens. `answers`: those the mirror never gives. */
function play(
  history: History,
  random: Random,
  options: OrderOptions,
  partitionsOf: readonly (readonly number[])[],
  stuck: ReadonlySet<string> = new Set(),
): Play {
  const partitions = partitionsOf.flat().length;
  const violations: string[] = [];
  const answered = new Set<string>();
  const before = [...history.happened.values()];
  const onSent = (name: string): void => {
    const sent = history.happened.get(name);
    for (const it of before)
      if (sent !== undefined && !answered.has(it.name) && answeredBefore(it, sent, clockUncertaintyUs))
        violations.push(`${it.name} before ${name}`);
  };
  const replayers = partitionsOf.map(
    (owned) => new PlayedReplayer(partitions, owned, history.workers, options, onSent),
  );
  const streams = history.streams.map((stream) => [...stream]);
  const ownerOf = (batch: EnvelopeBatch): PlayedReplayer =>
    replayers[partitionsOf.findIndex((owned) => owned.includes(batch.partition))] as PlayedReplayer;
  const said: OrderClaim[][] = replayers.map(() => []);
  let nowUs = 1;
  let idle = 0;
  while (idle < 400) {
    nowUs += idle > 100 ? 20 : 1;
    for (const replayer of replayers) replayer.nowUs = nowUs;
    idle += 1;
    const choice = random();
    const at = Math.floor(random() * replayers.length);
    const replayer = replayers[at] as PlayedReplayer;
    if (choice < 0.4) {
      const stream = streams[Math.floor(random() * streams.length)] ?? [];
      const batch = stream.shift();
      if (batch === undefined) continue;
      ownerOf(batch).take(batch);
      idle = 0;
    } else if (choice < 0.8) {
      const ready = replayer.underWay.filter((name) => !stuck.has(name));
      const name = ready[Math.floor(random() * ready.length)];
      if (name === undefined) continue;
      answered.add(name);
      replayer.answer(name);
      idle = 0;
    } else if (choice < 0.9) {
      said[at]?.push(structuredClone(replayer.order.claim(nowUs)));
      replayer.order.advance(nowUs);
    } else {
      const from = Math.floor(random() * replayers.length);
      const claims = said[from]?.splice(0) ?? [];
      for (const other of replayers) {
        if (other === replayers[from]) continue;
        for (const claim of claims) other.order.heard(claim);
        other.order.advance(nowUs);
      }
    }
  }
  return { replayers, violations, played: replayers.reduce((sum, it) => sum + it.sent.length, 0) };
}

const seeds = Array.from({ length: 25 }, (_, i) => i + 1);
const layouts: readonly { name: string; workers: readonly number[]; partitionsOf: readonly (readonly number[])[] }[] = [
  { name: 'one worker, one replayer', workers: [0], partitionsOf: [[0, 1, 2]] },
  { name: 'two workers of a host, one replayer', workers: [0, 0], partitionsOf: [[0, 1, 2]] },
  { name: 'three workers on two hosts, one replayer', workers: [0, 0, 1], partitionsOf: [[0, 1]] },
  { name: 'two workers, two replayers', workers: [0, 0], partitionsOf: [[0, 2], [1]] },
  { name: 'three workers on two hosts, three replayers', workers: [0, 1, 1], partitionsOf: [[0], [1], [2, 3]] },
];

describe('the order across sessions', () => {
  for (const { name, workers, partitionsOf } of layouts)
    for (const rule of ['free', 'mixed'] satisfies OverlapRule[])
      it(`sends nothing before what was answered before it, and everything in the end: ${name}, overlaps ${rule}`, () => {
        for (const seed of seeds) {
          const random = seededRandom(seed);
          const partitions = partitionsOf.flat().length;
          const history = simulate({ random, workers, partitions, sessions: 7, exchanges: 120 });
          const { replayers, violations, played } = play(history, random, { ...patient, rule }, partitionsOf);
          assert.deepEqual(violations, [], `seed ${seed}`);
          assert.equal(played, 120, `seed ${seed}`);
          for (const { order, marks } of replayers) {
            assert.deepEqual([order.counts.givenUp, order.size, order.waiting], [0, 0, 0]);
            assert.ok([...marks.values()].every((mark) => mark === ''));
          }
        }
      });

  it('is not kept by chance: without it the same histories are played in another order, and that is marked', () => {
    let violated = 0;
    let marked = 0;
    for (const seed of seeds) {
      const random = seededRandom(seed);
      const history = simulate({ random, workers: [0], partitions: 3, sessions: 7, exchanges: 120 });
      const { replayers, violations } = play(history, random, { ...patient, keeps: false }, [[0, 1, 2]]);
      violated += violations.length;
      marked += replayers[0]?.order.counts.outOfOrder ?? 0;
    }
    assert.ok(violated > 100 && marked > 100, `${violated} violations, ${marked} marked`);
  });

  it('plays what overlapped one at a time where a rule places it, at most one write under way', () => {
    for (const rule of overlapRules.filter((it) => it !== 'free')) {
      const random = seededRandom(3);
      const history = simulate({ random, workers: [0], partitions: 2, sessions: 6, exchanges: 200 });
      const under = new Set<string>();
      const stage = new PlayedReplayer(2, [0, 1], [0], { ...patient, rule }, (name) => under.add(name));
      for (const stream of history.streams) for (const batch of stream) stage.take(batch);
      const writes = (): number =>
        stage.underWay.filter((name) => /^(?:UPDATE|INSERT)/.test(history.happened.get(name)?.tag ?? '')).length;
      while (stage.underWay.length > 0) {
        const lost = stage.underWay.filter((name) => history.happened.get(name)?.doneSeq === 0).length;
        assert.ok(writes() - lost <= 1, `${rule}: ${stage.underWay.join(' ')}`);
        stage.answer(stage.underWay[0] as string);
      }
      assert.equal(under.size, 200);
    }
  });

  it('gives up what a mirror never answers after the bound, counts each pair, and marks what went without it', () => {
    for (const seed of seeds.slice(0, 10)) {
      const random = seededRandom(seed);
      const history = simulate({ random, workers: [0, 0], partitions: 3, sessions: 7, exchanges: 120 });
      const stuck = new Set(['s1/2', 's4/1']);
      const options = { ...patient, rule: 'mixed' as const, waitUs: 400, overlapWaitUs: 200, headStartUs: 2 };
      const { replayers, violations, played } = play(history, random, options, [[0, 1, 2]], stuck);
      // All but what comes after them in their own sessions.
      const behind = [...history.happened.values()].filter(
        ({ session }) => session === 's1' || session === 's4',
      ).length;
      assert.ok(played >= 120 - behind, `seed ${seed}: ${played}`);
      const others = violations.filter((it) => !/^(?:s1|s4)\//.test(it));
      assert.deepEqual(others, [], `seed ${seed}`);
      const { order, marks } = replayers[0] as PlayedReplayer;
      assert.equal(order.counts.givenUp, violations.length, `seed ${seed}`);
      const without = new Set(violations.map((it) => it.split(' before ')[1]));
      for (const [name, mark] of marks) if (without.has(name)) assert.equal(mark, 'givenUp', name);
    }
  });

  it('goes on without a capture worker or a replayer that says nothing more, and marks what it cannot know of', () => {
    const random = seededRandom(7);
    const history = simulate({ random, workers: [0, 0], partitions: 3, sessions: 7, exchanges: 120, silent: [1] });
    const options = { ...patient, silenceUs: 100 };
    assert.equal(play(history, random, options, [[0, 1, 2]]).played, 120);
    const alone = new PlayedReplayer(3, [0, 1], [0, 0], options);
    for (const stream of history.streams) for (const batch of stream) if (batch.partition < 2) alone.take(batch);
    assert.equal(alone.order.counts.givenUp, 0);
    for (let i = 0; i < 1000; i++) {
      alone.nowUs += 50;
      alone.order.advance(alone.nowUs);
      for (const name of alone.underWay) alone.answer(name);
    }
    assert.equal(alone.order.waiting, 0);
    assert.ok(alone.order.counts.givenUp > 0);
  });

  it('takes over a partition with what was said of it, and forgets the one it gives away', () => {
    const random = seededRandom(9);
    const history = simulate({ random, workers: [0], partitions: 2, sessions: 6, exchanges: 100 });
    const [first, second] = [[0], [1]].map((owned) => new PlayedReplayer(2, owned, [0], patient));
    if (first === undefined || second === undefined) throw new Error('two');
    for (const stream of history.streams)
      for (const batch of stream) (batch.partition === 0 ? first : second).take(batch);
    for (let i = 0; i < 10_000 && first.underWay.length + second.underWay.length > 0; i++) {
      for (const replayer of [first, second]) for (const name of replayer.underWay) replayer.answer(name);
      first.order.heard(second.order.claim(i));
      second.order.heard(first.order.claim(i));
      for (const replayer of [first, second]) replayer.order.advance(i);
    }
    assert.equal(first.sent.length + second.sent.length, 100);
    first.order.heard(second.order.claim(1));
    first.order.assign([0, 1]);
    assert.equal(first.order.claim(1).sources[0]?.seq, Number.MAX_SAFE_INTEGER, 'all is answered, in both partitions');
    second.order.assign([]);
    assert.equal(second.order.size, 0);
  });

  it('of a window of the past waits for each worker from its first exchange on, and for nobody behind the window’s end', () => {
    for (const seed of seeds) {
      const random = seededRandom(seed);
      const workers = [0, 0, 1];
      const history = simulate({ random, workers, partitions: 3, sessions: 7, exchanges: 120, silent: [0, 1, 2] });
      const all = [...history.happened.values()];
      const begins = workers.flatMap((_, worker) => all.find((it) => it.worker === worker) ?? []);
      const answered = new Set<string>();
      const violations: string[] = [];
      const onSent = (name: string): void => {
        const sent = history.happened.get(name);
        for (const it of all)
          if (sent !== undefined && !answered.has(it.name) && answeredBefore(it, sent, clockUncertaintyUs))
            violations.push(`${it.name} before ${name}`);
      };
      const stage = new PlayedReplayer(3, [0, 1, 2], workers, { ...patient, rule: 'mixed' }, onSent, begins);
      const streams = history.streams.map((stream) => [...stream]);
      const ended = new Set<number>();
      for (let i = 0; i < 20_000 && (stage.sent.length < 120 || stage.underWay.length > 0); i++) {
        const batch = (streams[Math.floor(random() * streams.length)] ?? []).shift();
        if (batch !== undefined) stage.take(batch);
        for (const partition of [0, 1, 2])
          if (!ended.has(partition) && streams.every(([first]) => first?.partition !== partition)) {
            ended.add(partition);
            stage.order.endPartition(partition);
            stage.order.advance(i);
          }
        const [name] = stage.underWay;
        if (name === undefined || random() < 0.5) continue;
        answered.add(name);
        stage.answer(name);
      }
      assert.deepEqual([violations, stage.sent.length, stage.order.counts.givenUp], [[], 120, 0], `seed ${seed}`);
    }
  });

  it('has a read that overlapped a write wait for it once more, and what comes later for the read', () => {
    const history = simulate({ random: seededRandom(5), workers: [0], partitions: 1, sessions: 4, exchanges: 80 });
    const overlapWaitUs = 10_000;
    const stage = new PlayedReplayer(1, [0], [0], { ...patient, rule: 'mixed', overlapWaitUs });
    const woken: string[] = [];
    const gate = stage.order.gate(() => woken.push('woken'));
    const exchanges = new Map<string, Exchange>();
    for (const batch of history.streams.flat()) {
      stage.take(batch);
      for (const { record } of batch.records)
        if (record.case === 'envelope') for (const it of record.value.exchanges) exchanges.set(exchangeName(it), it);
    }
    const exchangeOf = (name: string): Exchange => exchanges.get(name) as Exchange;
    let asked = 0;
    let bounds = 0;
    for (let [name] = stage.underWay; name !== undefined; [name] = stage.underWay) {
      const read = history.happened.get(name);
      const exchange = exchangeOf(name);
      if (read?.tag === 'SELECT 1' && gate.awaitsWrite(exchange, stage.nowUs)) {
        asked += 1;
        assert.equal(gate.mayGo(exchange, stage.nowUs), false);
        stage.order.advance(stage.nowUs);
        // Only now may the write go that it had overtaken.
        for (let i = 0; i < 100 && woken.length < asked; i++) {
          const other = stage.underWay.find((it) => it !== name);
          if (other !== undefined) stage.answer(other);
          else bounds += 1;
          // The write may wait for what waits for the read.
          if (other === undefined) stage.nowUs += 10 * overlapWaitUs;
          stage.order.advance(stage.nowUs);
        }
        assert.equal(woken.length, asked, name);
        assert.equal(gate.mayGo(exchange, stage.nowUs), true);
        gate.retried(exchange, false);
      }
      stage.answer(name);
    }
    assert.ok(asked > 3 && bounds < asked / 2, `${asked} asked again, ${bounds} by their bound`);
    assert.equal(stage.sent.length, 80);
    assert.deepEqual([stage.order.counts.retried, stage.order.counts.givenUp, stage.order.waiting], [asked, 0, 0]);
    assert.equal([...stage.marks.values()].filter((mark) => mark === 'retried').length > 0, true);
  });

  it('knows the writes of a long queue that are still to come, however few it remembers of those that are over', () => {
    const history = simulate({ random: seededRandom(6), workers: [0], partitions: 1, sessions: 6, exchanges: 300 });
    const raced: number[] = [];
    for (const maxWrites of [20, 1000]) {
      const stage = new PlayedReplayer(1, [0], [0], { ...patient, rule: 'mixed', maxWrites });
      const gate = stage.order.gate(() => {});
      const exchanges = new Map<string, Exchange>();
      for (const batch of history.streams.flat()) {
        stage.take(batch);
        for (const { record } of batch.records)
          if (record.case === 'envelope') for (const it of record.value.exchanges) exchanges.set(exchangeName(it), it);
      }
      let count = 0;
      for (let [name] = stage.underWay; name !== undefined; [name] = stage.underWay) {
        count += gate.raced(exchanges.get(name) as Exchange) ? 1 : 0;
        stage.answer(name);
      }
      raced.push(count);
    }
    assert.ok((raced[0] ?? 0) > 20);
    assert.equal(raced[0], raced[1]);
  });

  it('says of a difference whether a write of another session overlapped it', () => {
    const history = simulate({ random: seededRandom(5), workers: [0], partitions: 1, sessions: 4, exchanges: 80 });
    const stage = new PlayedReplayer(1, [0], [0], patient);
    const gate = stage.order.gate(() => {});
    const all = [...history.happened.values()];
    let raced = 0;
    const envelopes = history.streams.flat().flatMap(({ records }) => records.map(({ record }) => record));
    for (const batch of history.streams.flat())
      for (const { record } of batch.records) if (record.case === 'envelope') stage.order.read(batch, record.value);
    for (const record of envelopes) {
      if (record.case !== 'envelope') continue;
      for (const exchange of record.value.exchanges) {
        const it = history.happened.get(Buffer.from(exchange.request).toString());
        if (it === undefined || it.doneSeq === 0) continue;
        const expected = all.some(
          (write) =>
            write.session !== it.session &&
            write.doneSeq > 0 &&
            /^(?:UPDATE|INSERT)/.test(write.tag) &&
            write.sentUs <= it.doneUs &&
            write.doneUs >= it.sentUs,
        );
        assert.equal(gate.raced(exchange), expected, it.name);
        raced += expected ? 1 : 0;
      }
    }
    assert.ok(raced > 5 && raced < 75, `${raced}`);
  });
});
