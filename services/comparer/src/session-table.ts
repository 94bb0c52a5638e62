// Which results of a partition were counted already: the highest transaction per session, and the parts of the one that is under way.
//
// Kept in the snapshot (its `sessions`), so that a successor recognises repeats as well. Keys, by their last characters:
//   <session>            the session's highest counted session_seq
//   <session>#<seq>      parts counted so far of transaction <seq>, which has not ended
//   <session>$           the same for a session that has ended: kept for a while, oldest first
//   @<offset>/<index>$   an envelope without a session (a record nobody could decode): 1
// Bounded by numbers of ended sessions and by the bytes the table takes in the snapshot. Beyond that the longest ended go first, then
// the sessions without a result for the longest time; a repeat of theirs would be counted again.

export interface SessionTableLimits {
  /** Ended sessions that are remembered, by count. */
  readonly maxEnded: number;
  /** Of all entries in the snapshot's JSON. */
  readonly maxBytes: number;
}

interface LiveSession {
  highest: number;
  /** The transaction of which some parts were counted; 0: none. */
  openSeq: number;
  openParts: number;
}

/** Quotes, colon, comma and the number of one entry. */
const ENTRY_BYTES = 16;

export class SessionTable {
  private readonly limits: SessionTableLimits;
  private readonly live = new Map<string, LiveSession>();
  private readonly ended = new Map<string, number>();
  private sizeBytes = 0;

  constructor(limits: SessionTableLimits, saved: Readonly<Record<string, number>> = {}) {
    this.limits = limits;
    for (const [key, value] of Object.entries(saved)) this.restore(key, value);
    this.evict();
  }

  /** Whether this part is new. Then it is noted as counted. Parts of a session come in order, repeats aside. */
  note(sessionId: string, seq: number, part: number, lastPart: boolean): boolean {
    const known = this.live.get(sessionId);
    const highest = this.highest(sessionId);
    if (seq <= highest) return false;
    if (known?.openSeq === seq && part < known.openParts) return false;
    if (known === undefined) this.grow(sessionId);
    this.live.delete(sessionId);
    this.live.set(
      sessionId,
      lastPart ? { highest: seq, openSeq: 0, openParts: 0 } : { highest, openSeq: seq, openParts: part + 1 },
    );
    this.evict();
    return true;
  }

  /** The same for an envelope that has no session. */
  noteAnonymous(offset: bigint, index: number): boolean {
    const key = `@${offset}/${index}`;
    if (this.ended.has(key)) return false;
    this.grow(key);
    this.ended.set(key, 1);
    this.evict();
    return true;
  }

  /** The session is over: its entry may go once enough others have ended after it. */
  end(sessionId: string): void {
    const known = this.live.get(sessionId);
    if (known === undefined) return;
    this.live.delete(sessionId);
    if (this.ended.has(sessionId)) this.shrink(sessionId);
    this.ended.delete(sessionId);
    this.ended.set(sessionId, known.highest);
    this.evict();
  }

  /** The highest transaction counted of the session; 0: none that is remembered. */
  highest(sessionId: string): number {
    return this.live.get(sessionId)?.highest ?? this.ended.get(sessionId) ?? 0;
  }

  get size(): number {
    return this.live.size + this.ended.size;
  }

  save(): Record<string, number> {
    const saved: Record<string, number> = {};
    for (const [id, highest] of this.ended) saved[`${id}$`] = highest;
    for (const [id, session] of this.live) {
      saved[id] = session.highest;
      if (session.openSeq > 0) saved[`${id}#${session.openSeq}`] = session.openParts;
    }
    return saved;
  }

  private restore(key: string, value: number): void {
    if (key.endsWith('$')) {
      this.ended.set(key.slice(0, -1), value);
      this.grow(key);
      return;
    }
    const hash = key.lastIndexOf('#');
    const openSeq = hash < 0 ? Number.NaN : Number(key.slice(hash + 1));
    const owner = Number.isInteger(openSeq) ? this.live.get(key.slice(0, hash)) : undefined;
    if (owner !== undefined) {
      owner.openSeq = openSeq;
      owner.openParts = value;
      return;
    }
    this.live.set(key, { highest: value, openSeq: 0, openParts: 0 });
    this.grow(key);
  }

  private evict(): void {
    while (this.ended.size > this.limits.maxEnded) this.forgetOldest(this.ended);
    while (this.sizeBytes > this.limits.maxBytes && this.size > 1)
      this.forgetOldest(this.ended.size > 0 ? this.ended : this.live);
  }

  private forgetOldest(table: Map<string, unknown>): void {
    for (const oldest of table.keys()) {
      table.delete(oldest);
      this.shrink(oldest);
      return;
    }
  }

  private grow(key: string): void {
    this.sizeBytes += key.length + ENTRY_BYTES;
  }

  private shrink(key: string): void {
    this.sizeBytes -= key.length + ENTRY_BYTES;
  }
}
