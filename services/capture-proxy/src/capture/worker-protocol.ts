// What the forwarding thread and the capture worker say to each other besides the ring. Rare: start, control, drain, stop.
import type { CaptureLimits } from '@mirrorstream/capture';
import type { CaptureSettings, SourceServer } from '@mirrorstream/domain';
import type { KafkaConnectionOptions } from '@mirrorstream/kafka';
import type { LogLevel } from '@mirrorstream/service-kit';
import type { CaptureBounds } from '../bound-flags.ts';

/** Everything a worker starts with. No secrets: Kafka's password is read where it is used. */
export interface WorkerSettings {
  readonly ringMemory: SharedArrayBuffer;
  readonly cellMemory: SharedArrayBuffer;
  /** See WorkerNumbers: written by the worker. */
  readonly numberMemory: SharedArrayBuffer;
  readonly source: string;
  readonly captureNode: string;
  readonly server: SourceServer;
  /** Which of the node's processes this is, and how many there are. */
  readonly worker: number;
  readonly workers: number;
  /** New for each worker. */
  readonly incarnation: string;
  /** An earlier worker of this process died: sessions that begin with a gap begin so for that reason. */
  readonly restarted: boolean;
  readonly partitions: number;
  readonly limits: CaptureLimits;
  readonly bounds: CaptureBounds;
  /** What the flags say; the control topic's word goes over it. */
  readonly flags: CaptureSettings;
  /** In force when the worker begins. */
  readonly settings: SettingsInForce;
  readonly publishBufferBytes: number;
  /** What all sessions together may hold unpublished. */
  readonly assemblyBytes: number;
  /** Null: what the publish buffer has no room for is dropped. */
  readonly spool: { readonly directory: string; readonly maxBytes: number } | null;
  readonly kafka: KafkaConnectionOptions;
  readonly logLevel: LogLevel;
}

/** What is in force. `revision`: offset of the control record that says so (decimal); null: the flags alone. */
export interface SettingsInForce extends CaptureSettings {
  readonly revision: string | null;
}

/** `seen`: records of it that were handled by then. `followed`: no transaction is open; else nobody knows. */
export type IdleSession = readonly [id: number, seen: number, followed: boolean];

export type ToWorker =
  /** In force on the forwarding thread from now on. */
  | { readonly kind: 'settings'; readonly settings: SettingsInForce }
  /** Say again and again which sessions are idle. */
  | { readonly kind: 'drain' }
  | { readonly kind: 'stop'; readonly deadlineMs: number };

export type FromWorker =
  | { readonly kind: 'idle'; readonly sessions: readonly IdleSession[] }
  /** The control topic was read to its end, or a record was added to it: this is to be in force. */
  | { readonly kind: 'control'; readonly settings: SettingsInForce }
  /** All is published, or the deadline has passed; the worker exits. */
  | { readonly kind: 'stopped'; readonly complete: boolean };
