// TCP keep-alive: how a peer that vanished behind a silent network is noticed while nothing is sent.
//
// For bytes that were sent and are not acknowledged the kernel keeps its own time (Linux: tcp_retries2, about 15 minutes), as it does for
// a direct connection. Node cannot set TCP_USER_TIMEOUT, and nothing here pretends to.
import type { Socket } from 'node:net';

export interface KeepAlive {
  /** Idle so long, a connection is probed; 0: never. */
  readonly idleMs: number;
  readonly intervalMs: number;
  /** Unanswered probes after which it is dead. */
  readonly count: number;
}

/** A dead peer is given up after two and a half minutes; an outage of less breaks nothing. */
export const defaultKeepAlive: KeepAlive = { idleMs: 60_000, intervalMs: 10_000, count: 9 };

export function keepAlive(socket: Socket, { idleMs, intervalMs, count }: KeepAlive): void {
  if (idleMs > 0) socket.setKeepAlive(true, idleMs, intervalMs, count);
  else socket.setKeepAlive(false);
}
