// The frontend frames of a session that are not published yet, oldest first, and how far the server has got with them.
import { F } from '@mirrorstream/pg-wire';

/** One frame; a run of CopyData sent without waiting counts as one. Offsets are into the session's request log. */
export interface ClientFrame {
  type: number;
  start: number;
  end: number;
  sentUs: number;
  /** The worker's last doneSeq when the first byte was sent. */
  afterSeq: number;
  /** Replies the session had seen by then. */
  replies: number;
  /** Query, Parse: what the text says (QueryMark bits). */
  marks: number;
  /** False while a large frame is still coming in. */
  complete: boolean;
  /** The frame's beginning, kept when the log let go of it before the server answered. */
  head: Uint8Array | null;
}

/** What an entry costs beside its bytes. */
const ENTRY_BYTES = 96;
const KEPT_ENTRIES = 256;

const blank = (): ClientFrame => ({
  type: 0,
  start: 0,
  end: 0,
  sentUs: 0,
  afterSeq: 0,
  replies: 0,
  marks: 0,
  complete: true,
  head: null,
});

/** Entries are reused: a ClientFrame is valid until it is dropped. */
export class ClientFrames {
  count = 0;
  /** Frames before it are known to be processed by the server. */
  cursor = 0;
  #entries: ClientFrame[] = [];
  #headBytes = 0;

  get costBytes(): number {
    return this.count * ENTRY_BYTES + this.#headBytes;
  }

  at(index: number): ClientFrame {
    return this.#entries[index] as ClientFrame;
  }

  get last(): ClientFrame | null {
    return this.count === 0 ? null : this.at(this.count - 1);
  }

  /** The frame that is still coming in, if any: always the last. */
  get incomplete(): boolean {
    return this.count > 0 && !this.at(this.count - 1).complete;
  }

  /** Bytes of a CopyData that joins the one before it: true when there is one to join. */
  joinCopyData(end: number, replies: number): boolean {
    const before = this.last;
    if (before === null || before.type !== F.CopyData || before.replies !== replies || !before.complete) return false;
    before.end = end;
    return true;
  }

  /** CopyData before `offset` is published: its entries become one. */
  mergeCopyData(offset: number): void {
    let kept = this.cursor;
    for (let index = this.cursor; index < this.count; index++) {
      const frame = this.at(index);
      const before = kept > this.cursor ? this.at(kept - 1) : null;
      if (before?.type === F.CopyData && frame.type === F.CopyData && frame.complete && frame.end <= offset) {
        before.end = frame.end;
        before.replies = frame.replies;
        continue;
      }
      if (kept !== index) {
        const free = this.at(kept);
        this.#entries[kept] = frame;
        this.#entries[index] = free;
      }
      kept += 1;
    }
    this.count = kept;
  }

  push(type: number, start: number, end: number, sentUs: number, afterSeq: number, replies: number): ClientFrame {
    const index = this.count;
    if (index === this.#entries.length) this.#entries.push(blank());
    const frame = this.at(index);
    this.count = index + 1;
    frame.type = type;
    frame.start = start;
    frame.end = end;
    frame.sentUs = sentUs;
    frame.afterSeq = afterSeq;
    frame.replies = replies;
    frame.marks = 0;
    frame.complete = true;
    return frame;
  }

  /** Keeps the beginning of a frame whose bytes leave the log before the server has answered it. */
  keepHead(frame: ClientFrame, head: Uint8Array): void {
    frame.head = head;
    this.#headBytes += head.length;
  }

  /** Forgets the oldest `dropped` frames. */
  drop(dropped: number): void {
    this.cursor = Math.max(0, this.cursor - dropped);
    const kept = this.count - dropped;
    this.count = kept;
    for (let i = 0; i < dropped; i++) this.#releaseHead(this.at(i));
    if (kept === 0) {
      if (this.#entries.length > KEPT_ENTRIES) this.#entries = [];
      return;
    }
    // The dropped entries go to the back, for reuse.
    const entries = this.#entries;
    const free = entries.slice(0, dropped);
    entries.copyWithin(0, dropped, dropped + kept);
    for (let i = 0; i < dropped; i++) entries[kept + i] = free[i] as ClientFrame;
  }

  clear(): void {
    this.drop(this.count);
    this.cursor = 0;
  }

  #releaseHead(frame: ClientFrame): void {
    if (frame.head === null) return;
    this.#headBytes -= frame.head.length;
    frame.head = null;
  }
}
