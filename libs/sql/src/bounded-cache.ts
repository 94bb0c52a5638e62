// A least-recently-used cache with a limit of entries and one of bytes.

export interface CacheLimits {
  readonly maxEntries: number;
  readonly maxBytes: number;
}

export class BoundedCache<Value> {
  readonly limits: CacheLimits;
  hits = 0;
  misses = 0;
  sizeBytes = 0;
  private readonly entries = new Map<string, { readonly value: Value; readonly sizeBytes: number }>();

  constructor(limits: CacheLimits) {
    this.limits = limits;
  }

  get size(): number {
    return this.entries.size;
  }

  /** Without counting, and without making it younger. */
  has(key: string): boolean {
    return this.entries.has(key);
  }

  get(key: string): Value | undefined {
    const entry = this.entries.get(key);
    if (entry === undefined) {
      this.misses += 1;
      return undefined;
    }
    this.hits += 1;
    this.entries.delete(key);
    this.entries.set(key, entry);
    return entry.value;
  }

  /** `sizeBytes` is what the entry counts for. One that is larger than the whole cache is not kept. */
  set(key: string, value: Value, sizeBytes: number): void {
    this.remove(key);
    if (sizeBytes > this.limits.maxBytes || this.limits.maxEntries < 1) return;
    this.entries.set(key, { value, sizeBytes });
    this.sizeBytes += sizeBytes;
    for (const oldest of this.entries.keys()) {
      if (this.entries.size <= this.limits.maxEntries && this.sizeBytes <= this.limits.maxBytes) break;
      this.remove(oldest);
    }
  }

  private remove(key: string): void {
    const entry = this.entries.get(key);
    if (entry === undefined) return;
    this.entries.delete(key);
    this.sizeBytes -= entry.sizeBytes;
  }
}
