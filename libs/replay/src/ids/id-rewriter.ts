// Follows the frames that a session sends, and puts the mirror's ids where production's stand. What has none goes out as it came.
import {
  type Bind,
  closeName,
  closeTarget,
  decodeFrontend,
  encodeFrontend,
  executePortal,
  F,
  FRAME_INCOMPLETE,
  frameEndAt,
  HEADER_BYTES,
  parseQueryStart,
  queryText,
  stringEnd,
  TargetByte,
  WireWriter,
} from '@mirrorstream/pg-wire';
import type { IdMap } from './id-map.ts';
import type { StatementPlan, TextPlan, TextPlans } from './id-mapping.ts';
import { replaceText, replaceValue } from './id-values.ts';

/** One Query's statement, or one Execute. */
export interface Execution {
  readonly plan: StatementPlan | null;
  /** Of the answer's columns; null: as the answer says. */
  readonly formats: readonly number[] | null;
  /** It names an id that should be known here, and is not. */
  readonly unmapped: boolean;
}

/** What is known of one exchange's request. */
export interface ExchangeIds {
  readonly executions: Execution[];
  rewritten: number;
}

interface Portal {
  readonly plan: StatementPlan | null;
  readonly formats: readonly number[];
  readonly unmapped: boolean;
}

interface Statement {
  readonly plan: TextPlan | null;
  /** As its Parse declared them; 0, or none: as the server finds. */
  readonly types: readonly number[];
}

const MAX_NAMES = 4096;
/** int8, int2, int4, uuid and arrays of them. */
const idTypes: ReadonlySet<number> = new Set([0, 20, 21, 23, 2950, 1016, 1005, 1007, 2951]);

export class IdRewriter {
  readonly #map: IdMap;
  readonly #scope: string;
  readonly #statements = new Map<string, Statement>();
  readonly #portals = new Map<string, Portal>();
  readonly #writer = new WireWriter();
  #plans: TextPlans | null = null;
  #prefix = '';
  /** Of a frame that began in an earlier chunk. */
  #restBytes = 0;
  /** A chunk ended in a frame's header: what follows is not followed until the exchange ends. */
  #lost = false;
  #unmapped = false;

  constructor(map: IdMap, scope: string) {
    this.#map = map;
    this.#scope = scope;
  }

  /** A new connection, on which no name is known. `prefix` tells one database's key spaces from another's. */
  connected(plans: TextPlans | null, prefix: string): void {
    this.#plans = plans;
    this.#prefix = prefix;
    this.#statements.clear();
    this.#portals.clear();
    this.begin();
  }

  /** The next chunk begins with a frame. */
  begin(): void {
    this.#restBytes = 0;
    this.#lost = false;
  }

  /** What goes out instead of [from, to) of the bytes; null: they do. */
  outgoing(bytes: Uint8Array, from: number, to: number, ids: ExchangeIds | null): Uint8Array | null {
    if (this.#plans === null || this.#lost) return null;
    const writer = this.#writer;
    writer.clear();
    // Up to where it is in the writer.
    let taken = from;
    let changed = 0;
    let at = from + Math.min(this.#restBytes, to - from);
    this.#restBytes -= at - from;
    while (at < to) {
      const end = frameEndAt(bytes, at, to);
      if (end < 0) {
        this.#pass(bytes, at, to);
        break;
      }
      const before = writer.sizeBytes;
      const replaced = this.#frame(bytes, at, end, ids, () => writer.bytes(bytes.subarray(taken, at)));
      if (replaced > 0) {
        changed += replaced;
        taken = end;
      } else writer.truncate(before);
      at = end;
    }
    if (changed === 0) return null;
    this.#map.counts.rewritten += changed;
    if (ids !== null) ids.rewritten += changed;
    writer.bytes(bytes.subarray(taken, to));
    return writer.take();
  }

  /** A frame that goes on in a later chunk. */
  #pass(bytes: Uint8Array, at: number, to: number): void {
    if (frameEndAt(bytes, at, to) !== FRAME_INCOMPLETE || to - at < HEADER_BYTES) {
      this.#lost = true;
      return;
    }
    const length = new DataView(bytes.buffer, bytes.byteOffset).getInt32(at + 1);
    this.#restBytes = length + 1 - (to - at);
  }

  /** How many ids were replaced: then the frame is in the writer, behind what `before` puts there. */
  #frame(bytes: Uint8Array, start: number, end: number, ids: ExchangeIds | null, before: () => void): number {
    switch (bytes[start]) {
      case F.Query:
        return this.#query(bytes, start, end, ids, before);
      case F.Parse:
        return this.#parse(bytes, start, end, before);
      case F.Bind:
        return this.#bind(bytes, start, end, before);
      case F.Execute: {
        const portal = this.#portals.get(executePortal(bytes, start, end));
        ids?.executions.push(portal ?? { plan: null, formats: null, unmapped: false });
        return 0;
      }
      case F.FunctionCall:
        ids?.executions.push({ plan: null, formats: null, unmapped: false });
        return 0;
      case F.Close: {
        const names = closeTarget(bytes, start, end) === TargetByte.Portal ? this.#portals : this.#statements;
        names.delete(closeName(bytes, start, end));
        return 0;
      }
      default:
        return 0;
    }
  }

