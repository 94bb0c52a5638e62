// What a lane has taken in and not reported yet, in the session's order, and how far sending has come in it.
//
// Works before the cursor are sent and wait for answers; the one at the cursor is being sent, from a place in it: a piece and a chunk.
import type { Envelope } from '@mirrorstream/envelope';
import type { FailedReason, LaneInput, RecordPlace } from './lane-types.ts';
import {
  type Chunk,
  doneAtUs,
  type EndWork,
  type PartWork,
  type Piece,
  partWork,
  SKIPPED_BYTES,
  skippedWork,
  type Work,
} from './lane-work.ts';
import type { Skip } from './skip.ts';
import { OutcomeTally } from './transaction-outcome.ts';

export class LaneQueue {
  #works: Work[] = [];
  #cursor = 0;
  #pieceAt = 0;
  #chunkAt = 0;
  /** A failed transaction of which parts are still to come. */
  #doomed: { readonly seq: number; readonly reason: FailedReason } | null = null;
  /** A skipped transaction of which parts are still to come. */
  #skipping: { readonly seq: number; readonly skip: Skip } | null = null;
  /** Of the transaction taken in last. */
  #tally = new OutcomeTally();
  #accepted = { seq: 0, part: -1, last: true };
  readonly #onSkipped: (envelope: Envelope) => void;

  /** `onSkipped`: of each part that will not be played after all. */
  constructor(onSkipped: (envelope: Envelope) => void = () => {}) {
    this.#onSkipped = onSkipped;
  }

  /** The highest session_seq taken in, and whether to its last part. */
  get accepted(): { readonly seq: number; readonly part: number; readonly last: boolean } {
    return this.#accepted;
  }

  get isEmpty(): boolean {
    return this.#works.length === 0;
  }

  /** When production was done with what is oldest here, µs since the epoch; null: nothing is to be played. */
  get oldestDoneAtUs(): number | null {
    const [oldest] = this.#works;
    return oldest?.kind === 'part' ? doneAtUs(oldest.envelope) : null;
  }

  /** Nothing is sent that is not reported. */
  get isUntouched(): boolean {
    return this.#cursor === 0;
  }

  /** Parts that are sent, or never will be, and not reported. */
  get unreported(): number {
    return this.#cursor;
  }

  /** The work being sent. */
  get current(): Work | undefined {
    return this.#works[this.#cursor];
  }

  get atWorkStart(): boolean {
    return this.#pieceAt === 0 && this.#chunkAt === 0;
  }

  get atPieceStart(): boolean {
    return this.#chunkAt === 0;
  }

