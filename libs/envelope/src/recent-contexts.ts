// Session contexts that were decoded a moment ago, by their bytes: every envelope repeats its session's.
import type { SessionContext } from './gen/mirrorstream/v1/envelope_pb.ts';
import { ProtoReader } from './proto-reader.ts';

const SLOTS = 256;
/** Larger ones are decoded each time: what is kept is bounded by slots and this. */
const LARGEST_KEPT_BYTES = 4 * 1024;

interface Kept {
  readonly bytes: Uint8Array;
  readonly context: SessionContext;
}

/** The same bytes give the same object, which nobody may change. */
export class RecentContexts {
  readonly #decode: (reader: ProtoReader) => SessionContext;
  readonly #slots: (Kept | undefined)[] = new Array<Kept | undefined>(SLOTS).fill(undefined);

  constructor(decode: (reader: ProtoReader) => SessionContext) {
    this.#decode = decode;
  }

  /** The message of the field the reader has found. */
  read(reader: ProtoReader): SessionContext {
    const bytes = reader.bytes();
    if (bytes.length > LARGEST_KEPT_BYTES) return this.#decode(new ProtoReader(bytes));
    const slot = slotOf(bytes);
    const kept = this.#slots[slot];
    if (kept !== undefined && isSame(kept.bytes, bytes)) return kept.context;
    // A copy: what is kept must not keep what Kafka delivered alive.
    const own = bytes.slice();
    const context = this.#decode(new ProtoReader(own));
    this.#slots[slot] = { bytes: own, context };
    return context;
  }
}

function slotOf(bytes: Uint8Array): number {
  let hash = bytes.length;
  for (let i = 0; i < bytes.length; i++) hash = (Math.imul(hash, 31) + (bytes[i] as number)) | 0;
  return (hash ^ (hash >>> 8) ^ (hash >>> 16)) & (SLOTS - 1);
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
