// The prepared statements and portals of a session: what a Bind or Execute refers to.
import { frameEndAt, parseQueryText, parseStatementName } from '@mirrorstream/pg-wire';

/** A statement whose Parse completed. `frame`: the whole Parse message, owned; null when it was too large to keep. */
export interface PreparedEntry {
  readonly name: string;
  frame: Uint8Array | null;
  /** QueryMark bits of its text. */
  readonly marks: number;
  /** Number of the transaction it was prepared in, and of the last that used it. */
  readonly bornIn: number;
  usedIn: number;
}

/** A portal costs an entry only; a transaction with more open at once loses track of the rest. */
const MAX_PORTALS = 1000;
const MAX_UNNAMED_BYTES = 64 * 1024;

export interface StatementLimits {
  readonly maxStatements: number;
  readonly maxStatementBytes: number;
}

export class StatementTable {
  sizeBytes = 0;
  readonly #limits: StatementLimits;
  readonly #named = new Map<string, PreparedEntry>();
  readonly #portals = new Map<string, PreparedEntry | null>();
  #unnamed: PreparedEntry | null = null;
  #unnamedPortal: PreparedEntry | null = null;

  constructor(limits: StatementLimits) {
    this.#limits = limits;
  }

  /** ParseComplete for the Parse in `bytes`; null when its bytes are gone. */
  parsed(bytes: Uint8Array | null, marks: number, transaction: number): void {
    if (bytes === null) return;
    const whole = frameEndAt(bytes, 0, bytes.length) === bytes.length;
    const name = parseStatementName(bytes, 0, bytes.length);
    const entry = { name, frame: null as Uint8Array | null, marks, bornIn: transaction, usedIn: 0 };
    if (name === '') {
      if (whole && bytes.length <= MAX_UNNAMED_BYTES) entry.frame = copyOf(bytes);
      this.#unnamed = entry;
      return;
    }
    this.close(name);
    if (this.#named.size >= this.#limits.maxStatements) return;
    if (whole && this.sizeBytes + bytes.length <= this.#limits.maxStatementBytes) {
      entry.frame = copyOf(bytes);
      this.sizeBytes += bytes.length;
    }
    this.#named.set(name, entry);
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
    this.sizeBytes -= entry.frame?.length ?? 0;
    this.#named.delete(name);
  }

  /** DEALLOCATE ALL, DISCARD ALL. The unnamed statement is dropped by the Query that carries them. */
  closeAll(): void {
    this.#named.clear();
    this.sizeBytes = 0;
  }

  bind(portal: string, entry: PreparedEntry | null): void {
    if (portal === '') this.#unnamedPortal = entry;
    else if (this.#portals.size < MAX_PORTALS) this.#portals.set(portal, entry);
  }

  portal(name: string): PreparedEntry | null {
    return name === '' ? this.#unnamedPortal : (this.#portals.get(name) ?? null);
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

export function textOfEntry(entry: PreparedEntry | null): string | null {
  const frame = entry?.frame ?? null;
  return frame === null ? null : parseQueryText(frame, 0, frame.length);
}

/** Bytes of our own: the given ones may be a Buffer of a log that goes on, and a Buffer's `slice` is a view. */
export const copyOf = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes);
