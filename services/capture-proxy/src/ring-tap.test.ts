// A full ring loses bytes, never order: each session's loss is told before anything newer of that session, and all is counted.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GapReason } from '@mirrorstream/envelope';
import { createRingMemory, minRingBytes, RecordKind, RingConsumer, RingProducer } from './ring.ts';
import { captureAll, RingTap, type TapRule } from './ring-tap.ts';

const startup = Buffer.from('startup');
const idleWorker = { idle: () => 'yes' as const };

/** What the worker would see, as one readable line per record. */
function trace(consumer: RingConsumer): string[] {
  const lines: string[] = [];
  const names = new Map(Object.entries(RecordKind).map(([name, kind]) => [kind as number, name]));
  const handler = {
    record: (kind: number, session: number, _us: number, bytes: Uint8Array, start: number, end: number) =>
      lines.push(
        `${session} ${names.get(kind)} ${end - start < 10 ? Buffer.from(bytes.subarray(start, end)) : end - start}`,
      ),
    mark: (kind: number, session: number, _us: number, count: number) =>
      lines.push(`${session} ${names.get(kind)}${count === 0 ? '' : ` ${count}`}`),
  };
  while (consumer.drain(handler) > 0);
  return lines;
}

function fixture() {
  const memory = createRingMemory(minRingBytes);
  const consumer = new RingConsumer(memory);
  const tap = new RingTap(new RingProducer(memory), idleWorker);
  const chunk = Buffer.alloc(32 * 1024);
  /** Pushes chunks of 32 KiB of a session until the ring is full; returns what was lost. */
  const fill = (session: ReturnType<RingTap['open']>): number => {
    const before = tap.counts.droppedBytes;
    for (let i = 0; i < 100 && tap.counts.droppedBytes === before; i++) session.server(chunk, i);
    return tap.counts.droppedBytes - before;
  };
  return { memory, consumer, tap, chunk, fill };
}

const { CAPTURE_OFF, UNSAMPLED } = GapReason;
const off: TapRule = { capture: false, sampling: 1 };

describe('the tap under a rule', () => {
  it('tells nothing of a session that begins while capture is off, and counts it', () => {
    const { consumer, tap } = fixture();
    tap.useRule(off, 1);
    const session = tap.open(startup, 2);
    session.client(Buffer.from('Q'), 3);
    session.closed(4);
    assert.deepEqual(trace(consumer), []);
    assert.deepEqual(tap.counts.captureOff, { sessions: 1, bytes: startup.length + 1 });
    assert.equal(tap.counts.droppedBytes, 0);
  });

  it('lets a session go with a mark, copies nothing meanwhile, and goes on without another one', () => {
    const { consumer, tap } = fixture();
    const session = tap.open(startup, 1);
    tap.useRule(off, 2);
    session.client(Buffer.from('unseen'), 3);
    assert.equal(session.idle(), 'unknown');
    tap.useRule(captureAll, 4);
    session.client(Buffer.from('seen'), 5);
    session.closed(6);
    assert.deepEqual(trace(consumer), [
      '1 opened',
      '1 client startup',
      `1 leftOut ${CAPTURE_OFF}`,
      '1 client seen',
      '1 closed',
    ]);
    assert.deepEqual([tap.counts.captureOff.bytes, tap.counts.overflows], [6, 0]);
  });

  it('announces a session that joins in the middle of its life, to be followed from a quiet point', () => {
    const { consumer, tap } = fixture();
    tap.useRule(off, 1);
    const session = tap.open(startup, 2);
    tap.useRule(captureAll, 3);
    session.client(Buffer.from('Q'), 4);
    assert.deepEqual(trace(consumer), ['1 opened', '1 client startup', `1 leftOut ${CAPTURE_OFF}`, '1 client Q']);
  });

  it('captures the sessions whose draw is below the share: a larger one adds, a smaller one lets go', () => {
    const { memory, consumer, tap } = fixture();
    tap.useRing(new RingProducer(memory), 1, (id) => id / 10);
    tap.useRule({ capture: true, sampling: 0.25 }, 1);
    const sessions = [1, 2, 3, 4].map(() => tap.open(startup, 2));
    const say = (text: string): void => {
      for (const session of sessions) session.server(Buffer.from(text), 3);
    };
    const heard = (): string[] => trace(consumer).filter((line) => /server|leftOut/.test(line));
    say('a');
    assert.deepEqual(heard(), ['1 server a', '2 server a']);
    tap.useRule({ capture: true, sampling: 0.35 }, 4);
    say('b');
    assert.deepEqual(heard(), [`3 leftOut ${UNSAMPLED}`, '1 server b', '2 server b', '3 server b']);
    tap.useRule({ capture: true, sampling: 0.15 }, 5);
    say('c');
    assert.deepEqual(heard(), [`2 leftOut ${UNSAMPLED}`, `3 leftOut ${UNSAMPLED}`, '1 server c']);
    assert.deepEqual(tap.counts.unsampled, { sessions: 2, bytes: 2 * startup.length + 2 + 1 + 3 });
  });

  it('tells what a full ring lost before it lets a session go', () => {
    const { consumer, tap, fill } = fixture();
    const session = tap.open(startup, 1);
    const lost = fill(session);
    tap.useRule(off, 2);
    session.client(Buffer.from('unseen'), 3);
    trace(consumer);
    tap.useRule(captureAll, 4);
    session.client(Buffer.from('seen'), 5);
    assert.deepEqual(trace(consumer), [
      '1 missedClient',
      `1 missedServer ${lost}`,
      `1 leftOut ${CAPTURE_OFF}`,
      '1 client seen',
    ]);
    assert.equal(tap.counts.droppedBytes, lost);
  });

  it('draws anew for a new worker, whose sessions have other names', () => {
    const { memory, consumer, tap } = fixture();
    tap.useRing(new RingProducer(memory), 1, () => 0.9);
    tap.useRule({ capture: true, sampling: 0.5 }, 1);
    const session = tap.open(startup, 2);
    session.client(Buffer.from('unseen'), 3);
    tap.useRing(null, 4);
    tap.useRing(new RingProducer(memory), 5, () => 0.1);
    session.client(Buffer.from('seen'), 6);
    assert.deepEqual(trace(consumer), ['1 opened', '1 client startup', `1 leftOut ${UNSAMPLED}`, '1 client seen']);
  });
});

