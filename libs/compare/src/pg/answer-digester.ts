// Reduces the backend frames of one exchange to observations, one per statement, in one pass and constant memory.
//
// A statement ends at CommandComplete, EmptyQueryResponse, PortalSuspended, ErrorResponse or FunctionCallResponse. DataRow and CopyData
// out before it are its rows; the last RowDescription or CopyOutResponse before it gives its columns (NoData takes them back). Notices,
// notifications and parameter changes are not part of an answer. Row boundaries count: each row is hashed for itself, with its length
// and the length prefixes that tell NULL from the empty value.
import type { ObservationDraft } from '@mirrorstream/envelope';
import { StatementEnd } from '@mirrorstream/envelope';
import { ByteHasher, RowSetHash } from '../byte-hash.ts';
import { hashRowDescription } from './columns-digest.ts';
import { ShortTexts } from './short-text.ts';

// Backend type bytes as literals: they are the labels of the hot switch.
const DATA_ROW = 0x44;
const COPY_DATA = 0x64;
const COMMAND_COMPLETE = 0x43;
const ROW_DESCRIPTION = 0x54;
const READY_FOR_QUERY = 0x5a;
const ERROR_RESPONSE = 0x45;
const EMPTY_QUERY_RESPONSE = 0x49;
const PORTAL_SUSPENDED = 0x73;
const NO_DATA = 0x6e;
const COPY_OUT_RESPONSE = 0x48;
const FUNCTION_CALL_RESPONSE = 0x56;

const HEADER_BYTES = 5;
/** How much of a message's body is looked at. A RowDescription of 1 664 columns (PostgreSQL's most) takes at most 137 KB. */
const COLUMNS_LIMIT_BYTES = 1024 * 1024;
const ERROR_LIMIT_BYTES = 64 * 1024;
const SMALL_LIMIT_BYTES = 1024;
const FIELD_SEVERITY_LOCALISED = 0x53; // S
const FIELD_SEVERITY = 0x56; // V
const FIELD_SQL_STATE = 0x43; // C

export interface AnswerDigesterOptions {
  /** false: only tags, counts and SQLSTATE; nothing is hashed. Default true. */
  readonly digest?: boolean;
  /** Statements after so many get no observation. Default: all get one. */
  readonly maxObservations?: number;
}

export class AnswerDigester {
  readyStatus: '' | 'I' | 'T' | 'E' = '';
  private readonly digest: boolean;
  private readonly maxObservations: number;
  private readonly hasher = new ByteHasher();
  private readonly set = new RowSetHash();
  private readonly texts = new ShortTexts();
  private list: ObservationDraft[] = [];
  private rows = 0;
  private firstRowUs = 0;
  private sizeBytes = 0;
  private columnsHi = 0;
  private columnsLo = 0;
  private columnCount = 0;
  // The frame that comes in pieces.
  private pieceType = 0;
  private pieceHashed = false;
  private held: Uint8Array = new Uint8Array(0);
  private heldBytes = 0;
  private heldLimit = 0;

  constructor(options: AnswerDigesterOptions = {}) {
    this.digest = options.digest ?? true;
    this.maxObservations = options.maxObservations ?? Number.POSITIVE_INFINITY;
  }

  /** Forgets the exchange. The observations handed out before belong to who asked for them. */
  reset(): void {
    this.readyStatus = '';
    this.list = [];
    this.pieceType = 0;
    this.heldBytes = 0;
    this.resetStatement();
  }

  /** Observations so far. Skipped and unanswered statements are for the caller to add: the answer does not show them. */
  observations(): readonly ObservationDraft[] {
    return this.list;
  }

  /** One complete frame: buf[start] is its type byte, `end` lies after it. atUs: µs since the exchange was sent. */
  frame(buf: Uint8Array, start: number, end: number, atUs: number): void {
    const type = buf[start] as number;
    const body = start + HEADER_BYTES;
    if (type === DATA_ROW || type === COPY_DATA) {
      if (this.rows === 0) this.firstRowUs = atUs;
      this.rows += 1;
      this.addHashed(buf, body, end);
      return;
    }
    if (type === FUNCTION_CALL_RESPONSE) this.addHashed(buf, body, end);
    if (type === ROW_DESCRIPTION && end - body > COLUMNS_LIMIT_BYTES) this.setOversizedColumns(buf, body, end);
    else this.message(type, buf, body, Math.min(end, body + limitOf(type)), atUs);
  }

