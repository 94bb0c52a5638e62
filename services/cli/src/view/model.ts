// What the live view and the final summary show: plain data, made by the stack's observer.
import type { MirrorStatus, Status } from '@mirrorstream/domain';
import type { Divergence } from './divergences.ts';

export type Phase = 'running' | 'draining' | 'stopping' | 'stopped';

export interface ViewModel {
  readonly phase: Phase;
  readonly nowMs: number;
  /** When traffic could begin. */
  readonly startedAtMs: number;
  /** null: until somebody stops it. */
  readonly forMs: number | null;
  /** `127.0.0.1:6543`; null in `mirrorstream status` when it is not known. */
  readonly listen: string | null;
  /** A command line that connects through the proxy. */
  readonly connectWith: string | null;
  readonly status: Status;
  readonly openSessions: number;
  /** Transactions captured per second, over the last seconds; null: not known. */
  readonly transactionsPerSecond: number | null;
  readonly mirrors: readonly MirrorView[];
  /** null: not looked at. */
  readonly divergences: readonly Divergence[] | null;
  /** Sentences about what needs attention. */
  readonly notes: readonly string[];
}

export interface MirrorView {
  readonly name: string;
  /** `PostgreSQL 18`, or the address. */
  readonly what: string;
  readonly status: MirrorStatus;
  /** `failed/targetUnreachable` → transactions; only what is not 0. */
  readonly reasons: ReadonlyMap<string, number>;
}
