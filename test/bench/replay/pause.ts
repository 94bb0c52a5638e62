// How soon a replayer that was away for real minutes has caught up with traffic that goes on all the while.
import { setTimeout as pause } from 'node:timers/promises';
import { replayerGroup } from '@mirrorstream/domain';
import { waitUntil } from '@mirrorstream/local';
import { runThrottled } from '../proxy/pgbench.ts';
import { environment, type Played, readPlayed, startReplayer } from './replay-run.ts';
import type { CatchUpSample } from './result.ts';
import { load, ratePerSecond } from './schedule.ts';
import { capture, isPlayed, resetTables, type Stage } from './stage.ts';

/** It follows the traffic for so long before it goes away. */
const followSeconds = 10;
/** The traffic goes on after its return for this share of the pause, and this many seconds. */
const tail = { share: 0.6, seconds: 20 };
const deadlineMs = 900_000;
/** Less behind than this is caught up. */
const caughtUpUs = 1_000_000;

/** Timed, without a delay: it follows, is stopped in order, comes back after `pauseSeconds`. */
export async function measurePause(
  stage: Stage,
  pauseSeconds: number,
  say: (line: string) => void,
): Promise<CatchUpSample> {
  await resetTables(stage.source, stage.mirror);
  const mirror = stage.newName('mirror');
  const flags = ['--pacing', 'timed', '--replay-delay-ms', '0'];
  const trafficSeconds = Math.ceil(followSeconds + pauseSeconds * (1 + tail.share) + tail.seconds);
  let backAtUs = 0;
  let replayer: Awaited<ReturnType<typeof startReplayer>> | null = null;
  try {
    const captured = await capture(stage, stage.source.port, async (port, source) => {
      const start = () => startReplayer(stage, mirror, { captured: { source }, targetPort: stage.mirror.port, flags });
      replayer = await start();
      const traffic = runThrottled(port, load, ratePerSecond, trafficSeconds);
      await Promise.race([traffic, pause(followSeconds * 1000)]);
      await replayer.process.stop({ graceMs: 30_000 });
      replayer = null;
      say(`the replayer is away for ${pauseSeconds} s`);
      await Promise.race([traffic, pause(pauseSeconds * 1000)]);
      backAtUs = Date.now() * 1000;
      replayer = await start();
      await traffic;
    });
    await waitUntil(() => isPlayed(stage, captured.source, replayerGroup(environment, mirror)), {
      ...{ what: `${captured.source} to be played`, deadlineMs, everyMs: 200, stage: 'bench' },
    });
    const { played } = await readPlayed(stage, mirror);
    const sample = catchUpOf(played, backAtUs, pauseSeconds);
    say(
      sample.caughtUpAfterSeconds === null
        ? `not caught up before the traffic was over: ${Math.round(sample.perSecond)} tx/s`
        : `caught up after ${sample.caughtUpAfterSeconds.toFixed(1)} s: ${Math.round(sample.perSecond)} tx/s`,
    );
    return sample;
  } finally {
    await (replayer as Awaited<ReturnType<typeof startReplayer>> | null)?.process.stop({ graceMs: 30_000 });
  }
}

/** From the moment it came back (µs since the epoch) to the last answer that was a second late or more. */
export function catchUpOf(played: readonly Played[], backAtUs: number, pausedSeconds: number): CatchUpSample {
  const after = played.filter(({ doneAtUs }) => doneAtUs >= backAtUs).sort((a, b) => a.doneAtUs - b.doneAtUs);
  const lastLate = after.findLastIndex(({ doneAtUs, capturedAtUs }) => doneAtUs - capturedAtUs >= caughtUpUs);
  const isCaughtUp = lastLate + 1 < after.length;
  const untilUs = after[lastLate]?.doneAtUs ?? backAtUs;
  const seconds = (untilUs - backAtUs) / 1e6;
  const [firstUs, lastUs] = played.reduce(
    ([least, most], { capturedAtUs }) => [Math.min(least, capturedAtUs), Math.max(most, capturedAtUs)],
    [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  );
  return {
    pausedSeconds,
    capturedPerSecond: (played.length * 1e6) / (lastUs - firstUs),
    perSecond: seconds === 0 ? 0 : (lastLate + 1) / seconds,
    caughtUpAfterSeconds: isCaughtUp ? seconds : null,
  };
}
