// Finds the place where a session can be followed again after capture lost its place: the server has just said it is idle, and the
// next chunk of the client is whole messages.
import { B, endsWithIdleReadyForQuery, holdsWholeFrames } from '@mirrorstream/pg-wire';

const IDLE_MESSAGE = Uint8Array.of(B.ReadyForQuery, 0, 0, 0, 5, 0x49);

/**
 * A client that pipelines may have requests under way that capture never saw, whose answers would be taken for those of the next: from
 * such a one a pause is asked for. A chunk that passes by coincidence is found out by its replies, and the search begins again.
 */
export class QuietPoint {
  /** How often the server came to rest while the session was not followed: as many transactions at least ended unseen. */
  idles = 0;
  #serverIdle = false;
  /** When the server last said something. */
  #saidUs = 0;
  /** How much of ReadyForQuery the last chunks ended in. */
  #matchedBytes = 0;

  reset(): void {
    this.idles = 0;
    this.lost();
  }

  /** Bytes went by unseen. */
  lost(): void {
    this.#serverIdle = false;
    this.#matchedBytes = 0;
  }

  get serverIdle(): boolean {
    return this.#serverIdle;
  }

  server(buffer: Uint8Array, start: number, end: number, monoUs = 0): void {
    if (start === end) return;
    this.#serverIdle = endsWithIdleReadyForQuery(buffer, start, end) || this.#completes(buffer, start, end);
    this.#saidUs = monoUs;
    if (this.#serverIdle) this.idles += 1;
  }

  /** Whether the session can be followed from this chunk on. The server must have been silent for `pauseUs`. */
  client(buffer: Uint8Array, start: number, end: number, monoUs = 0, pauseUs = 0): boolean {
    if (start === end) return false;
    const found =
      this.#serverIdle && monoUs - this.#saidUs >= pauseUs && holdsWholeFrames('frontend', buffer, start, end);
    this.#serverIdle = false;
    return found;
  }

  /** ReadyForQuery may come in pieces too. */
  #completes(buffer: Uint8Array, start: number, end: number): boolean {
    for (let at = Math.max(start, end - IDLE_MESSAGE.length); at < end; at++) {
      const byte = buffer[at];
      if (byte === IDLE_MESSAGE[this.#matchedBytes]) this.#matchedBytes += 1;
      else this.#matchedBytes = byte === IDLE_MESSAGE[0] ? 1 : 0;
    }
    const complete = this.#matchedBytes === IDLE_MESSAGE.length;
    if (complete) this.#matchedBytes = 0;
    return complete;
  }
}
