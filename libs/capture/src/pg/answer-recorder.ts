// Records production's answer to the exchange under way: observations always, the bytes up to the cap, digests above it.
import { AnswerDigester } from '@mirrorstream/compare';
import type { ObservationDraft } from '@mirrorstream/envelope';
import { AnswerStorage, StatementEnd } from '@mirrorstream/envelope';
import { B, frameEndAt, HEADER_BYTES, uint16At } from '@mirrorstream/pg-wire';
import { ByteLog } from '../byte-log.ts';
import type { AnswerRule, CaptureLimits } from '../limits.ts';
import { redactMessage } from './redact.ts';

/** An answer is never cut in two, so it must fit a part beside its observations. */
const MOST_OF_PART = 0.4;

const storageOf = { none: AnswerStorage.NONE, digest: AnswerStorage.DIGEST, full: AnswerStorage.FULL } as const;

const MAX_KEPT_ROW_BYTES = 4 * 1024;

const quotesStatements = (type: number): boolean => type === B.ErrorResponse || type === B.NoticeResponse;

export class AnswerRecorder {
  /** Answers of the transaction's finished exchanges, and of the one under way from `rawFrom` on. */
  readonly log = new ByteLog();
  rawFrom = 0;
  storage: AnswerStorage = AnswerStorage.NONE;
  sizeBytes = 0;
  /** Monotonic time of the first reply's first byte; 0: none yet. */
  firstReplyAtUs = 0;
  observations: ObservationDraft[] = [];
  /** Keeps the last row of the statement under way in `row`, if it is short: set for statements whose result changes the session. */
  keepRow = false;
  row: Uint8Array | null = null;
  readonly #limits: CaptureLimits;
  #capBytes = 0;
  #next: AnswerRule;
  #digester: AnswerDigester | null = null;
  #sentAtUs = 0;
  // The frame that comes in pieces.
  #largeType = 0;
  #largeBytes = 0;
  // The statement under way.
  #rows = 0;
  #firstRowAtUs = 0;
  #rowBytes = 0;
  #columnCount = 0;
  // Frames of the chunk in hand that are not copied yet: they go in one piece.
  #run: Uint8Array | null = null;
  #runStart = 0;
  #runEnd = 0;

  constructor(limits: CaptureLimits) {
    this.#limits = limits;
    this.#next = limits;
    this.begin(0);
  }

  /** From the next exchange on. */
  keep(rule: AnswerRule): void {
    this.#next = rule;
  }

