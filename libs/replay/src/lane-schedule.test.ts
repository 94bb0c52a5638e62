// Ten minutes of think time at the mirror's pace: being late once shortens the pauses after it, and nothing adds up.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LagHistogram } from './lag-histogram.ts';
import { envelope, LaneStage, ready, simple, tag } from './lane.fixture.ts';
import { seededRandom } from './order/history.fixture.ts';
import { createPacing, leastSpeed } from './pacing.ts';

const minuteUs = 60_000_000;
/** A timer that is late by so much at most, as the replayer's own is. */
const timerUs = 900;

interface Session {
  /** Production's, µs after the start; the mirror's. */
  readonly asked: readonly number[];
  readonly sent: readonly number[];
  readonly lag: LagHistogram;
}

/** Production thinks 20 to 400 ms between 1 ms answers. The mirror answers in 1 to 8 ms, and once, at `stallAtUs`, in 3 s. */
function replay(speed: number, stallAtUs: number): Session {
  const random = seededRandom(17);
  const lag = new LagHistogram();
  const stage = new LaneStage({ pacing: createPacing({ mode: 'timed', speed, replayDelayMs: 0 }), schedule: lag });
  const asked: number[] = [];
  for (let atUs = 0; atUs < 10 * minuteUs; atUs += 20_000 + Math.floor(random() * 380_000)) asked.push(atUs);
  for (const [i, startedUs] of asked.entries())
    stage.take(envelope({ seq: i + 1, startedUs }, { ...simple('A', 'A'), sentUs: 0, doneUs: 1_000 }));
  stage.connect();
  const startUs = stage.nowUs;
  const sent: number[] = [];
  let looked = 0;
  let sends = 0;
  const hasSent = (count: number): boolean => {
    for (; looked < stage.effects.length; looked++) if (stage.effects[looked]?.kind === 'send') sends += 1;
    return sends >= count;
  };
  let stalls = 1;
  while (sent.length < asked.length) {
    while (!hasSent(sent.length + 1)) {
      assert.ok(stage.wakeAtUs() < Number.POSITIVE_INFINITY, 'it goes on');
      stage.nowUs = Math.max(stage.nowUs, stage.wakeAtUs()) + Math.floor(random() * timerUs);
      stage.step({ kind: 'timer' });
    }
    const atUs = stage.nowUs - startUs;
    sent.push(atUs);
    stage.nowUs += 1_000 + Math.floor(random() * 7_000);
    if (atUs >= stallAtUs && stalls-- > 0) stage.nowUs += 3_000_000;
    stage.mirror(tag('A'), ready());
    stage.step({ kind: 'acknowledged' });
  }
  return { asked, sent, lag };
}

describe('a timed lane', () => {
  it('is not 10 ms off its schedule after ten minutes, whatever the mirror and the timers add to each exchange', () => {
    const { asked, sent, lag } = replay(1, Number.POSITIVE_INFINITY);
    assert.ok(asked.length > 2_500);
    const drifts = sent.map((atUs, i) => atUs - (asked[i] as number));
    assert.ok(Math.max(...drifts) <= 10_000 && Math.min(...drifts) >= 0, `${Math.max(...drifts)} µs`);
    assert.ok((drifts.at(-1) ?? 0) <= timerUs);
    assert.equal(lag.total, asked.length);
    assert.ok(lag.quantileUs(0.99) <= timerUs * 1.1 && lag.largestUs <= timerUs);
  });

  it('shortens think time after it was late, until the schedule is met again', () => {
    const { asked, sent, lag } = replay(1, 5 * minuteUs);
    const drifts = sent.map((atUs, i) => atUs - (asked[i] as number));
    const late = drifts.findIndex((us) => us > 1_000_000);
    const met = drifts.findIndex((us, i) => i > late && us <= timerUs);
    assert.ok(late > 0 && met > late && met - late < 40, `late at ${late}, on time at ${met}`);
    assert.ok(drifts.slice(met).every((us) => us <= timerUs));
    for (let i = late; i < met; i++)
      assert.ok(
        (sent[i] as number) - (sent[i - 1] as number) <= (asked[i] as number) - (asked[i - 1] as number) + 3_000_000,
      );
    assert.ok(lag.largestUs > 2_000_000 && lag.quantileUs(0.5) <= timerUs);
  });

  it('plays at the speeds that are allowed', () => {
    for (const speed of [leastSpeed, 10]) {
      const { asked, sent } = replay(speed, Number.POSITIVE_INFINITY);
      const last = asked.length - 1;
      const drift = (sent[last] as number) - (asked[last] as number) / speed;
      assert.ok(drift >= 0 && drift <= 10_000, `${speed}: ${drift} µs`);
    }
  });
});
