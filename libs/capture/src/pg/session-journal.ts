// What a transaction changes of its session, in order, until it commits: undone with it, or back to a savepoint.
import type { SettingChange } from './settings.ts';

/** Changes that a rollback undoes. Names as the server keeps them; null: all of them, or one that could not be read (see each). */
export type SessionChange =
  | SettingChange
  /** A setting changed that could not be read. */
  | { readonly kind: 'unknownSetting' }
  /** null: some object whose name could not be read. */
  | { readonly kind: 'createTemp'; readonly name: string | null }
  | { readonly kind: 'dropTemp'; readonly name: string }
  | { readonly kind: 'discardTemp' }
  | { readonly kind: 'listen'; readonly channel: string }
  /** null: UNLISTEN *. */
  | { readonly kind: 'unlisten'; readonly channel: string | null }
  | { readonly kind: 'holdCursor'; readonly name: string };

type Entry = SessionChange | { readonly kind: 'savepoint'; readonly name: string };

/** A transaction that changes more loses track of its settings, and says so. */
const MAX_ENTRIES = 1024;
/** Of its names and texts. */
const MAX_BYTES = 256 * 1024;

export class SessionJournal {
  #entries: Entry[] = [];
  #sizeBytes = 0;
  #overflowed = false;
  readonly #apply: (change: SessionChange) => void;

  constructor(apply: (change: SessionChange) => void) {
    this.#apply = apply;
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  change(change: SessionChange): void {
    this.#push(change);
  }

  savepoint(name: string): void {
    this.#push({ kind: 'savepoint', name });
  }

  release(name: string): void {
    const at = this.#lastSavepoint(name);
    if (at >= 0) this.#keep(this.#entries.filter((it, index) => index < at || it.kind !== 'savepoint'));
  }

  /** ROLLBACK TO: the savepoint itself stays. */
  rollbackTo(name: string): void {
    const at = this.#lastSavepoint(name);
    if (at >= 0) this.#keep(this.#entries.slice(0, at + 1));
  }

  commit(): void {
    if (this.#entries.length === 0 && !this.#overflowed) return;
    const entries = this.#entries;
    this.#keep([]);
    for (const entry of entries) if (entry.kind !== 'savepoint') this.#apply(entry);
    if (this.#overflowed) this.#apply({ kind: 'unknownSetting' });
    this.#overflowed = false;
  }

  rollback(): void {
    if (this.#entries.length > 0) this.#keep([]);
    this.#overflowed = false;
  }

  /** Where savepoints no longer fit, what they would undo is no longer known. */
  #push(entry: Entry): void {
    if (this.#add(entry)) return;
    this.#overflowed = true;
    this.#keep(this.#entries.filter((it) => it.kind !== 'savepoint'));
    if (entry.kind !== 'savepoint') this.#add(entry);
  }

  #add(entry: Entry): boolean {
    const sizeBytes = sizeOf(entry);
    if (this.#entries.length >= MAX_ENTRIES || this.#sizeBytes + sizeBytes > MAX_BYTES) return false;
    this.#entries.push(entry);
    this.#sizeBytes += sizeBytes;
    return true;
  }

  #keep(entries: Entry[]): void {
    this.#entries = entries;
    this.#sizeBytes = 0;
    for (const entry of entries) this.#sizeBytes += sizeOf(entry);
  }

  #lastSavepoint(name: string): number {
    return this.#entries.findLastIndex((it) => it.kind === 'savepoint' && it.name === name);
  }
}

/** Two bytes at most for a UTF-16 unit of its texts. */
function sizeOf(entry: Entry): number {
  let sizeBytes = 0;
  for (const text of Object.values(entry)) if (typeof text === 'string') sizeBytes += text.length * 2;
  return sizeBytes;
}
