// Opens the lane of a session, with what all of a replayer's lanes share, and takes connections from idle ones when they are scarce.
import type { LaneOptions } from '@mirrorstream/replay';
import type { ServiceKit } from '@mirrorstream/service-kit';
import type { AdmissionKeeper } from './admission/admission-keeper.ts';
import type { Alarm } from './alarm.ts';
import type { Assignment } from './assignment.ts';
import type { Backpressure } from './backpressure.ts';
import { nowUs } from './clock.ts';
import { LaneRunner } from './lane-runner.ts';
import type { OrderKeeper } from './order-keeper.ts';
import type { Partition } from './partition.ts';
import type { Work } from './replayer-state.ts';
import type { ConnectionGate } from './target/connection-gate.ts';
import type { Connector } from './target/connector.ts';

export interface LanesParts {
  readonly options: Omit<LaneOptions, 'sessionId'>;
  /** Sessions share the mirror's connections. */
  readonly pooled: boolean;
  readonly gate: ConnectionGate;
  readonly connector: Connector;
  readonly alarm: Alarm<LaneRunner>;
  readonly order: OrderKeeper;
  readonly backpressure: Backpressure;
  readonly assignment: Assignment;
  readonly admission: AdmissionKeeper;
  readonly work: Work;
  readonly logger: ServiceKit['logger'];
}

export class Lanes {
  readonly #parts: LanesParts;

  constructor(parts: LanesParts) {
    this.#parts = parts;
  }

  open(partition: Partition, sessionId: string): LaneRunner {
    const { gate, connector, alarm, backpressure, work, assignment, admission } = this.#parts;
    const order = this.#parts.order.gate(() => runner.feed({ kind: 'orderMoved' }));
    const runner: LaneRunner = new LaneRunner(
      { ...this.#parts.options, sessionId, order },
      {
        gate,
        connector,
        alarm,
        nowUs,
        queued: (sizeBytes) => backpressure.queued(sizeBytes),
      },
      {
        onResult: (effect) => {
          if (partition.owned) partition.laneResult(effect, () => runner.feed({ kind: 'acknowledged' }));
        },
        onDuplicate: (offset, transactions) => partition.laneDuplicate(offset, transactions),
        onBroken: (error) => this.#laneBroke(sessionId, error),
        onCancel: () => {
          work.cancels += 1;
        },
        onEnded: (ended) => partition.laneEnded(ended),
      },
    );
    if (assignment.isHeld) runner.feed({ kind: 'hold', on: true });
    if (admission.paused) runner.feed({ kind: 'pause', on: true });
    return runner;
  }

  /** Idle sessions give their connections to those that wait, and ask anew when they go on; pooled ones know by themselves whether they can. */
  evict(waiting: number): void {
    let left = waiting;
    for (const runner of this.#parts.assignment.runners()) {
      if (left === 0) return;
      if (!runner.isConnected || (!this.#parts.pooled && !runner.lane.idle)) continue;
      runner.feed({ kind: 'evict' });
      left -= 1;
    }
  }

  #laneBroke(sessionId: string, error: unknown): void {
    this.#parts.work.brokenLanes += 1;
    this.#parts.logger.error(
      { sessionId, error: error instanceof Error ? error.stack : String(error) },
      'a bug: what this session had under way counts as failed, the session goes on with its next transaction',
    );
  }
}
