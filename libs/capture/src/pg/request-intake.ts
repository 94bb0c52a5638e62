// Takes in the client's frames: their bytes into the request log, their places into the list, their secrets out.
import { bindStatement, F, HEADER_BYTES, parseQueryStart, parseStatementName, stringEnd } from '@mirrorstream/pg-wire';
import { ByteLog } from '../byte-log.ts';
import { type ClientFrame, ClientFrames } from './client-frames.ts';
import { copyOf } from './prepared.ts';
import { marksOf, QueryMark } from './query-marks.ts';
import { redactSecrets } from './redact.ts';
import { SecretStatements } from './secret-statements.ts';

/** When a frame's first byte was sent, and what had happened by then. */
export interface SendTime {
  sentUs: number;
  afterSeq: number;
  replies: number;
}

/** How much of a statement too large to hold stays back when a part is cut, so that no secret is cut in two unseen. */
const HELD_BACK_BYTES = 1024;
/** A piece is looked at together with the end of the one before. */
const OVERLAP_BYTES = 16;
/** What is kept of a frame whose bytes are published before the server answered it: names and short texts. */
const HEAD_BYTES = 512;
const PARSE_HEAD_BYTES = 8 * 1024;
/** The count of redacted statements sits above the QueryMark bits. */
const REDACTION = 1 << 8;
const NAME_READ_BYTES = 512;
/** 'x', which redaction puts in the place of secrets. */
const BLANK = 0x78;

export const redactionsOf = (frame: ClientFrame): number => frame.marks >>> 8;
export const isSecret = (frame: ClientFrame): boolean => (frame.marks & QueryMark.secret) !== 0;

export class RequestIntake {
  readonly log = new ByteLog();
  readonly frames = new ClientFrames();
  /** Some frame of the session held a secret, or used a statement that does. */
  hadSecrets = false;
  readonly #secrets = new SecretStatements();
  // Frames of the chunk in hand that are not copied yet: they go in one piece.
  #run: Uint8Array | null = null;
  #runStart = 0;
  #runEnd = 0;

  /** One whole frame. `buffer` must stay as it is until `flush`. */
  frame(type: number, buffer: Uint8Array, start: number, end: number, time: SendTime): void {
    const from = this.#take(buffer, start, end);
    const to = from + end - start;
    if (type === F.CopyData && this.frames.joinCopyData(to, time.replies)) return;
    const frame = this.frames.push(type, from, to, time.sentUs, time.afterSeq, time.replies);
    if (type !== F.Query && type !== F.Parse) {
      if (this.hadSecrets) this.#lookForSecret(frame);
      return;
    }
    const textStart = type === F.Query ? start + HEADER_BYTES : parseQueryStart(buffer, start, end);
    const textEnd = type === F.Query ? end - 1 : stringEnd(buffer, textStart, end);
    frame.marks = marksOf(buffer, textStart, textEnd);
    if (this.#mayHoldSecret(frame)) {
      this.flush();
      this.#redact(frame, from + textStart - start, from + textEnd - start);
    } else if (this.hadSecrets && type === F.Parse) {
      this.#secrets.parsed(buffer, start, end);
    }
  }

  /** A frame too large to hold, whose body follows in pieces. */
  beginFrame(type: number, length: number, time: SendTime): void {
    this.flush();
    const from = this.log.end;
    const header = Uint8Array.of(type, length >>> 24, length >>> 16, length >>> 8, length);
    this.log.append(header, 0, HEADER_BYTES);
    const frame = this.frames.push(type, from, this.log.end, time.sentUs, time.afterSeq, time.replies);
    frame.complete = false;
  }

