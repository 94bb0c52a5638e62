// What the mirror's session has been through, against what an envelope takes for granted.
import { DependencyReason, type Envelope, type SessionContext } from '@mirrorstream/envelope';
import { contextFrames } from './context-frames.ts';

/** What a session must have gone through on this very connection. Locks can be taken and notifications listened for on any. */
const needHistory: readonly DependencyReason[] = [
  DependencyReason.TEMP_TABLE,
  DependencyReason.HELD_CURSOR,
  DependencyReason.UNKNOWN_STATEMENT,
];

export class SessionHistory {
  /** The connection has not been told of any settings yet. */
  #fresh = false;
  /** The session began before this connection. */
  #lost = false;
  #afterGap = false;
  /** session_seq of the last transaction begun on the mirror. */
  #played = 0;
  /** Transactions up to this one, from the first, were skipped without loss. */
  #harmlessUpTo = 0;

  connected(): void {
    this.#fresh = true;
  }

  gap(): void {
    this.#afterGap = true;
  }

  begun(seq: number): void {
    this.#played = seq;
  }

  /** It was not played, and is not going to be. */
  skipped(seq: number, harmless: boolean): void {
    if (!harmless) this.#lost = true;
    else if (seq === this.#harmlessUpTo + 1) this.#harmlessUpTo = seq;
  }

  /** The connection is not where the transaction before left production's: it has to be brought there. */
  isStrange(seq: number): boolean {
    return this.#fresh || this.#afterGap || seq !== this.#played + 1;
  }

  /** Whether the transaction that begins with this envelope needs what this connection never had. */
  lacks(envelope: Envelope, seq: number): boolean {
    if (this.#fresh) this.#lost = seq !== this.#harmlessUpTo + 1;
    return this.#lost && envelope.dependsOnSession.some((reason) => needHistory.includes(reason));
  }

  /** What brings a strange connection to where transaction `seq` begins; null: nothing. */
  catchUp(context: SessionContext, seq: number): Uint8Array | null | 'damaged' {
    const bytes = contextFrames(context, this.#fresh ? 'fresh' : 'used');
    if (bytes === 'damaged') return bytes;
    this.#fresh = false;
    this.#afterGap = false;
    this.#played = seq - 1;
    return bytes;
  }
}
