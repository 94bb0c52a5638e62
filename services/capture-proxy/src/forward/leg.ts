// The seam between the relay and the way bytes are moved: one leg is one end of a TCP connection.

/** What a leg tells its owner. */
export interface LegEvents {
  /** Bytes that came in. The view is the leg's own memory: valid until the callback returns, or while `pause`d. */
  onChunk(chunk: Uint8Array): void;
  /** The peer half-closed: nothing more will come. */
  onEnd(): void;
  /** The connection is dead (reset, timed out, broken pipe). The leg is still to be closed by its owner. */
  onFailed(code: string): void;
  /** What `write` kept is with the kernel now. */
  onDrained(): void;
}

export interface Leg {
  readonly peer: string;
  /** The kernel has, or TLS has encrypted, all that was written: no view is borrowed. */
  readonly settled: boolean;
  /** Begins to read, or goes on, telling `events` from now on. */
  start(events: LegEvents): void;
  pause(): void;
  resume(): void;
  /**
   * Writes at once. `false`: some bytes wait for the peer; the view stays borrowed until `onDrained`, and the owner reads no more
   * from the other leg until then. That is the whole back-pressure: a leg never holds more than one chunk.
   */
  write(chunk: Uint8Array): boolean;
  /** Half-closes after what is still to be written. */
  end(): void;
  /** Closes with a reset, so that the peer sees what the other leg saw. */
  reset(): void;
  /** Closes for good. No event follows. */
  close(): void;
}

/** How bytes are moved: libuv handles where this Node is known to have them, else plain streams. */
export type Forwarding = 'handles' | 'streams';

/** Bytes read at a time, and the most a leg holds for a peer that does not read. */
export const readBufferBytes = 64 * 1024;
