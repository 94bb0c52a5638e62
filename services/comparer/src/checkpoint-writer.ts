// Publishes the checkpoints that are ready: one request at a time, small enough for one batch, at a bounded rate of bytes.
import { MirrorstreamError } from '@mirrorstream/domain';
import type { Producer } from '@mirrorstream/kafka';
import type { Checkpoint, PartitionLane } from './partition-lane.ts';

export interface CheckpointWriterOptions {
  /** A checkpoint that did not change is published again after this time. */
  readonly maxAgeMs: number;
  /** Of one request; the topic's max.message.bytes bounds it. */
  readonly maxRequestBytes: number;
  /** Checkpoints name sessions and can be large: on average no more than this is written. */
  readonly maxBytesPerS: number;
}

export interface CheckpointEvents {
  /** The partition will go on from there after a crash. */
  readonly onPublished: (lane: PartitionLane, nextOffset: bigint) => void;
  readonly onAvailability: (available: boolean, error?: MirrorstreamError) => void;
  /** Kafka will never take it: without checkpoints there is no going on. */
  readonly onRefused: (error: MirrorstreamError) => void;
}

interface Due {
  readonly lane: PartitionLane;
  readonly checkpoint: Checkpoint;
}

export class CheckpointWriter {
  private readonly producer: Producer;
  private readonly options: CheckpointWriterOptions;
  private readonly events: CheckpointEvents;
  private readonly nowMs: () => number;
  private sending: Promise<void> | null = null;
  private available = true;
  private nextFreezeAtMs = 0;

  constructor(producer: Producer, options: CheckpointWriterOptions, events: CheckpointEvents, nowMs: () => number) {
    this.producer = producer;
    this.options = options;
    this.events = events;
    this.nowMs = nowMs;
  }

  /** Freezes what has moved and publishes what is ready. */
  tick(lanes: Iterable<PartitionLane>): void {
    const all = [...lanes];
    const nowMs = this.nowMs();
    if (nowMs >= this.nextFreezeAtMs) for (const lane of all) lane.freeze(nowMs, this.options.maxAgeMs);
    void this.publishReady(all);
  }

  /** Freezes what has moved, whatever the rate: for the end. */
  freezeAll(lanes: Iterable<PartitionLane>): void {
    for (const lane of lanes) lane.freeze(this.nowMs(), Number.POSITIVE_INFINITY);
  }

  /** Publishes what is ready now; resolves when that is answered. Never rejects. */
  publishReady(lanes: Iterable<PartitionLane>): Promise<void> {
    this.sending ??= this.sendReady([...lanes]).finally(() => {
      this.sending = null;
    });
    return this.sending;
  }

  private async sendReady(lanes: readonly PartitionLane[]): Promise<void> {
    const due: Due[] = [];
    for (const lane of lanes) {
      const checkpoint = lane.ready();
      if (checkpoint !== null) due.push({ lane, checkpoint });
    }
    for (const request of inRequests(due, this.options.maxRequestBytes)) {
      if (!(await this.sendRequest(request))) return;
    }
  }

  private async sendRequest(request: readonly Due[]): Promise<boolean> {
    try {
      await this.producer.send(request.map((one) => one.checkpoint.record));
    } catch (error) {
      this.failed(error);
      return false;
    }
    if (!this.available) this.events.onAvailability(true);
    this.available = true;
    const nowMs = this.nowMs();
    const sizeBytes = request.reduce((sum, one) => sum + one.checkpoint.sizeBytes, 0);
    this.nextFreezeAtMs = Math.max(nowMs, this.nextFreezeAtMs) + (sizeBytes / this.options.maxBytesPerS) * 1000;
    for (const { lane, checkpoint } of request) {
      lane.published(nowMs);
      this.events.onPublished(lane, checkpoint.nextOffset);
    }
    return true;
  }

  /** What could not be sent stays ready for the next tick. */
  private failed(error: unknown): void {
    const known = error instanceof MirrorstreamError ? error : null;
    if (known === null || known.code === 'kafkaRefused') {
      this.events.onRefused(
        known ??
          new MirrorstreamError('internal', 'publishing a checkpoint failed', { stage: 'comparer', cause: error }),
      );
      return;
    }
    if (this.available) this.events.onAvailability(false, known);
    this.available = false;
  }
}

function inRequests(due: readonly Due[], maxBytes: number): Due[][] {
  const requests: Due[][] = [];
  let sizeBytes = Number.POSITIVE_INFINITY;
  for (const one of due) {
    if (sizeBytes + one.checkpoint.sizeBytes > maxBytes) {
      requests.push([]);
      sizeBytes = 0;
    }
    requests.at(-1)?.push(one);
    sizeBytes += one.checkpoint.sizeBytes;
  }
  return requests;
}
