// Finds the BackendKeyData of a session, so that a CancelRequest can be told to the session it is for. Kept in memory only.
//
// BackendKeyData = 'K', Int32 length, Int32 process id, Byte* secret key (4 bytes in protocol 3.0, up to 256 in 3.2)
import { B, FrameEvent, FrameSplitter } from '@mirrorstream/pg-wire';

/** The key as a table key: the bytes a CancelRequest carries after its code. */
export const keyText = (bytes: Uint8Array, start: number, end: number): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1');

/** Looks for it until the first ReadyForQuery. */
export class BackendKeyFinder {
  readonly #splitter = new FrameSplitter({ maxFrameBytes: 64 * 1024 });
  done = false;

  /** Server bytes of the start-up phase, in order. Returns the key when this chunk completed it. */
  feed(bytes: Uint8Array, start: number, end: number): string | null {
    this.#splitter.feed(bytes, start, end);
    for (;;) {
      const event = this.#splitter.next();
      if (event === FrameEvent.needMore) return null;
      if (event === FrameEvent.malformed || this.#splitter.type === B.ReadyForQuery) {
        this.done = true;
        return null;
      }
      if (event === FrameEvent.frame && this.#splitter.type === B.BackendKeyData) {
        this.done = true;
        return keyText(this.#splitter.buffer, this.#splitter.start + 5, this.#splitter.end);
      }
    }
  }
}
