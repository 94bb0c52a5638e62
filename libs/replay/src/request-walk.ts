// Walks the frontend frames that a lane sends, whatever pieces they come in: tells the ledger, and names the SQL of each statement.
import {
  bindPortal,
  bindStatement,
  closeName,
  closeTarget,
  decodeText,
  executePortal,
  F,
  FrameEvent,
  FrameSplitter,
  HEADER_BYTES,
  parseQueryStart,
  parseStatementName,
  stringEnd,
  TargetByte,
} from '@mirrorstream/pg-wire';
import { SQL_CAP_BYTES, StatementTable } from './statement-table.ts';

/** Longer frames are streamed: their text is cut anyway. */
const MAX_FRAME_BYTES = 64 * 1024;

/** What the statements of one exchange are called, in the order in which they answer. */
export interface ExchangeTexts {
  /** One per Query, Execute and FunctionCall. */
  readonly executed: string[];
  /** Of the last Parse: what failed when nothing was executed. */
  parsed: string;
}

/** The text of the exchange's n-th answer. Several statements of one Query share its text: it is not cut apart here. */
export function textOfStatement(texts: ExchangeTexts, statement: number): string {
  return texts.executed[Math.min(statement, texts.executed.length - 1)] ?? texts.parsed;
}

export class RequestWalk {
  readonly #splitter = new FrameSplitter({ maxFrameBytes: MAX_FRAME_BYTES });
  readonly #table: StatementTable;
  readonly #capBytes: number;
  #longType = 0;

  constructor(table: StatementTable, capBytes = SQL_CAP_BYTES) {
    this.#table = table;
    this.#capBytes = capBytes;
  }

  /** A new connection begins at a frame border. */
  reset(): void {
    this.#splitter.reset();
    this.#longType = 0;
  }

  /** The bytes [start, end) go out next. `onFrame` hears the type of each frame when its last byte is among them. */
  walk(bytes: Uint8Array, start: number, end: number, texts: ExchangeTexts, onFrame: (type: number) => void): void {
    const splitter = this.#splitter;
    splitter.feed(bytes, start, end);
    for (let event = splitter.next(); event !== FrameEvent.needMore; event = splitter.next()) {
      switch (event) {
        case FrameEvent.frame:
          this.#note(splitter.type, splitter.buffer, splitter.start, splitter.end, texts);
          onFrame(splitter.type);
          break;
        case FrameEvent.frameBegin:
          this.#longType = splitter.type;
          break;
        case FrameEvent.framePart:
          this.#noteLong(splitter.buffer, splitter.start, splitter.end, texts);
          break;
        case FrameEvent.frameEnd:
          onFrame(splitter.type);
          break;
        case FrameEvent.malformed:
          return;
        default:
          event satisfies never;
      }
    }
  }

  #note(type: number, buffer: Uint8Array, start: number, end: number, texts: ExchangeTexts): void {
    switch (type) {
      case F.Query:
        this.#table.closeStatement('');
        texts.executed.push(textAt(buffer, start + HEADER_BYTES, end, this.#capBytes));
        return;
      case F.Parse: {
        texts.parsed = textAt(buffer, parseQueryStart(buffer, start, end), end, this.#capBytes);
        this.#table.parse(parseStatementName(buffer, start, end), texts.parsed);
        return;
      }
      case F.Bind:
        this.#table.bind(bindPortal(buffer, start, end), bindStatement(buffer, start, end));
        return;
      case F.Execute:
        texts.executed.push(this.#table.textOfPortal(executePortal(buffer, start, end)));
        return;
      case F.FunctionCall:
        texts.executed.push('');
        return;
      case F.Close:
        if (closeTarget(buffer, start, end) === TargetByte.Portal)
          this.#table.closePortal(closeName(buffer, start, end));
        else this.#table.closeStatement(closeName(buffer, start, end));
        return;
      default:
    }
  }

  /** The first piece of a long frame has more than enough for names and the capped text. */
  #noteLong(buffer: Uint8Array, start: number, end: number, texts: ExchangeTexts): void {
    const type = this.#longType;
    this.#longType = 0;
    if (type === 0) return;
    // The peeks want the header in front; a body's first bytes are at `start`, so look HEADER_BYTES before it.
    this.#note(type, buffer, start - HEADER_BYTES, end, texts);
  }
}

/** The String that begins at `start`, cut at the cap. */
function textAt(buffer: Uint8Array, start: number, end: number, capBytes: number): string {
  const limit = Math.min(end, start + capBytes);
  const zero = stringEnd(buffer, start, limit);
  const text = decodeText(buffer, start, zero < 0 ? limit : zero);
  // Bytes that are no UTF-8 come as lone surrogates: at the end a character that the cap cut in half, elsewhere another encoding.
  return (zero < 0 ? text.replace(/[\udc80-\udcff]{1,3}$/, '') : text).toWellFormed();
}

/** The texts of a whole request at once. */
export function exchangeStatements(
  request: Uint8Array,
  table = new StatementTable(),
  capBytes = SQL_CAP_BYTES,
): readonly string[] {
  const texts: ExchangeTexts = { executed: [], parsed: '' };
  new RequestWalk(table, capBytes).walk(request, 0, request.length, texts, () => {});
  return texts.executed.length === 0 && texts.parsed !== '' ? [texts.parsed] : texts.executed;
}
