// Follows a mirror's answer that is too large to keep beside production's kept one, and keeps the rows around the first that differs.
//
// Rows that are equal need not be kept: production's bytes are the mirror's. So the memory is the cap, wherever the difference lies.
// Descriptions of columns are not compared here: the numbers of tables in them differ between servers.
import { B, frameEndAt } from '@mirrorstream/pg-wire';

/** Equal rows shown before the first that differs. */
const ROWS_BEFORE = 5;
const none = new Uint8Array(0);

/** Frames of one statement of both answers: its columns, rows before the difference, and what comes from there on. */
export interface DifferenceWindow {
  readonly statement: number;
  readonly captured: Uint8Array;
  readonly replayed: Uint8Array;
  /** Rows left out before the first one. */
  readonly rowsBefore: number;
}

interface Span {
  readonly start: number;
  readonly end: number;
}

export class AnswerWindow {
  readonly #production: Buffer;
  readonly #capBytes: number;
  #at = 0;
  #statement = 0;
  #rows = 0;
  /** Of production: the last equal rows of the statement, oldest first. */
  #equal: Span[] = [];
  #capturedColumns: Span | null = null;
  #replayedColumns: Uint8Array = none;
  #state: 'following' | 'keeping' | 'full' | 'ended' | 'lost' = 'following';
  #kept: Uint8Array[] = [];
  #keptBytes = 0;

  constructor(production: Uint8Array, capBytes: number) {
    this.#production = Buffer.from(production.buffer, production.byteOffset, production.byteLength);
    this.#capBytes = capBytes;
  }

  /** One whole frame of the mirror's answer; all of them, in order. The bytes may be used again afterwards. */
  frame(buffer: Uint8Array, start: number, end: number): void {
    if (this.#state === 'following') this.#follow(buffer, start, end);
    else if (this.#state === 'keeping') this.#keep(buffer, start, end);
  }

  /** Whole frames, one after the other. */
  frames(bytes: Uint8Array): void {
    for (let start = 0, end = 0; start < bytes.length; start = end) {
      end = frameEndAt(bytes, start, bytes.length);
      if (end < 0) return;
      this.frame(bytes, start, end);
    }
  }

  /** A frame came that is too large to be looked at: what comes after it has no known counterpart. */
  lose(): void {
    if (this.#state === 'following') this.#state = 'lost';
    else if (this.#state === 'keeping') this.#state = 'full';
  }

  /** null: no row differed as far as could be followed. */
  difference(): DifferenceWindow | null {
    if (this.#state === 'following' || this.#state === 'lost') return null;
    const before = this.#equal.map(({ start, end }) => this.#production.subarray(start, end));
    const columns = this.#capturedColumns;
    const described = columns === null ? none : this.#production.subarray(columns.start, columns.end);
    return {
      statement: this.#statement,
      captured: Buffer.concat([described, ...before, ...this.#productionFrom(this.#at)]),
      replayed: Buffer.concat([this.#replayedColumns, ...before, ...this.#kept]),
      rowsBefore: this.#rows - before.length,
    };
  }

  #follow(buffer: Uint8Array, start: number, end: number): void {
    const type = buffer[start] as number;
    if (type === B.RowDescription || type === B.CopyOutResponse) this.#replayedColumns = buffer.slice(start, end);
    const isRow = type === B.DataRow || type === B.CopyData;
    const ends = endsStatement(type);
    if (!isRow && !ends) return;
    const next = this.#nextOfProduction();
    if (next === null) {
      this.#differ(buffer, start, end);
      return;
    }
    const nextIsRow = this.#isRow(next);
    if (isRow && nextIsRow && this.#isSame(next, buffer, start, end)) {
      this.#rows += 1;
      this.#equal.push(next);
      if (this.#equal.length > ROWS_BEFORE) this.#equal.shift();
      this.#at = next.end;
    } else if (isRow || nextIsRow) {
      this.#at = next.start;
      this.#differ(buffer, start, end);
    } else {
      this.#at = next.end;
      this.#statement += 1;
      this.#rows = 0;
      this.#equal = [];
      this.#capturedColumns = null;
      this.#replayedColumns = none;
    }
  }

  #differ(buffer: Uint8Array, start: number, end: number): void {
    this.#state = 'keeping';
    this.#keep(buffer, start, end);
  }

  #keep(buffer: Uint8Array, start: number, end: number): void {
    if (this.#keptBytes + end - start > this.#capBytes) {
      this.#state = 'full';
      return;
    }
    this.#keptBytes += end - start;
    this.#kept.push(buffer.slice(start, end));
    if (endsStatement(buffer[start] as number)) this.#state = 'ended';
  }

  /** The next row or end of a statement; null: production's answer ends before. */
  #nextOfProduction(): Span | null {
    for (let start = this.#at, end = 0; start < this.#production.length; start = end) {
      end = frameEndAt(this.#production, start, this.#production.length);
      if (end < 0) return null;
      const type = this.#production[start] as number;
      if (type === B.RowDescription || type === B.CopyOutResponse) this.#capturedColumns = { start, end };
      if (type === B.DataRow || type === B.CopyData || endsStatement(type)) return { start, end };
    }
    return null;
  }

  #isRow({ start }: Span): boolean {
    const type = this.#production[start];
    return type === B.DataRow || type === B.CopyData;
  }

  #isSame(span: Span, buffer: Uint8Array, start: number, end: number): boolean {
    if (span.end - span.start !== end - start) return false;
    return this.#production.compare(buffer, start, end, span.start, span.end) === 0;
  }

  /** Whole frames to the end of the statement, up to the cap. */
  *#productionFrom(at: number): Generator<Uint8Array> {
    let sizeBytes = 0;
    for (let start = at, end = 0; start < this.#production.length; start = end) {
      end = frameEndAt(this.#production, start, this.#production.length);
      sizeBytes += end - start;
      if (end < 0 || sizeBytes > this.#capBytes) return;
      yield this.#production.subarray(start, end);
      if (endsStatement(this.#production[start] as number)) return;
    }
  }
}

function endsStatement(type: number): boolean {
  return (
    type === B.CommandComplete ||
    type === B.EmptyQueryResponse ||
    type === B.PortalSuspended ||
    type === B.ErrorResponse ||
    type === B.FunctionCallResponse
  );
}
