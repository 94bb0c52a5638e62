// Plays one transaction over one connection to a mirror with a replayer's own lane, and watches that it never ends by itself.
import { MirrorstreamError } from '@mirrorstream/domain';
import type { Envelope, SessionContext } from '@mirrorstream/envelope';
import type { SourceGuard, TargetAddress, TargetConnection } from '@mirrorstream/pg-target';
import { B, FrameEvent, FrameSplitter, HEADER_BYTES, TransactionStatusByte } from '@mirrorstream/pg-wire';
import {
  createPacing,
  Lane,
  type LaneEffect,
  type LaneInput,
  type LaneResult,
  queuedBytes,
} from '@mirrorstream/replay';
import { openTarget } from './raw-session.ts';

export interface Played {
  /** One per part. */
  readonly results: readonly LaneResult[];
  /** The server was outside of the transaction before we left it: what it had done so far is kept, or gone. */
  readonly endedByItself: boolean;
}

export interface PlayOptions {
  readonly address: TargetAddress;
  readonly guard: SourceGuard;
  readonly timeoutMs: number;
  readonly lockTimeoutMs: number;
}

const rawCapBytes = 1024 * 1024;
const stage = 'rerun';

/** Errors: as connectTarget; `targetIsSource`. A connection that is lost takes the transaction back, too. */
export async function play(envelopes: readonly Envelope[], options: PlayOptions): Promise<Played> {
  const first = envelopes[0] as Envelope;
  const run = new Playing(first.sessionId, options);
  return run.play(envelopes.map((envelope) => (envelope === first ? withTimeouts(envelope, options) : envelope)));
}

/** In front of the session's own settings, which may say otherwise. */
function withTimeouts(envelope: Envelope, { lockTimeoutMs, timeoutMs }: PlayOptions): Envelope {
  const { context } = envelope;
  if (context === undefined) return envelope;
  const setting = (name: string, ms: number): SessionContext['settings'][number] => ({
    $typeName: 'mirrorstream.v1.Setting',
    name,
    sql: `SET ${name} = ${ms}`,
  });
  const own = [setting('lock_timeout', lockTimeoutMs), setting('idle_in_transaction_session_timeout', timeoutMs)];
  return { ...envelope, context: { ...context, settings: [...own, ...context.settings] } };
}

class Playing {
  readonly #lane: Lane;
  readonly #options: PlayOptions;
  readonly #results: LaneResult[] = [];
  readonly #done = Promise.withResolvers<void>();
  readonly #watch = new StatusWatch();
  #inputs: LaneInput[] = [];
  #running = false;
  #connection: TargetConnection | null = null;
  #timer: NodeJS.Timeout | undefined;
  #parts = 0;

  constructor(sessionId: string, options: PlayOptions) {
    this.#options = options;
    this.#lane = new Lane({
      sessionId,
      pacing: createPacing({ mode: 'asap', speed: 1, replayDelayMs: 0 }),
      rawCapBytes,
      segmentWaitMs: 1_000,
      unansweredWaitMs: 5_000,
      exchangeTimeoutMs: options.timeoutMs,
      idleMs: 3_600_000,
      replayCancels: true,
      duplicateWindow: 1_000,
    });
  }

  async play(envelopes: readonly Envelope[]): Promise<Played> {
    this.#parts = envelopes.length;
    const late = setTimeout(() => this.#done.reject(tooLong(this.#options.timeoutMs)), this.#options.timeoutMs);
    try {
      for (const [index, envelope] of envelopes.entries())
        this.#feed({ kind: 'envelope', place: { offset: 0n, index }, envelope, sizeBytes: queuedBytes(envelope) });
      await this.#done.promise;
    } finally {
      clearTimeout(late);
      clearTimeout(this.#timer);
      this.#connection?.close();
    }
    return { results: this.#results, endedByItself: this.#watch.endedByItself };
  }

  /** What an effect brings about at once is fed after the step that caused it. */
  #feed(input: LaneInput): void {
    this.#inputs.push(input);
    if (this.#running) return;
    this.#running = true;
    try {
      for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift())
        for (const effect of this.#lane.step(next, nowUs())) this.#perform(effect);
    } catch (error) {
      this.#done.reject(error);
    } finally {
      this.#running = false;
    }
  }

  #perform(effect: LaneEffect): void {
    switch (effect.kind) {
      case 'connect':
        void this.#connect(effect.context);
        return;
      case 'send':
        if (this.#connection?.write(effect.bytes) === false) this.#inputs.push({ kind: 'blocked' });
        return;
      case 'cancel':
        void this.#connection?.cancel().then(() => this.#feed({ kind: 'cancelDone' }));
        return;
      case 'close':
        this.#connection?.destroy();
        this.#connection = null;
        return;
      case 'result':
        this.#results.push(effect.result);
        this.#inputs.push({ kind: 'acknowledged' });
        if (this.#results.length === this.#parts) this.#done.resolve();
        return;
      case 'wakeAt':
        this.#wakeAt(effect.atUs);
        return;
      case 'duplicate':
      case 'released':
      case 'ended':
        return;
      default:
        effect satisfies never;
    }
  }

  #wakeAt(atUs: number): void {
    clearTimeout(this.#timer);
    if (!Number.isFinite(atUs)) return;
    const waitMs = Math.min(Math.max(0, Math.ceil((atUs - nowUs()) / 1000)), 2 ** 31 - 1);
    this.#timer = setTimeout(() => this.#feed({ kind: 'timer' }), waitMs);
  }

  async #connect(context: SessionContext): Promise<void> {
    const { address, guard, timeoutMs } = this.#options;
    try {
      this.#connection = await openTarget(
        { address, context, sessionMark: this.#lane.sessionId, guard, statementTimeoutMs: timeoutMs },
        {
          onBytes: (chunk) => {
            this.#watch.feed(chunk);
            this.#feed({ kind: 'bytes', chunk });
          },
          onDrain: () => this.#feed({ kind: 'drained' }),
          onLost: () => this.#feed({ kind: 'lost' }),
        },
      );
      this.#feed({ kind: 'connected' });
    } catch (error) {
      this.#done.reject(error);
    }
  }
}

/** Whether the server left the transaction before its last answer: idle, after it was in one, and something came behind. */
class StatusWatch {
  endedByItself = false;
  readonly #splitter = new FrameSplitter({ maxFrameBytes: 1024 });
  #wasInside = false;
  #isOut = false;

  feed(chunk: Uint8Array): void {
    this.#splitter.feed(chunk);
    for (let event = this.#splitter.next(); event !== FrameEvent.needMore; event = this.#splitter.next()) {
      if (event !== FrameEvent.frame || this.#splitter.type !== B.ReadyForQuery) continue;
      const status = this.#splitter.buffer[this.#splitter.start + HEADER_BYTES];
      if (this.#isOut) this.endedByItself = true;
      if (status !== TransactionStatusByte.Idle) this.#wasInside = true;
      else if (this.#wasInside) this.#isOut = true;
    }
  }
}

const nowUs = (): number => (performance.timeOrigin + performance.now()) * 1000;

function tooLong(timeoutMs: number): MirrorstreamError {
  return new MirrorstreamError(
    'notReady',
    `the transaction did not end within ${timeoutMs / 1000} s; it was taken back`,
    {
      stage,
      hint: 'Something else may hold its locks: pause the mirror’s replay (mirrorstream mirror pause), or give more --timeout.',
    },
  );
}