  #query(bytes: Uint8Array, start: number, end: number, ids: ExchangeIds | null, before: () => void): number {
    this.#statements.delete('');
    this.#unmapped = false;
    const sql = queryText(bytes, start, end);
    const plan = this.#planOf(sql);
    const text = plan === null ? null : this.#rewrittenText(bytes, start + HEADER_BYTES, end, plan);
    const statements: readonly (StatementPlan | null)[] =
      plan === null || plan.statements.length === 0 ? [null] : plan.statements;
    for (const each of statements) ids?.executions.push({ plan: each, formats: null, unmapped: this.#unmapped });
    if (text === null) return 0;
    before();
    this.#writer.beginFrame(F.Query);
    this.#writer.bytes(text.bytes);
    this.#writer.byte(0);
    this.#writer.endFrame();
    return text.replaced;
  }

  #parse(bytes: Uint8Array, start: number, end: number, before: () => void): number {
    const message = decodeFrontend(F.Parse, bytes, start, end);
    if (message.kind !== 'parse') return 0;
    const plan = this.#planOf(message.query);
    remember(this.#statements, message.statement, { plan, types: message.parameterTypes });
    const textAt = parseQueryStart(bytes, start, end);
    const text = plan === null ? null : this.#rewrittenText(bytes, textAt, end, plan);
    if (text === null) return 0;
    before();
    this.#writer.beginFrame(F.Parse);
    this.#writer.bytes(bytes.subarray(start + HEADER_BYTES, textAt));
    this.#writer.bytes(text.bytes);
    this.#writer.bytes(bytes.subarray(text.end, end));
    this.#writer.endFrame();
    return text.replaced;
  }

  #bind(bytes: Uint8Array, start: number, end: number, before: () => void): number {
    const message = decodeFrontend(F.Bind, bytes, start, end);
    if (message.kind !== 'bind') return 0;
    const { plan, types } = this.#statements.get(message.statement) ?? unknownStatement;
    this.#unmapped = false;
    let replaced = 0;
    const parameters = message.parameters.map((value, i) => {
      const place = plan?.parameters.get(i + 1);
      const format = formatOf(message.parameterFormats, i);
      if (value === null || place === undefined || (format !== 0 && !idTypes.has(types[i] ?? 0))) return value;
      const changed = replaceValue(value, format, place.list, this.#replace(place.space));
      if (changed !== null) replaced += 1;
      return changed ?? value;
    });
    remember(this.#portals, message.portal, {
      plan: plan?.statements[0] ?? null,
      formats: message.resultFormats,
      unmapped: this.#unmapped,
    });
    if (replaced === 0) return 0;
    before();
    const bind: Bind = { ...message, parameters };
    encodeFrontend(bind, this.#writer);
    return replaced;
  }

  #planOf(sql: string): TextPlan | null {
    const plan = this.#plans?.plan(sql) ?? null;
    if (plan === null) this.#map.counts.unread += 1;
    return plan;
  }

  /** The text that begins at `from`, with the mirror's ids; null: it stays. `end` is where it ended, with its zero byte after it. */
  #rewrittenText(
    bytes: Uint8Array,
    from: number,
    frameEnd: number,
    { literals }: TextPlan,
  ): { readonly bytes: Uint8Array; readonly end: number; readonly replaced: number } | null {
    if (literals.length === 0) return null;
    const end = stringEnd(bytes, from, frameEnd);
    const parts: Uint8Array[] = [];
    let taken = from;
    let replaced = 0;
    for (const { from: at, to, text, quoted, list, space } of literals) {
      // Positions are those of the text as UTF-8: another encoding may have moved them.
      const token = quoted ? `'${text}'` : text;
      if (end < 0 || from + to > end || Buffer.from(bytes.subarray(from + at, from + to)).toString('latin1') !== token)
        return null;
      const changed = replaceText(text, list, this.#replace(space));
      if (changed === null) continue;
      parts.push(bytes.subarray(taken, from + at), Buffer.from(quoted ? `'${changed}'` : spaced(changed), 'latin1'));
      taken = from + to;
      replaced += 1;
    }
    if (replaced === 0) return null;
    parts.push(bytes.subarray(taken, end));
    return { bytes: Buffer.concat(parts), end, replaced };
  }

  #replace(space: string): (captured: string) => string | null {
    const name = this.#prefix + space;
    return (captured) => {
      const observed = this.#map.find(this.#scope, name, captured);
      if (observed === undefined && this.#map.isRecent(name, captured)) {
        this.#map.counts.unmapped += 1;
        this.#unmapped = true;
      }
      return observed === undefined || observed === captured ? null : observed;
    };
  }
}

const unknownStatement: Statement = { plan: null, types: [] };

/** `a=-1` would read as one operator. */
const spaced = (text: string): string => (text.startsWith('-') ? ` ${text}` : text);

const formatOf = (formats: readonly number[], at: number): number =>
  (formats.length === 1 ? formats[0] : formats[at]) ?? 0;

/** The oldest name leaves when there are too many: what it stands for is then unknown, nothing else. */
function remember<T>(names: Map<string, T>, name: string, value: T): void {
  if (names.size >= MAX_NAMES && !names.has(name)) {
    const oldest = names.keys().next().value;
    if (oldest !== undefined) names.delete(oldest);
  }
  names.set(name, value);
}
