// What earlier owners of a partition have done beyond its committed offset, as their results tell.
import type { Result, ResultAccount } from '@mirrorstream/envelope';

/** Built once per assignment from the results; asked while the records that may be done are delivered again. */
export class DoneLedger {
  /** Results of a session come in its order: all up to the highest is done. */
  readonly #sequences = new Map<string, bigint>();
  readonly #endedSessions = new Set<string>();
  readonly #undecodable = new Set<bigint>();
  #upTo = -1n;

  /** The highest envelopes offset that a result is about; -1 when there is none. */
  get upTo(): bigint {
    return this.#upTo;
  }

  get sessions(): number {
    return this.#sequences.size;
  }

  add(result: Result): void {
    const { ref } = result;
    if (ref === undefined) return;
    if (ref.offset > this.#upTo) this.#upTo = ref.offset;
    if (ref.sessionId === '') this.#undecodable.add(ref.offset);
    else if (result.sessionEnd) this.#endedSessions.add(ref.sessionId);
    else if (ref.lastPart && ref.sessionSeq > (this.#sequences.get(ref.sessionId) ?? 0n))
      this.#sequences.set(ref.sessionId, ref.sessionSeq);
  }

  /** What a results record settles that nobody can decode. */
  addAccount({ upTo, sessions, anonymous }: ResultAccount): void {
    if (upTo > this.#upTo) this.#upTo = upTo;
    for (const { offset } of anonymous) this.#undecodable.add(offset);
    for (const { sessionId, lastSeq } of sessions) {
      const seq = BigInt(lastSeq);
      if (seq > (this.#sequences.get(sessionId) ?? 0n)) this.#sequences.set(sessionId, seq);
    }
  }

  transactionDone(sessionId: string, sessionSeq: bigint): boolean {
    return sessionSeq <= (this.#sequences.get(sessionId) ?? 0n);
  }

  sessionEndDone(sessionId: string): boolean {
    return this.#endedSessions.has(sessionId);
  }

  undecodableDone(offset: bigint): boolean {
    return this.#undecodable.has(offset);
  }
}
