// Gathers capture records into one EnvelopeBatch: what becomes the value of a Kafka record.
import type { BatchOrigin, CaptureRecordDraft } from './drafts.ts';
import { encodeRecord } from './encode-record.ts';
import { ProtoWriter, wire } from './proto-writer.ts';

/** The schema version this code writes, and the newest it reads. */
export const schemaVersion = 1;

/** A buffer that grew beyond this is given back when the batch is done. */
const KEPT_BUFFER_BYTES = 1024 * 1024;

/**
 * One batch under construction; reused for the next after `reset`. Drafts are copied by `add` and may be reused at once, except
 * that a SessionContextDraft must never change: its encoded form is kept by identity.
 */
export class BatchEncoder {
  readonly #writer = new ProtoWriter();
  readonly #headerBytes: number;
  #records = 0;
  #transactions = 0;

  constructor(origin: BatchOrigin) {
    const writer = this.#writer;
    writer.uint((1 << 3) | wire.varint, schemaVersion);
    writer.string((2 << 3) | wire.bytes, origin.source);
    writer.string((3 << 3) | wire.bytes, origin.captureNode);
    writer.string((4 << 3) | wire.bytes, origin.incarnation);
    writer.uint((5 << 3) | wire.varint, origin.worker);
    writer.uint((6 << 3) | wire.varint, origin.partition);
    this.#headerBytes = writer.sizeBytes;
    this.#header = writer.copy();
  }

  readonly #header: Uint8Array;

  /** Throws for a draft that cannot be read; the batch is then as it was before. */
  add(draft: CaptureRecordDraft): void {
    const before = this.#writer.sizeBytes;
    try {
      encodeRecord(this.#writer, draft);
    } catch (error) {
      this.#writer.truncate(before);
      throw error;
    }
    this.#records += 1;
    if (draft.kind === 'envelope' && draft.lastPart) this.#transactions += 1;
  }

  /** Of the batch as `take` would give it now. */
  get sizeBytes(): number {
    return this.#writer.sizeBytes;
  }

  get records(): number {
    return this.#records;
  }

  /** Envelopes with lastPart in it: the value of the record's `transactions` header. */
  get transactions(): number {
    return this.#transactions;
  }

  /** A copy of the finished EnvelopeBatch, in the beginning of `memory` (at least `sizeBytes`). The encoder is unchanged: `reset` begins the next. */
  take(memory: Uint8Array = Buffer.allocUnsafe(this.sizeBytes)): Uint8Array {
    return this.#writer.copyInto(memory);
  }

  reset(): void {
    this.#records = 0;
    this.#transactions = 0;
    if (this.#writer.capacityBytes <= KEPT_BUFFER_BYTES) {
      this.#writer.truncate(this.#headerBytes);
      return;
    }
    this.#writer.truncate(0, KEPT_BUFFER_BYTES);
    this.#writer.raw(this.#header);
  }
}
