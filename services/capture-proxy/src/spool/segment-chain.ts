// The segment files of one spool, in order: the newest is written to, the oldest is read, and each is deleted when it is done with.
import { mkdir } from 'node:fs/promises';
import { Segment } from './segment.ts';

export interface SegmentChainOptions {
  /** Made when it is needed. */
  readonly folder: string;
  readonly segmentBytes: number;
  /** The folder is there, and nothing in it. */
  readonly onFolder: () => Promise<void>;
  /** Nothing is written to it any more: it is to be finished, at leisure. */
  readonly onSealed: (segment: Segment) => void;
}

export class SegmentChain {
  /** Of all files. */
  sizeBytes = 0;
  readonly #options: SegmentChainOptions;
  readonly #segments: Segment[] = [];
  #active: Segment | null = null;
  #nextIndex = 1;
  #kept = false;

  constructor(options: SegmentChainOptions) {
    this.#options = options;
  }

  get isEmpty(): boolean {
    return this.#segments.length === 0;
  }

  /** The one that is written to. */
  get active(): Segment | null {
    return this.#active;
  }

  /** The one that is read next. */
  get unread(): Segment | undefined {
    return this.#segments.find(({ hasUnread }) => hasUnread);
  }

  /** Whether there ever was one. */
  get began(): boolean {
    return this.#nextIndex > 1;
  }

  /** Something in them is still to be read, acknowledged or lost. */
  get isUnsettled(): boolean {
    return this.#segments.some((segment) => segment.hasUnread || segment.unsettled > 0);
  }

  /** The one that so many bytes are to be written to; one that they would make too large is sealed. */
  async roomFor(sizeBytes: number): Promise<Segment> {
    const { folder, segmentBytes, onFolder } = this.#options;
    if (this.#active !== null && this.#active.validBytes + sizeBytes > segmentBytes) this.seal();
    if (this.#active !== null) return this.#active;
    if (this.#nextIndex === 1) {
      await mkdir(folder, { recursive: true });
      await onFolder();
    }
    this.#active = await Segment.create(folder, this.#nextIndex);
    this.#nextIndex += 1;
    this.#segments.push(this.#active);
    this.sizeBytes += this.#active.validBytes;
    return this.#active;
  }

  seal(): void {
    const segment = this.#active;
    this.#active = null;
    if (segment === null) return;
    segment.seal();
    this.#options.onSealed(segment);
    this.removeIfDone(segment);
  }

  /** One of its records is acknowledged or lost. */
  release(segment: Segment): void {
    segment.unsettled -= 1;
    this.removeIfDone(segment);
  }

  removeIfDone(segment: Segment): void {
    if (!segment.sealed || segment.hasUnread || segment.unsettled > 0 || this.#kept) return;
    const at = this.#segments.indexOf(segment);
    if (at < 0) return;
    this.#segments.splice(at, 1);
    this.sizeBytes -= segment.validBytes;
    void segment.remove().catch(() => undefined); // a file that stays is found by the next start
  }

  /** From now on nothing is removed: what is there is a successor's. */
  keep(): void {
    this.#kept = true;
  }

  async close(): Promise<void> {
    await Promise.all(this.#segments.map((segment) => segment.close()));
  }
}