  /** A frame too large to hold: its type and the length of its body first, then the body in pieces, then finishFrame. */
  begin(type: number, bodyBytes: number): void {
    const isRow = type === DATA_ROW || type === COPY_DATA;
    this.pieceType = type;
    this.pieceHashed =
      isRow || type === FUNCTION_CALL_RESPONSE || (type === ROW_DESCRIPTION && bodyBytes > COLUMNS_LIMIT_BYTES);
    this.heldBytes = 0;
    this.heldLimit = this.pieceHashed ? 0 : Math.min(limitOf(type), bodyBytes);
    if (this.held.length < this.heldLimit) this.held = new Uint8Array(this.heldLimit);
    if (this.pieceHashed && this.digest) this.hasher.begin();
    if (isRow) this.rows += 1;
    if (isRow || type === FUNCTION_CALL_RESPONSE) this.sizeBytes += bodyBytes;
  }

  part(buf: Uint8Array, start: number, end: number): void {
    if (this.pieceHashed) {
      if (this.digest) this.hasher.update(buf, start, end);
      return;
    }
    const taken = Math.min(end - start, this.heldLimit - this.heldBytes);
    if (taken <= 0) return;
    this.held.set(buf.subarray(start, start + taken), this.heldBytes);
    this.heldBytes += taken;
  }

  finishFrame(atUs: number): void {
    const type = this.pieceType;
    this.pieceType = 0;
    if (this.rows === 1 && (type === DATA_ROW || type === COPY_DATA)) this.firstRowUs = atUs;
    if (this.pieceHashed && this.digest) {
      this.hasher.finish();
      if (type === ROW_DESCRIPTION) this.takeColumns(0);
      else this.set.add(this.hasher.hi, this.hasher.lo);
    }
    if (!this.pieceHashed || type === FUNCTION_CALL_RESPONSE) this.message(type, this.held, 0, this.heldBytes, atUs);
    this.heldBytes = 0;
    if (this.held.length > ERROR_LIMIT_BYTES) this.held = new Uint8Array(0);
  }

  private addHashed(buf: Uint8Array, start: number, end: number): void {
    this.sizeBytes += end - start;
    if (!this.digest) return;
    const hasher = this.hasher;
    hasher.begin();
    hasher.update(buf, start, end);
    hasher.finish();
    this.set.add(hasher.hi, hasher.lo);
  }

  private setOversizedColumns(buf: Uint8Array, start: number, end: number): void {
    if (!this.digest) return;
    this.hasher.begin();
    this.hasher.update(buf, start, end);
    this.hasher.finish();
    this.takeColumns(0);
  }

  /** All frames but rows; [start, end) is the body as far as it is looked at. */
  private message(type: number, buf: Uint8Array, start: number, end: number, atUs: number): void {
    switch (type) {
      case COMMAND_COMPLETE:
        this.endStatement(StatementEnd.COMPLETE, this.texts.read(buf, start, textEnd(buf, start, end)), atUs);
        break;
      case EMPTY_QUERY_RESPONSE:
        this.endStatement(StatementEnd.EMPTY, '', atUs);
        break;
      case PORTAL_SUSPENDED:
        this.endStatement(StatementEnd.SUSPENDED, '', atUs);
        break;
      case FUNCTION_CALL_RESPONSE:
        this.endStatement(StatementEnd.FUNCTION, '', atUs);
        break;
      case ERROR_RESPONSE:
        this.endWithError(buf, start, end, atUs);
        break;
      case ROW_DESCRIPTION:
        if (this.digest) hashRowDescription(this.hasher, buf, start, end);
        this.takeColumns(countAt(buf, start, end));
        break;
      case COPY_OUT_RESPONSE:
        if (this.digest) this.hashWhole(buf, start, end);
        this.takeColumns(countAt(buf, start + 1, end));
        break;
      case NO_DATA:
        this.clearColumns();
        break;
      case READY_FOR_QUERY:
        this.readyStatus = statusOf(start < end ? (buf[start] as number) : 0);
        break;
      default:
    }
  }

