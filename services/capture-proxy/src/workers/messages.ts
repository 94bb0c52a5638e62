// What the supervisor and its worker processes say to each other. Sockets travel beside `client`.
import type { ErrorCode } from '@mirrorstream/domain';
import type { MetricFamily } from '@mirrorstream/service-kit';
import type { WorkerPlace } from '../capturing-proxy.ts';
import type { CaptureProxyConfig } from '../config.ts';
import type { Route } from '../forward/connect-source.ts';
import type { Forwarding } from '../forward/leg.ts';

export type ToWorkerProcess =
  | { readonly kind: 'start'; readonly config: CaptureProxyConfig; readonly place: WorkerPlace }
  /** A client's connection comes with it, nothing read yet. */
  | { readonly kind: 'client' }
  /** A CancelRequest that another worker passed on: process id and secret key, and when that was on the host's monotonic clock. */
  | { readonly kind: 'cancel'; readonly key: Uint8Array; readonly monoUs: number }
  /** Which server is the session of this cancel key on? To be answered with the same `question`. */
  | { readonly kind: 'whose'; readonly question: number; readonly key: Uint8Array }
  | { readonly kind: 'route'; readonly question: number; readonly route: Route | null }
  | { readonly kind: 'stop'; readonly deadlineMs: number }
  | { readonly kind: 'hasten' };

export type FromWorkerProcess =
  | { readonly kind: 'ready'; readonly forwarding: Forwarding }
  | { readonly kind: 'failed'; readonly error: ToldError }
  /** So many of the clients it was given have left since it last said so. */
  | { readonly kind: 'left'; readonly clients: number }
  | { readonly kind: 'metrics'; readonly families: readonly MetricFamily[] }
  | { readonly kind: 'cancel'; readonly key: Uint8Array; readonly monoUs: number }
  | { readonly kind: 'whose'; readonly question: number; readonly key: Uint8Array }
  | { readonly kind: 'route'; readonly question: number; readonly route: Route | null };

/** An error as far as it can be told to another process. */
export interface ToldError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string | undefined;
}
