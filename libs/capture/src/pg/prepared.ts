// The prepared statements and portals of a session: what a Bind or Execute refers to.

import { frameEndAt, parseQueryText, parseStatementName } from '@mirrorstream/pg-wire';
import { firstTokens } from './sql-tokens.ts';

/**
 * A statement whose Parse, or whose SQL command PREPARE, completed. `frame`: the whole Parse message, owned. `sql`: the command. Both
 * null: it was too large to keep.
 */
export interface PreparedEntry {
  readonly name: string;
  frame: Uint8Array | null;
  sql: string | null;
  /** QueryMark bits of its text. */
  readonly marks: number;
  /** Number of the transaction it was prepared in, and of the last that used it. */
  readonly bornIn: number;
  usedIn: number;
  /** It was there before a gap: it may be another by now. */
  suspect: boolean;
}

/** A portal: its statement, and for those whose parameters matter later the Bind that made it. */
interface Portal {
  readonly entry: PreparedEntry | null;
  readonly bind: Uint8Array | null;
}

export function costOfEntry(entry: PreparedEntry): number {
  return (entry.name.length + (entry.sql?.length ?? 0)) * 3 + (entry.frame?.length ?? 0);
}

/** A portal costs an entry only; a transaction with more open at once loses track of the rest. */
const MAX_PORTALS = 1000;
/** The server tells no longer names apart (NAMEDATALEN): such a portal is not kept. */
const MAX_PORTAL_NAME_LENGTH = 63;
const MAX_UNNAMED_BYTES = 64 * 1024;

export interface StatementLimits {
  readonly maxStatements: number;
  readonly maxStatementBytes: number;
}

export class StatementTable {
  sizeBytes = 0;
  readonly #limits: StatementLimits;
  readonly #named = new Map<string, PreparedEntry>();
  readonly #portals = new Map<string, Portal>();
  #unnamed: PreparedEntry | null = null;
  #unnamedPortal: PreparedEntry | null = null;
  #unnamedBind: Uint8Array | null = null;

  constructor(limits: StatementLimits) {
    this.#limits = limits;
  }

  /** ParseComplete for the Parse in `bytes`; null when its bytes are gone. */
  parsed(bytes: Uint8Array | null, marks: number, transaction: number): void {
    if (bytes === null) return;
    const whole = frameEndAt(bytes, 0, bytes.length) === bytes.length;
    const name = parseStatementName(bytes, 0, bytes.length);
    const entry = entryOf(name, marks, transaction);
    if (name === '') {
      if (whole && bytes.length <= MAX_UNNAMED_BYTES) entry.frame = copyOf(bytes);
      this.#unnamed = entry;
      return;
    }
    this.#add(entry, () => {
      if (whole && this.#hasRoomFor(bytes.length)) entry.frame = copyOf(bytes);
    });
  }

  /** The SQL command PREPARE; null when its text is not at hand. */
  prepared(name: string, sql: string, marks: number, transaction: number): void {
    const entry = entryOf(name, marks, transaction);
    this.#add(entry, () => {
      if (this.#hasRoomFor(sql.length * 3)) entry.sql = sql;
    });
  }

  #add(entry: PreparedEntry, fill: () => void): void {
    this.close(entry.name);
    const nameBytes = costOfEntry(entry); // it has nothing else yet
    if (this.#named.size >= this.#limits.maxStatements || !this.#hasRoomFor(nameBytes)) return;
    this.sizeBytes += nameBytes;
    fill();
    this.sizeBytes += costOfEntry(entry) - nameBytes;
    this.#named.set(entry.name, entry);
  }

  #hasRoomFor(sizeBytes: number): boolean {
    return this.sizeBytes + sizeBytes <= this.#limits.maxStatementBytes;
  }

  /** Capture missed what went by: what is known may no longer be there, or be another. */
  gap(): void {
    this.close('');
    for (const entry of this.#named.values()) entry.suspect = true;
  }

  statement(name: string): PreparedEntry | null {
    return name === '' ? this.#unnamed : (this.#named.get(name) ?? null);
  }

  named(): Iterable<PreparedEntry> {
    return this.#named.values();
  }

  /** A Close of the statement, or DEALLOCATE. */
  close(name: string): void {
    if (name === '') {
      this.#unnamed = null;
      return;
    }
    const entry = this.#named.get(name);
    if (entry === undefined) return;
    this.sizeBytes -= costOfEntry(entry);
    this.#named.delete(name);
  }

  /** DEALLOCATE ALL, DISCARD ALL. The unnamed statement is dropped by the Query that carries them. */
  closeAll(): void {
    this.#named.clear();
    this.sizeBytes = 0;
  }

  bind(portal: string, entry: PreparedEntry | null, bind: Uint8Array | null): void {
    if (portal !== '') {
      const fits = portal.length <= MAX_PORTAL_NAME_LENGTH && this.#portals.size < MAX_PORTALS;
      if (fits) this.#portals.set(portal, { entry, bind });
      return;
    }
    this.#unnamedPortal = entry;
    this.#unnamedBind = bind;
  }

  /** The statement of a portal. */
  portal(name: string): PreparedEntry | null {
    return name === '' ? this.#unnamedPortal : (this.#portals.get(name)?.entry ?? null);
  }

  /** The Bind that made a portal, if it was kept. */
  bindOf(name: string): Uint8Array | null {
    return name === '' ? this.#unnamedBind : (this.#portals.get(name)?.bind ?? null);
  }

  closePortal(name: string): void {
    if (name === '') this.#unnamedPortal = null;
    else this.#portals.delete(name);
  }

  /** Portals die with their transaction. */
  transactionEnded(): void {
    this.#unnamedPortal = null;
    if (this.#portals.size > 0) this.#portals.clear();
  }
}

function entryOf(name: string, marks: number, transaction: number): PreparedEntry {
  return { name, frame: null, sql: null, marks, bornIn: transaction, usedIn: 0, suspect: false };
}

/** The text that is executed: of a PREPARE, what follows AS. */
export function textOfEntry(entry: PreparedEntry | null): string | null {
  if (entry === null) return null;
  if (entry.frame !== null) return parseQueryText(entry.frame, 0, entry.frame.length);
  return entry.sql === null ? null : (preparedText(entry.sql)?.text ?? null);
}

const MAX_PREPARE_TOKENS = 400;

/** PREPARE name [(type, …)] AS statement. */
export function preparedText(sql: string): { readonly name: string; readonly text: string } | null {
  const tokens = firstTokens(sql, MAX_PREPARE_TOKENS);
  const name = tokens[1];
  if (tokens[0]?.value !== 'prepare' || name === undefined) return null;
  const as = tokens.find((token, index) => index > 1 && token.kind === 'word' && token.value === 'as');
  return as === undefined ? null : { name: name.value, text: sql.slice(as.end).trim() };
}

/** Bytes of our own: the given ones may be a Buffer of a log that goes on, and a Buffer's `slice` is a view. */
export const copyOf = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes);
