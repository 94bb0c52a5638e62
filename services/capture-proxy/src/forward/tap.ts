// What the forwarding thread tells capture. Every call returns at once, never throws and never waits.

export type Idleness = 'yes' | 'no' | 'unknown';

/** One captured session as the forwarding thread sees it. */
export interface TapSession {
  /** Bytes that were forwarded. The view is read before the call returns and not kept. */
  client(chunk: Uint8Array, monoUs: number): void;
  /** As `client`, for what may hold a password: the tap keeps no copy of it once capture has taken it. */
  secret(chunk: Uint8Array, monoUs: number): void;
  server(chunk: Uint8Array, monoUs: number): void;
  closed(monoUs: number): void;
  /** `yes`: capture has seen all of this session, and no transaction is open. `unknown`: it does not follow the session now. */
  idle(): Idleness;
}

export interface Tap {
  /** `startup` is the StartupMessage, byte for byte. */
  open(startup: Uint8Array, monoUs: number): TapSession;
  /** A CancelRequest went by: `key` is process id and secret. */
  cancel(key: Uint8Array, monoUs: number): void;
}

/** Bytes and sessions that went through, captured or not. Plain numbers: read by whoever reports them. */
export interface ForwardCounts {
  bytes: number;
  sessionsTotal: number;
  sessionsOpen: number;
}
