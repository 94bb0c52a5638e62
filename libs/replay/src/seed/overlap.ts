// Whether a transaction whose end overlaps a snapshot made it into the snapshot: by what the server said of its backends meanwhile. Pure.
//
//   server's clock   asked ── snapshot ── scan of the backends ── told
//   capture's clock  sent ─────────────────────────────────────── done     of the exchange that took the snapshot
// The server's times are laid over capture's by that exchange: their difference is known up to what lies between. With it, one of the
// session's transactions is recognised as the one that ran, or had ended last, when the backends were looked at. What ran then with a
// transaction id had not committed before; what began later is not in the snapshot; what had ended before the snapshot was asked for is.

/** µs since the epoch, by the server's clock. */
export interface BackendReading {
  /** Of the transaction under way; null: none. */
  readonly xactStartUs: number | null;
  /** It has a transaction id, which it gives back in the moment its commit becomes visible. */
  readonly hasXid: boolean;
  /** Since when it is idle outside of a transaction; null: it is not. */
  readonly idleSinceUs: number | null;
}

export interface SnapshotReading {
  /** The statement's beginning, before the snapshot; and its end, after the scan. */
  readonly askedUs: number;
  readonly toldUs: number;
  /** By process id; those the user may not look at are missing. */
  readonly backends: ReadonlyMap<number, BackendReading>;
}

/** µs by capture's clock. */
export interface Interval {
  readonly sentUs: number;
  readonly doneUs: number;
}

/** One of the session's transactions, by its first and its last exchange. */
export interface SessionTransaction {
  readonly first: Interval;
  /** Null: it had not ended. */
  readonly last: Interval | null;
}

export type Place = 'before' | 'after' | 'unresolved';

/** `session`: transactions of one session in order, with those around the snapshot complete; `at`: which of them is meant. */
export function placeOfOverlap(
  session: readonly SessionTransaction[],
  at: number,
  marker: Interval,
  reading: SnapshotReading,
  backend: BackendReading | undefined,
): Place {
  if (backend === undefined) return 'unresolved';
  const leastUs = reading.toldUs - marker.doneUs;
  const mostUs = reading.askedUs - marker.sentUs;
  const during = (us: number, { sentUs, doneUs }: Interval): boolean => us >= sentUs + leastUs && us <= doneUs + mostUs;
  const { xactStartUs, hasXid, idleSinceUs } = backend;
  if (xactStartUs !== null) {
    const running = only(session, ({ first }) => during(xactStartUs, first));
    if (running === null) return 'unresolved';
    if (at > running) return 'after';
    if (at === running) return hasXid ? 'after' : 'unresolved';
    return xactStartUs <= reading.askedUs ? 'before' : 'unresolved';
  }
  if (idleSinceUs === null) return 'unresolved';
  const ended = only(session, ({ last }) => last !== null && during(idleSinceUs, last));
  if (ended === null) return 'unresolved';
  if (at > ended) return 'after';
  return idleSinceUs < reading.askedUs ? 'before' : 'unresolved';
}

/** The index of the one that fits; null: none does, or several. */
function only<T>(all: readonly T[], fits: (one: T) => boolean): number | null {
  const at = all.findIndex(fits);
  return at < 0 || all.findIndex((one, i) => i > at && fits(one)) >= 0 ? null : at;
}