describe('the tap into the ring', () => {
  it('tells a session as opened, start-up packet, bytes, closed', () => {
    const { consumer, tap } = fixture();
    const session = tap.open(startup, 1);
    session.client(Buffer.from('Q'), 2);
    session.server(Buffer.from('Z'), 3);
    session.closed(4);
    assert.deepEqual(trace(consumer), ['1 opened', '1 client startup', '1 client Q', '1 server Z', '1 closed']);
    assert.equal(tap.counts.overflows, 0);
  });

  it('drops and counts when full, and tells each session what it missed before anything newer', () => {
    const { consumer, tap, chunk, fill } = fixture();
    const first = tap.open(startup, 1);
    const second = tap.open(startup, 1);
    let lost = fill(first);
    second.client(Buffer.from('lost'), 5);
    lost += 4;
    trace(consumer);
    second.client(Buffer.from('new'), 6);
    first.server(Buffer.from('newer'), 7);
    assert.deepEqual(trace(consumer), [
      '1 missedClient',
      `1 missedServer ${chunk.length}`,
      '2 missedClient 4',
      '2 missedServer',
      '2 client new',
      '1 server newer',
    ]);
    assert.equal(tap.counts.droppedBytes, lost);
    assert.equal(tap.counts.overflows, 1);
  });

  it('stays closed until a quarter is free, so that it does not lose every second chunk', () => {
    const { consumer, tap, fill } = fixture();
    const session = tap.open(startup, 1);
    fill(session);
    // One drain frees at most one scratch; a quarter of this ring is 64 KiB, so nothing goes in before a drain.
    session.server(Buffer.from('x'), 9);
    assert.equal(tap.counts.overflows, 1);
    trace(consumer);
    session.server(Buffer.from('y'), 10);
    assert.deepEqual(trace(consumer).at(-1), '1 server y');
    assert.equal(tap.counts.overflows, 1);
  });

  it('never loses the end of a session, and forgets one that began and ended unseen', () => {
    const { consumer, tap, fill } = fixture();
    const first = tap.open(startup, 1);
    fill(first);
    const unseen = tap.open(startup, 2);
    unseen.client(Buffer.from('gone'), 3);
    unseen.closed(4);
    const late = tap.open(startup, 5);
    first.closed(6);
    trace(consumer);
    late.client(Buffer.from('Q'), 7);
    assert.deepEqual(trace(consumer), [
      '1 missedClient',
      `1 missedServer ${32 * 1024}`,
      '1 closed',
      '3 opened',
      '3 client startup',
      '3 client Q',
    ]);
  });

  it('announces every open session again to a new worker, resynchronising', () => {
    const { tap } = fixture();
    const first = tap.open(startup, 1);
    const second = tap.open(startup, 1);
    tap.useRing(null, 2);
    first.server(Buffer.from('unseen'), 3);
    second.closed(3);
    const memory = createRingMemory(minRingBytes);
    tap.useRing(new RingProducer(memory), 4);
    first.server(Buffer.from('Z'), 5);
    assert.deepEqual(trace(new RingConsumer(memory)), [
      '1 opened',
      '1 client startup',
      '1 missedClient',
      '1 missedServer 6',
      '1 server Z',
    ]);
    assert.equal(tap.counts.droppedBytes, 6);
  });
});
