// What the forwarding thread and the capture worker say to each other besides the ring. Rare: start, drain, stop.
import type { CaptureLimits } from '@mirrorstream/capture';
import type { KafkaConnectionOptions } from '@mirrorstream/kafka';
import type { LogLevel } from '@mirrorstream/service-kit';

/** Everything a worker starts with. No secrets: Kafka's password is read where it is used. */
export interface WorkerSettings {
  readonly ringMemory: SharedArrayBuffer;
  readonly cellMemory: SharedArrayBuffer;
  readonly source: string;
  readonly captureNode: string;
  /** Which of the node's processes this is, and how many there are. */
  readonly worker: number;
  readonly workers: number;
  /** New for each worker. */
  readonly incarnation: string;
  /** An earlier worker of this process died: sessions that begin with a gap begin so for that reason. */
  readonly restarted: boolean;
  readonly partitions: number;
  readonly limits: CaptureLimits;
  readonly publishBufferBytes: number;
  /** What all sessions together may hold unpublished. */
  readonly assemblyBytes: number;
  /** Null: what the publish buffer has no room for is dropped. */
  readonly spool: { readonly directory: string; readonly maxBytes: number } | null;
  readonly kafka: KafkaConnectionOptions;
  readonly logLevel: LogLevel;
}

export type ToWorker =
  /** Say again and again which sessions are idle. */
  { readonly kind: 'drain' } | { readonly kind: 'stop'; readonly deadlineMs: number };

export type FromWorker =
  | { readonly kind: 'idle'; readonly sessions: readonly (readonly [id: number, seen: number])[] }
  /** All is published, or the deadline has passed; the worker exits. */
  | { readonly kind: 'stopped'; readonly complete: boolean };
