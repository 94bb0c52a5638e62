// Memory that is used again: large buffers that live for some milliseconds are promoted by young collections, and then bring on
// a full collection every second.

const classBytes = 8 * 1024;

/** Buffers in size classes of 8 KiB. Whoever takes one may keep it: only what is given back is used again. */
export class BufferPool {
  readonly #maxHeldBytes: number;
  readonly #free = new Map<number, Buffer[]>();
  /** What was taken and not given back: neither foreign memory nor a second giving back is taken for it. */
  readonly #lent = new WeakSet<ArrayBufferLike>();
  #heldBytes = 0;

  /** `maxHeldBytes`: unused memory kept. */
  constructor(maxHeldBytes: number) {
    this.#maxHeldBytes = maxHeldBytes;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** At least `bytes` long, with old content. */
  take(bytes: number): Buffer {
    const size = Math.max(1, Math.ceil(bytes / classBytes)) * classBytes;
    const kept = this.#free.get(size)?.pop();
    if (kept !== undefined) this.#heldBytes -= size;
    const buffer = kept ?? Buffer.allocUnsafeSlow(size);
    this.#lent.add(buffer.buffer);
    return buffer;
  }

  /** Nobody may look at it any more. A view of a buffer that was taken gives back the whole buffer. */
  giveBack(view: Uint8Array): void {
    const memory = view.buffer;
    const size = memory.byteLength;
    if (!this.#lent.delete(memory) || this.#heldBytes + size > this.#maxHeldBytes) return;
    const free = this.#free.get(size);
    if (free === undefined) this.#free.set(size, [Buffer.from(memory)]);
    else free.push(Buffer.from(memory));
    this.#heldBytes += size;
  }
}