  /** A new exchange, sent at `sentAtUs`. The finished one's observations belong to whoever took them. */
  begin(sentAtUs: number): void {
    this.flush();
    this.rawFrom = this.log.end;
    this.#capBytes = Math.min(this.#next.answerCapBytes, this.#limits.partBytes * MOST_OF_PART);
    this.storage = storageOf[this.#next.answers];
    this.sizeBytes = 0;
    this.firstReplyAtUs = 0;
    this.#sentAtUs = sentAtUs;
    this.keepRow = false;
    if (this.observations.length > 0) this.observations = [];
    this.#resetStatement();
    if (this.storage === AnswerStorage.DIGEST) this.#openDigester();
    else this.#digester = null;
  }

  /** Bytes of the answer that are kept so far. */
  get rawTo(): number {
    return this.log.end;
  }

  /** Forgets everything, the finished exchanges too. */
  clear(): void {
    this.#run = null;
    this.log.clear();
    this.#digester = null;
    this.begin(0);
  }

  /** One whole backend frame. `buffer` must stay as it is until `flush`. */
  frame(type: number, buffer: Uint8Array, start: number, end: number, atUs: number): void {
    this.sizeBytes += end - start;
    this.#look(type, buffer, start, end, atUs);
    if (this.storage === AnswerStorage.FULL) {
      if (this.sizeBytes > this.#capBytes) this.#spill();
      else {
        this.#keep(buffer, start, end);
        if (quotesStatements(type)) this.#redactLast(end - start);
        return;
      }
    }
    this.#digester?.frame(buffer, start, end, atUs - this.#sentAtUs);
  }

  /** A frame too large to hold: its type and length field, then its body in pieces, then its end. */
  beginFrame(type: number, length: number): void {
    this.sizeBytes += length + 1;
    this.#largeType = type;
    this.#largeBytes = length + 1;
    if (type === B.DataRow || type === B.CopyData) this.#countRow(length - 4);
    if (this.storage === AnswerStorage.FULL) {
      if (this.sizeBytes > this.#capBytes) this.#spill();
      else {
        this.flush();
        const header = Uint8Array.of(type, length >>> 24, length >>> 16, length >>> 8, length);
        this.log.append(header, 0, HEADER_BYTES);
        return;
      }
    }
    this.#digester?.begin(type, length - 4);
  }

  framePart(buffer: Uint8Array, start: number, end: number): void {
    if (this.storage === AnswerStorage.FULL) this.log.append(buffer, start, end);
    else this.#digester?.part(buffer, start, end);
  }

  endFrame(atUs: number): void {
    if (this.#rows === 1 && (this.#largeType === B.DataRow || this.#largeType === B.CopyData))
      this.#firstRowAtUs = atUs;
    if (this.storage !== AnswerStorage.FULL) this.#digester?.finishFrame(atUs - this.#sentAtUs);
    else if (quotesStatements(this.#largeType)) this.#redactLast(this.#largeBytes);
  }

  /** Copies what is pending of the chunk in hand. */
  flush(): void {
    const run = this.#run;
    if (run === null) return;
    this.#run = null;
    this.log.append(run, this.#runStart, this.#runEnd);
  }

  /** A statement ended at `atUs`. */
  observe(end: StatementEnd, commandTag: string, sqlState: string, severity: string, atUs: number): void {
    if (this.observations.length < this.#limits.maxObservations) {
      this.observations.push({
        end,
        commandTag,
        rows: this.#rows,
        sqlState,
        severity,
        sizeBytes: this.#rowBytes,
        digested: false,
        orderedHi: 0,
        orderedLo: 0,
        multisetHi: 0,
        multisetLo: 0,
        columnsHi: 0,
        columnsLo: 0,
        columnCount: this.#columnCount,
        latencyUs: atUs - this.#sentAtUs,
        firstRowUs: this.#rows > 0 ? this.#firstRowAtUs - this.#sentAtUs : 0,
        errorHi: 0,
        errorLo: 0,
      });
    }
    this.#resetStatement();
  }

  /** A statement that has no answer of its own: skipped or unanswered. */
  add(end: StatementEnd): void {
    this.#resetStatement();
    this.observe(end, '', '', '', this.#sentAtUs);
  }

  get lastFailed(): boolean {
    return this.observations.at(-1)?.end === StatementEnd.ERROR;
  }

  /** Nothing of the answer's bytes is to be kept: digests at most. */
  keepDigests(): void {
    if (this.storage === AnswerStorage.FULL) this.#spill();
  }

  /** The exchange is over: copies what is pending and brings in the digests. */
  finish(): void {
    this.flush();
    if (this.storage !== AnswerStorage.DIGEST || this.#digester === null) return;
    const digested = this.#digester.observations();
    for (let i = 0; i < this.observations.length; i++) {
      const from = digested[i];
      const to = this.observations[i] as ObservationDraft;
      if (from === undefined || from.end !== to.end || !from.digested) continue;
      to.digested = true;
      to.orderedHi = from.orderedHi;
      to.orderedLo = from.orderedLo;
      to.multisetHi = from.multisetHi;
      to.multisetLo = from.multisetLo;
      to.columnsHi = from.columnsHi;
      to.columnsLo = from.columnsLo;
      to.columnCount = from.columnCount;
      to.errorHi = from.errorHi;
      to.errorLo = from.errorLo;
    }
  }

  #resetStatement(): void {
    this.#rows = 0;
    this.#rowBytes = 0;
    this.#columnCount = 0;
    this.row = null;
  }

  #countRow(bodyBytes: number): void {
    this.#rows += 1;
    this.#rowBytes += bodyBytes;
  }

  #look(type: number, buffer: Uint8Array, start: number, end: number, atUs: number): void {
    switch (type) {
      case B.DataRow:
      case B.CopyData:
        if (this.#rows === 0) this.#firstRowAtUs = atUs;
        this.#countRow(end - start - HEADER_BYTES);
        if (this.keepRow && end - start <= MAX_KEPT_ROW_BYTES) this.row = new Uint8Array(buffer.subarray(start, end));
        return;
      case B.RowDescription:
        if (end - start >= HEADER_BYTES + 2) this.#columnCount = uint16At(buffer, start + HEADER_BYTES);
        return;
      case B.CopyOutResponse:
        if (end - start >= HEADER_BYTES + 3) this.#columnCount = uint16At(buffer, start + HEADER_BYTES + 1);
        return;
      case B.NoData:
        this.#columnCount = 0;
        return;
      default:
        return;
    }
  }

  #keep(buffer: Uint8Array, start: number, end: number): void {
    if (this.#run === buffer && this.#runEnd === start) {
      this.#runEnd = end;
      return;
    }
    this.flush();
    this.#run = buffer;
    this.#runStart = start;
    this.#runEnd = end;
  }

  /** Errors and notices quote the statement they are about: the last bytes of the log are such a frame. */
  #redactLast(sizeBytes: number): void {
    this.flush();
    const { buffer } = this.log;
    const end = this.log.indexOf(this.log.end);
    redactMessage(buffer, end - sizeBytes + HEADER_BYTES, end);
  }

  /** The answer outgrew the cap: what was kept is digested and let go. */
  #spill(): void {
    this.flush();
    this.storage = AnswerStorage.DIGEST;
    const digester = this.#openDigester();
    const { buffer } = this.log;
    const limit = this.log.indexOf(this.log.end);
    let at = this.log.indexOf(this.rawFrom);
    while (at < limit) {
      const end = frameEndAt(buffer, at, limit);
      if (end < 0) break;
      digester.frame(buffer, at, end, 0);
      at = end;
    }
    this.log.truncateTo(this.rawFrom);
  }

  #openDigester(): AnswerDigester {
    this.#digester ??= new AnswerDigester({ maxObservations: this.#limits.maxObservations });
    this.#digester.reset();
    return this.#digester;
  }
}