  private hashWhole(buf: Uint8Array, start: number, end: number): void {
    this.hasher.begin();
    this.hasher.update(buf, start, end);
    this.hasher.finish();
  }

  private takeColumns(count: number): void {
    this.columnsHi = this.digest ? this.hasher.hi : 0;
    this.columnsLo = this.digest ? this.hasher.lo : 0;
    this.columnCount = count;
  }

  private clearColumns(): void {
    this.columnsHi = 0;
    this.columnsLo = 0;
    this.columnCount = 0;
  }

  private endWithError(buf: Uint8Array, start: number, end: number, atUs: number): void {
    let severity = '';
    let severityLocalised = '';
    let sqlState = '';
    let concerned = 0;
    if (this.digest) this.hasher.begin();
    let at = start;
    while (at < end && buf[at] !== 0) {
      const field = buf[at] as number;
      const close = textEnd(buf, at + 1, end);
      if (field === FIELD_SEVERITY) severity = this.texts.read(buf, at + 1, close);
      else if (field === FIELD_SQL_STATE) sqlState = this.texts.read(buf, at + 1, close);
      else if (field === FIELD_SEVERITY_LOCALISED) severityLocalised = this.texts.read(buf, at + 1, close);
      else if (this.digest && namesConcerned(field)) {
        this.hasher.update(buf, at, Math.min(close + 1, end));
        concerned += 1;
      }
      at = close + 1;
    }
    const observation = this.endStatement(StatementEnd.ERROR, '', atUs);
    observation.sqlState = sqlState;
    observation.severity = severity === '' ? severityLocalised : severity;
    if (concerned === 0) return;
    this.hasher.finish();
    observation.errorHi = this.hasher.hi;
    observation.errorLo = this.hasher.lo;
  }

  private endStatement(end: StatementEnd, commandTag: string, atUs: number): ObservationDraft {
    const set = this.set;
    const observation: ObservationDraft = {
      end,
      commandTag,
      rows: this.rows,
      sqlState: '',
      severity: '',
      sizeBytes: this.sizeBytes,
      digested: this.digest,
      orderedHi: set.orderedHi,
      orderedLo: set.orderedLo,
      multisetHi: set.multisetHi,
      multisetLo: set.multisetLo,
      columnsHi: this.columnsHi,
      columnsLo: this.columnsLo,
      columnCount: this.columnCount,
      latencyUs: wholeUs(atUs),
      firstRowUs: wholeUs(this.firstRowUs),
      errorHi: 0,
      errorLo: 0,
    };
    if (this.list.length < this.maxObservations) this.list.push(observation);
    this.resetStatement();
    return observation;
  }

  private resetStatement(): void {
    this.rows = 0;
    this.firstRowUs = 0;
    this.sizeBytes = 0;
    this.set.reset();
    this.clearColumns();
  }
}

/** Schema, table, column, data type, constraint: s t c d n. */
function namesConcerned(field: number): boolean {
  return field === 0x73 || field === 0x74 || field === 0x63 || field === 0x64 || field === 0x6e;
}

function wholeUs(atUs: number): number {
  return atUs > 0 ? Math.trunc(atUs) : 0;
}

function limitOf(type: number): number {
  if (type === ROW_DESCRIPTION) return COLUMNS_LIMIT_BYTES;
  return type === ERROR_RESPONSE || type === COPY_OUT_RESPONSE ? ERROR_LIMIT_BYTES : SMALL_LIMIT_BYTES;
}

/** Where the NUL-terminated text that begins at `start` ends, at most `end`. */
function textEnd(buf: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && buf[at] !== 0) at += 1;
  return at;
}

function countAt(buf: Uint8Array, at: number, end: number): number {
  return at + 2 <= end ? ((buf[at] as number) << 8) | (buf[at + 1] as number) : 0;
}

function statusOf(byte: number): '' | 'I' | 'T' | 'E' {
  if (byte === 0x49) return 'I';
  if (byte === 0x54) return 'T';
  return byte === 0x45 ? 'E' : '';
}
