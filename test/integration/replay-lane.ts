// Plays envelopes to a real server through one lane, without Kafka: what a replayer's shell does, and no more.
import type { Envelope } from '@mirrorstream/envelope';
import { connectTarget, parseTargetUrl, type TargetConnection } from '@mirrorstream/pg-target';
import {
  createPacing,
  Lane,
  type LaneEffect,
  type LaneInput,
  type LaneResult,
  queuedBytes,
} from '@mirrorstream/replay';

/** Resolves with the results of all parts when the session's end is reported. */
export function playEnvelopes(envelopes: readonly Envelope[], url: string): Promise<readonly LaneResult[]> {
  return new Promise((resolve, reject) => {
    const results: LaneResult[] = [];
    const inputs: LaneInput[] = [];
    let connection: TargetConnection | null = null;
    let timer: NodeJS.Timeout | undefined;
    let running = false;
    const lane = new Lane({
      sessionId: 'session-1',
      pacing: createPacing({ mode: 'asap', speed: 1, replayDelayMs: 0 }),
      rawCapBytes: 64 * 1024,
      segmentWaitMs: 1000,
      unansweredWaitMs: 1000,
      exchangeTimeoutMs: 60_000,
      idleMs: 3_600_000,
      replayCancels: true,
      duplicateWindow: Number.POSITIVE_INFINITY,
    });
    const feed = (input: LaneInput): void => {
      inputs.push(input);
      if (running) return;
      running = true;
      try {
        for (let next = inputs.shift(); next !== undefined; next = inputs.shift())
          for (const effect of lane.step(next, Date.now() * 1000)) perform(effect);
      } catch (error) {
        reject(error);
      }
      running = false;
    };
    const perform = (effect: LaneEffect): void => {
      if (effect.kind === 'connect') void open().catch(reject);
      else if (effect.kind === 'send' && connection?.write(effect.bytes) === false) inputs.push({ kind: 'blocked' });
      else if (effect.kind === 'result') results.push(effect.result);
      else if (effect.kind === 'close') connection?.destroy();
      else if (effect.kind === 'wakeAt') {
        clearTimeout(timer);
        if (Number.isFinite(effect.atUs))
          timer = setTimeout(() => feed({ kind: 'timer' }), Math.max(1, effect.atUs / 1000 - Date.now()));
      } else if (effect.kind === 'ended') {
        clearTimeout(timer);
        resolve(results);
      }
    };
    const open = async (): Promise<void> => {
      const context = envelopes[0]?.context;
      let current = true;
      connection = await connectTarget(
        {
          address: parseTargetUrl(url, 'the mirror'),
          user: context?.user ?? '',
          database: context?.database ?? '',
          startupParameters: context?.startupParameters ?? [],
          applicationName: 'replay',
          sessionMark: 'session-1',
          connectTimeoutMs: 10_000,
        },
        {
          onBytes: (chunk) => current && feed({ kind: 'bytes', chunk }),
          onDrain: () => feed({ kind: 'drained' }),
          onLost: () => {
            current = false;
            feed({ kind: 'lost' });
          },
        },
      );
      feed({ kind: 'connected' });
    };
    envelopes.forEach((envelope, at) => {
      feed({ kind: 'envelope', place: { offset: BigInt(at), index: 0 }, envelope, sizeBytes: queuedBytes(envelope) });
    });
    feed({ kind: 'sessionEnd', place: { offset: BigInt(envelopes.length), index: 0 }, atUs: 0, sizeBytes: 0 });
  });
}