  framePart(buffer: Uint8Array, start: number, end: number): void {
    const frame = this.frames.last as ClientFrame;
    const { log } = this;
    log.append(buffer, start, end);
    frame.end = log.end;
    if (frame.type === F.Bind && this.hadSecrets && this.#takesSecret(frame)) this.#markSecret(frame);
    if (frame.type !== F.Query && frame.type !== F.Parse) return;
    const lookFrom = Math.max(frame.start + HEADER_BYTES, log.start, frame.end - (end - start) - OVERLAP_BYTES);
    frame.marks |= marksOf(log.buffer, log.indexOf(lookFrom), log.indexOf(frame.end));
  }

  endFrame(): void {
    const frame = this.frames.last as ClientFrame;
    frame.complete = true;
    if (this.#mayHoldSecret(frame)) this.#redactLarge(frame);
    if (frame.type === F.Bind && isSecret(frame)) this.#lookForSecret(frame);
  }

  /** Copies what is pending of the chunk in hand. */
  flush(): void {
    const run = this.#run;
    if (run === null) return;
    this.#run = null;
    this.log.append(run, this.#runStart, this.#runEnd);
  }

  /**
   * Makes ready to publish everything before the end of frame `index` and returns how far that may go: a large statement still coming
   * in holds its last bytes back. Frames the server has not answered keep their beginning.
   */
  prepareCut(index: number): number {
    const last = this.frames.at(index);
    let to = last.end;
    // A parameter that is to go must be whole first.
    if (!last.complete && last.type === F.Bind && isSecret(last)) to = Math.max(this.log.start, last.start);
    else if (!last.complete && (last.type === F.Query || last.type === F.Parse)) {
      if (this.#mayHoldSecret(last)) this.#redactLarge(last);
      to = Math.max(this.log.start, to - HELD_BACK_BYTES);
    }
    for (let i = Math.max(0, this.frames.cursor - 1); i <= index; i++) {
      const frame = this.frames.at(i);
      if (frame.head !== null || frame.start < this.log.start || !needsHead(frame.type)) continue;
      const most = frame.type === F.Parse ? PARSE_HEAD_BYTES : HEAD_BYTES;
      this.frames.keepHead(frame, copyOf(this.log.view(frame.start, Math.min(frame.end, frame.start + most))));
    }
    return to;
  }

  clear(): void {
    this.#run = null;
    this.frames.clear();
    this.log.clear();
  }

  /** The frame's bytes, or its beginning, or null. A view: valid until the next append. */
  bytesOf(frame: ClientFrame): Uint8Array | null {
    return frame.start >= this.log.start ? this.log.view(frame.start, frame.end) : frame.head;
  }

  /** Offset that the frame will have in the log. */
  #take(buffer: Uint8Array, start: number, end: number): number {
    if (this.#run === buffer && this.#runEnd === start) {
      const from = this.log.end + this.#runEnd - this.#runStart;
      this.#runEnd = end;
      return from;
    }
    this.flush();
    this.#run = buffer;
    this.#runStart = start;
    this.#runEnd = end;
    return this.log.end;
  }

  #redactLarge(frame: ClientFrame): void {
    const from = Math.max(frame.start + HEADER_BYTES, this.log.start);
    if (from === frame.start + HEADER_BYTES) this.#redact(frame, from, frame.end);
    else this.#blankRest(frame, from);
  }

  /**
   * What precedes is published already. Whether this begins within a literal, a comment, a password or beside a template nobody knows
   * any more: all of the text goes.
   */
  #blankRest(frame: ClientFrame, from: number): void {
    const { log } = this;
    const [start, end] = [log.indexOf(from), log.indexOf(frame.end)];
    const textEnd = stringEnd(log.buffer, start, end);
    log.buffer.fill(BLANK, start, textEnd < 0 ? end : textEnd);
    frame.marks += REDACTION;
    this.#markSecret(frame);
    if (frame.type === F.Parse && frame.head !== null)
      this.#secrets.add(parseStatementName(frame.head, 0, frame.head.length));
  }

  #mayHoldSecret({ marks }: ClientFrame): boolean {
    return (marks & (this.hadSecrets ? QueryMark.password | QueryMark.executes : QueryMark.password)) !== 0;
  }

  #redact(frame: ClientFrame, from: number, to: number): void {
    const { log } = this;
    const secrets = this.#secrets;
    const isSecretName = (name: string): boolean => secrets.has(name);
    const found = redactSecrets(log.buffer, log.indexOf(from), log.indexOf(to), { isSecretName });
    const { redactions, parameters, prepares } = found;
    frame.marks += REDACTION * redactions;
    if (redactions > 0 || parameters) this.#markSecret(frame);
    if (prepares !== null) secrets.add(prepares);
    if (frame.type !== F.Parse || frame.start < log.start) return;
    const bytes = log.view(frame.start, frame.end);
    if (isSecret(frame)) secrets.add(parseStatementName(bytes, 0, bytes.length));
    else secrets.parsed(bytes, 0, bytes.length);
  }

  /** A Bind to a statement that takes a secret, or the Execute of such a portal. */
  #lookForSecret(frame: ClientFrame): void {
    if (frame.type !== F.Bind && frame.type !== F.Execute) return;
    this.flush();
    if (frame.start < this.log.start) return;
    const { secret, redacted } = this.#secrets.look(frame.type, this.log.view(frame.start, frame.end));
    if (!secret) return;
    this.#markSecret(frame);
    if (redacted > 0) frame.marks += REDACTION;
  }

  #markSecret(frame: ClientFrame): void {
    frame.marks |= QueryMark.secret;
    this.hadSecrets = true;
  }

  #takesSecret(frame: ClientFrame): boolean {
    const { log } = this;
    if (frame.start < log.start || isSecret(frame)) return false;
    const bytes = log.view(frame.start, Math.min(frame.end, frame.start + NAME_READ_BYTES));
    return this.#secrets.has(bindStatement(bytes, 0, bytes.length));
  }
}

function needsHead(type: number): boolean {
  switch (type) {
    case F.Query:
    case F.Parse:
    case F.Bind:
    case F.Describe:
    case F.Execute:
    case F.Close:
      return true;
    default:
      return false;
  }
}
