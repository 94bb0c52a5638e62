// The beginning of a frame too large to hold, kept while its body goes by: an ErrorResponse says its SQLSTATE in the first fields.
import { HEADER_BYTES } from '@mirrorstream/pg-wire';

/** Severity, SQLSTATE and the start of the message: PostgreSQL sends them in this order (error_severity first in elog.c). */
const KEPT_BYTES = 1024;

export class FrameHead {
  #bytes: Uint8Array | null = null;
  #sizeBytes = 0;

  /** Follows a frame of this type. */
  begin(type: number): void {
    this.#bytes ??= new Uint8Array(KEPT_BYTES);
    this.#bytes[0] = type;
    this.#sizeBytes = HEADER_BYTES;
  }

  part(buffer: Uint8Array, start: number, end: number): void {
    if (this.#bytes === null || this.#sizeBytes === 0) return;
    const taken = Math.min(end - start, KEPT_BYTES - this.#sizeBytes);
    if (taken <= 0) return;
    this.#bytes.set(buffer.subarray(start, start + taken), this.#sizeBytes);
    this.#sizeBytes += taken;
  }

  /** The frame as far as it was kept, its length field empty; nothing is kept any longer. */
  take(): Uint8Array {
    const head = (this.#bytes ?? new Uint8Array(0)).subarray(0, this.#sizeBytes);
    this.#bytes = null;
    this.#sizeBytes = 0;
    return head;
  }
}