  piece(work: PartWork): Piece {
    return work.pieces[this.#pieceAt] as Piece;
  }

  chunk(piece: Piece): Chunk {
    return piece.chunks[this.#chunkAt] as Chunk;
  }

  /** The bytes that wait because of it now. Null: it was taken in before. */
  take(place: RecordPlace, envelope: Envelope, sizeBytes: number, given?: Skip): number | null {
    const seq = Number(envelope.sessionSeq);
    const { part, lastPart } = envelope;
    const before = this.#accepted;
    if (seq < before.seq || (seq === before.seq && (part <= before.part || before.last))) return null;
    this.#accepted = { seq, part, last: lastPart };
    const skip = given ?? (this.#skipping?.seq === seq ? this.#skipping.skip : null);
    if (this.#skipping !== null && (this.#skipping.seq !== seq || lastPart)) this.#skipping = null;
    if (skip !== null) {
      this.#works.push(skippedWork(place, envelope, skip));
      this.#onSkipped(envelope);
      return SKIPPED_BYTES;
    }
    if (part === 0 || seq !== before.seq) this.#tally = new OutcomeTally();
    const work = partWork(place, envelope, sizeBytes, this.#tally);
    if (this.#doomed?.seq === seq) work.failed = this.#doomed.reason;
    if (this.#doomed !== null && (this.#doomed.seq !== seq || lastPart)) this.#doomed = null;
    this.#works.push(work);
    return sizeBytes;
  }

  /** The part taken in last, unless it is not played anyway. */
  withhold(): void {
    const newest = this.#works.at(-1);
    if (newest?.kind === 'part') newest.withheld = true;
  }

  /** Asks of each transaction of which nothing was sent; says how many bytes fewer wait. */
  review(openSeq: number | null, judge: (envelope: Envelope) => Skip | null): number {
    let releasedBytes = 0;
    let judged = { seq: 0, skip: null as Skip | null };
    for (let at = this.atWorkStart ? this.#cursor : this.#cursor + 1; at < this.#works.length; at++) {
      const work = this.#works[at];
      if (work?.kind !== 'part' || work.failed !== null || work.seq === openSeq) continue;
      const { seq, place, envelope } = work;
      if (judged.seq !== seq) judged = { seq, skip: envelope.part === 0 ? judge(envelope) : null };
      const { skip } = judged;
      if (skip === null) continue;
      this.#works[at] = skippedWork(place, envelope, skip);
      this.#onSkipped(envelope);
      releasedBytes += work.sizeBytes - SKIPPED_BYTES;
      this.#skipping = envelope.lastPart ? null : { seq, skip };
    }
    return releasedBytes;
  }

  /** Takes in what could not be taken in, unless it is here already. */
  takeFailed({ place, envelope, sizeBytes }: Extract<LaneInput, { kind: 'envelope' }>, reason: FailedReason): void {
    if (this.#works.some((work) => work.place.offset === place.offset && work.place.index === place.index)) return;
    this.#works.push({ ...partWork(place, { ...envelope, exchanges: [] }, sizeBytes), envelope, failed: reason });
  }

  /** Everything that is not reported, the rest of it failed; nothing is left. */
  giveUp(reason: FailedReason): readonly Work[] {
    const works = this.#works;
    works.forEach((work, at) => {
      if (work.kind !== 'part') return;
      if (at >= this.#cursor || work.finishedPieces < work.pieces.length) work.failed ??= reason;
    });
    this.#works = [];
    return works;
  }

  takeEnd(work: EndWork): void {
    this.#works.push(work);
  }

  /** The chunk is sent. True: it was the last of its piece. */
  chunkSent(piece: Piece): boolean {
    this.#chunkAt += 1;
    if (this.#chunkAt < piece.chunks.length) return false;
    this.#chunkAt = 0;
    this.#pieceAt += 1;
    return true;
  }

  isSent(work: PartWork): boolean {
    return this.#pieceAt === work.pieces.length;
  }

  /** All of the current work is sent, or none of it will be. */
  pass(): void {
    this.#cursor += 1;
    this.rewind();
  }

  /** Whether sending has come no further than this work. */
  isNewest(work: PartWork): boolean {
    return this.current === work || (this.#works[this.#cursor - 1] === work && this.atWorkStart);
  }

  /** Goes out in the place of the piece at the cursor. */
  replacePiece(work: PartWork, piece: Piece): void {
    work.pieces[this.#pieceAt] = piece;
  }

  /** The newest work begins anew. */
  goBack(work: PartWork): void {
    if (this.current !== work) this.#cursor -= 1;
    this.rewind();
  }

  /** The connection is gone: what is at the cursor would begin anew. */
  rewind(): void {
    this.#pieceAt = 0;
    this.#chunkAt = 0;
  }

  /** The oldest work, if it can be reported: failed, skipped, or sent and answered to its end; or the session's end. */
  reportable(): Work | null {
    const work = this.#works[0];
    if (work === undefined) return null;
    if (work.kind === 'skipped') return this.#cursor > 0 ? work : null;
    if (work.kind === 'sessionEnd' || work.failed !== null) return work;
    return this.#cursor > 0 && work.finishedPieces === work.pieces.length ? work : null;
  }

  reported(): void {
    this.#works.shift();
    if (this.#cursor > 0) this.#cursor -= 1;
  }

  clear(): void {
    this.#works = [];
  }

  /** Fails every transaction that had bytes on the connection and is not answered to its end. */
  failTouched(openSeq: number | null, reason: FailedReason): boolean {
    const begun = !this.atWorkStart;
    const touched = new Set<number>();
    if (openSeq !== null) touched.add(openSeq);
    this.#works.forEach((work, at) => {
      if (work.kind !== 'part' || work.failed !== null) return;
      if (at < this.#cursor ? work.finishedPieces < work.pieces.length : at === this.#cursor && begun)
        touched.add(work.seq);
    });
    for (const seq of touched) this.fail(seq, reason);
    return touched.size > 0;
  }

  /** Fails what is queued of the transaction and what is still to come of it. */
  fail(seq: number, reason: FailedReason): void {
    let ended = false;
    this.#works.forEach((work, at) => {
      if (work.kind !== 'part' || work.seq !== seq) return;
      if (at >= this.#cursor || work.finishedPieces < work.pieces.length) work.failed ??= reason;
      ended ||= work.envelope.lastPart;
    });
    if (!ended) this.#doomed = { seq, reason };
  }
}
