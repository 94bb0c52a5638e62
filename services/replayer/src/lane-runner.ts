// Runs one lane: feeds it what happens and does what it says.
import type { SessionContext } from '@mirrorstream/envelope';
import type { TargetConnection } from '@mirrorstream/pg-target';
import {
  type CloseHow,
  Lane,
  type LaneEffect,
  type LaneInput,
  type LaneOptions,
  type ResultEffect,
} from '@mirrorstream/replay';
import type { Alarm } from './alarm.ts';
import type { ConnectionGate, GatePass } from './target/connection-gate.ts';
import { type Connector, poolKeyOf } from './target/connector.ts';
import type { Sleeper } from './wake-heap.ts';

export interface RunnerSurroundings {
  readonly gate: ConnectionGate;
  readonly connector: Connector;
  readonly alarm: Alarm<LaneRunner>;
  readonly nowUs: () => number;
  /** Bytes that this lane holds more, or less when negative. */
  readonly queued: (sizeBytes: number) => void;
}

export interface RunnerEvents {
  readonly onResult: (effect: ResultEffect) => void;
  readonly onDuplicate: (offset: bigint, transactions: number) => void;
  /** The lane threw; it ends, and what it had under way has failed. */
  readonly onBroken: (error: unknown) => void;
  /** A cancel goes to the mirror. */
  readonly onCancel: () => void;
  readonly onEnded: (runner: LaneRunner) => void;
}

export class LaneRunner implements Sleeper {
  wakeAtUs = Number.POSITIVE_INFINITY;
  entryAtUs = Number.POSITIVE_INFINITY;
  queuedBytes = 0;
  readonly lane: Lane;
  readonly #surroundings: RunnerSurroundings;
  readonly #events: RunnerEvents;
  #connection: TargetConnection | null = null;
  #pass: GatePass | null = null;
  #inputs: LaneInput[] = [];
  #running = false;

  constructor(options: LaneOptions, surroundings: RunnerSurroundings, events: RunnerEvents) {
    this.lane = new Lane(options);
    this.#surroundings = surroundings;
    this.#events = events;
  }

  get isConnected(): boolean {
    return this.#connection !== null;
  }

  /** What an effect brings about at once is fed after the step that caused it. */
  feed(input: LaneInput): void {
    if (input.kind === 'envelope' || input.kind === 'sessionEnd') {
      this.queuedBytes += input.sizeBytes;
      this.#surroundings.queued(input.sizeBytes);
    }
    this.#inputs.push(input);
    if (this.#running) return;
    this.#running = true;
    try {
      for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
        for (const effect of this.#step(next)) this.#perform(effect);
      }
    } finally {
      this.#running = false;
    }
  }

  /** A bug that one session's traffic brings to light costs that session's transactions under way, nothing else. */
  #step(input: LaneInput): readonly LaneEffect[] {
    try {
      return this.lane.step(input, this.#surroundings.nowUs());
    } catch (error) {
      this.#events.onBroken(error);
      return this.lane.surrender(input);
    }
  }

  #perform(effect: LaneEffect): void {
    switch (effect.kind) {
      case 'connect':
        this.#connect(effect.context);
        return;
      case 'send':
        if (this.#connection?.write(effect.bytes) === false) this.#inputs.push({ kind: 'blocked' });
        return;
      case 'cancel':
        this.#cancel();
        return;
      case 'close':
        this.#close(effect.how);
        return;
      case 'result':
        this.#release(effect.releasedBytes);
        this.#events.onResult(effect);
        return;
      case 'duplicate':
        this.#release(effect.releasedBytes);
        this.#events.onDuplicate(effect.offset, effect.transactions);
        return;
      case 'released':
        this.#release(effect.sizeBytes);
        return;
      case 'wakeAt':
        this.#surroundings.alarm.set(this, effect.atUs);
        return;
      case 'ended':
        this.#surroundings.alarm.set(this, Number.POSITIVE_INFINITY);
        this.#close('destroy');
        this.#release(this.queuedBytes);
        this.#events.onEnded(this);
        return;
      default:
        effect satisfies never;
    }
  }

  #cancel(): void {
    const connection = this.#connection;
    this.#events.onCancel();
    void connection?.cancel().then(() => {
      if (this.#connection === connection) this.feed({ kind: 'cancelDone' });
    });
  }

  #release(sizeBytes: number): void {
    const released = Math.min(sizeBytes, this.queuedBytes);
    this.queuedBytes -= released;
    if (released > 0) this.#surroundings.queued(-released);
  }

  #connect(context: SessionContext): void {
    // Bytes of a connection that was given up must not be taken for its successor's.
    let current = true;
    const pass = this.#surroundings.gate.request({
      sessionId: this.lane.sessionId,
      context,
      login: this.#surroundings.connector.loginOf(context),
      poolKey: poolKeyOf(context),
      handlers: {
        onBytes: (chunk) => current && this.feed({ kind: 'bytes', chunk }),
        onDrain: () => current && this.feed({ kind: 'drained' }),
        onLost: () => {
          if (!current) return;
          this.#forget();
          this.feed({ kind: 'lost' });
        },
      },
      onOpen: (connection, handedOn) => {
        if (!current) return connection.destroy();
        this.#connection = connection;
        if (handedOn) this.feed({ kind: 'connected', handedOn: connection.markStatements(this.lane.sessionId) });
        else this.feed({ kind: 'connected' });
      },
      onFailed: (reason) => {
        if (!current) return;
        this.#forget();
        this.feed({ kind: 'connectFailed', reason });
      },
    });
    this.#pass = {
      release: () => {
        current = false;
        pass.release();
      },
      handOn: () => {
        current = false;
        pass.handOn();
      },
    };
  }

  #close(how: CloseHow): void {
    if (how === 'handOn') {
      this.#connection = null;
      this.#pass?.handOn();
      this.#pass = null;
      return;
    }
    if (how === 'terminate') this.#connection?.close();
    else this.#connection?.destroy();
    this.#forget();
  }

  #forget(): void {
    this.#connection = null;
    this.#pass?.release();
    this.#pass = null;
  }
}
