// The batcher's contract: what stands between a producer of records that must never wait and a Kafka that may be slow or away.
import type { Acknowledgement, OutgoingRecord } from './port.ts';

export interface BatcherOptions {
  /** A request to one partition is cut at this many bytes. Default 900 000. */
  readonly maxRequestBytes?: number;
  /** … and at this many records. Default 5 000. */
  readonly maxRequestRecords?: number;
  /** A request to all partitions is closed when it has reached this many bytes. Default 8 MiB. */
  readonly maxRequestTotalBytes?: number;
  /** Records wait at most this long for company. Default 5. */
  readonly lingerMs?: number;
  /** Requests under way at once (one per partition at most: order). Default 4. */
  readonly maxInFlightRequests?: number;
  /** Accepted and not yet acknowledged; offers beyond it are refused. Default 64 MiB. */
  readonly maxBufferedBytes?: number;
  /** Wait between tries while Kafka is away: doubles from min to max. Defaults 100 and 2 000. */
  readonly retryMinMs?: number;
  readonly retryMaxMs?: number;
}

export interface BatcherEvents {
  /** Exactly one of these two is called for every accepted record, in order per partition. */
  readonly onAcknowledged: (record: OutgoingRecord, offset: bigint) => void;
  /** Kafka will never take it (`kafkaRefused`), or close() gave up on it (`closed`; its fate is unknown if it was ever sent). */
  readonly onLost: (record: OutgoingRecord, reason: 'kafkaRefused' | 'closed', everSent: boolean) => void;
  /** Kafka went away or came back. */
  readonly onAvailability?: (available: boolean, error?: Error) => void;
}

export interface Batcher {
  /** Synchronous, never waits. `full`: not accepted, nothing kept. */
  offer(record: OutgoingRecord): 'accepted' | 'full';
  /** Resolves when all accepted so far is acknowledged or lost. */
  flush(): Promise<void>;
  /** Flushes for at most timeoutMs, then gives up on the rest. */
  close(timeoutMs: number): Promise<void>;
  /** What was accepted and is neither acknowledged nor lost, in order per partition. Makes a list: not for every record. */
  unsettled(): readonly OutgoingRecord[];
  stats(): {
    readonly bufferedBytes: number;
    readonly bufferedRecords: number;
    readonly inFlightRequests: number;
    /** Of the buffered bytes those in requests under way. */
    readonly inFlightBytes: number;
    readonly available: boolean;
  };
}

export type { Acknowledgement };
