// What a CommandComplete tag means to capture. Tags repeat, so each distinct one is looked at once.
import { commandTag } from '@mirrorstream/pg-wire';

/** Closed list: what the assembler does on a tag. `read` and `write` only count. */
export type TagKind =
  | 'read'
  | 'write'
  | 'copy'
  | 'select' // may be CREATE TABLE AS or SELECT INTO: only the text says
  | 'create'
  | 'commit'
  | 'rollback' // of the transaction, or to a savepoint: the text says
  | 'savepoint'
  | 'release'
  | 'set'
  | 'reset'
  | 'discardAll'
  | 'discardTemp'
  | 'prepare'
  | 'deallocate'
  | 'declareCursor'
  | 'closeCursor'
  | 'drop' // of a relation, which may be temporary
  | 'listen'
  | 'unlisten'
  | 'block'; // DO: what it does, only its body says

export interface Tag {
  readonly text: string;
  readonly kind: TagKind;
}

const kinds: ReadonlyMap<string, TagKind> = new Map([
  ...['FETCH', 'MOVE', 'SHOW', 'EXPLAIN', 'BEGIN', 'START TRANSACTION'].map((tag) => [tag, 'read'] as const),
  ...['NOTIFY', 'LOCK TABLE', 'SET CONSTRAINTS', 'CHECKPOINT', 'LOAD'].map((tag) => [tag, 'read'] as const),
  ['SELECT', 'select'],
  ['COPY', 'copy'],
  ['COMMIT', 'commit'],
  ['PREPARE TRANSACTION', 'commit'],
  ['ROLLBACK', 'rollback'],
  ['SAVEPOINT', 'savepoint'],
  ['RELEASE', 'release'],
  ['SET', 'set'],
  ['RESET', 'reset'],
  ['DISCARD ALL', 'discardAll'],
  ['DISCARD TEMP', 'discardTemp'],
  ['DISCARD PLANS', 'read'],
  ['DISCARD SEQUENCES', 'read'],
  ['PREPARE', 'prepare'],
  ['DEALLOCATE', 'deallocate'],
  ['DEALLOCATE ALL', 'deallocate'],
  ['DECLARE CURSOR', 'declareCursor'],
  ['CLOSE CURSOR', 'closeCursor'],
  ['CLOSE CURSOR ALL', 'closeCursor'],
  ['DROP TABLE', 'drop'],
  ['DROP VIEW', 'drop'],
  ['DROP SEQUENCE', 'drop'],
  ['LISTEN', 'listen'],
  ['UNLISTEN', 'unlisten'],
  ['DO', 'block'],
]);

/** Anything that is not known to be harmless counts as a write: DDL, CALL, DO, VACUUM, TRUNCATE … */
export function tagKindOf(text: string): TagKind {
  const verb = text.replace(/[ 0-9]+$/, '');
  return kinds.get(verb) ?? (verb.startsWith('CREATE ') ? 'create' : 'write');
}

const SLOTS = 512;
const MAX_TAG_BYTES = 64;

/** Direct-mapped: a slot holds the last tag that hashed there, with the bytes it was read from. */
export class TagCache {
  readonly #tags: (Tag | undefined)[] = new Array(SLOTS);
  readonly #bytes: (Uint8Array | undefined)[] = new Array(SLOTS);

  /** Tag of the CommandComplete frame `buffer[start, end)`. */
  read(buffer: Uint8Array, start: number, end: number): Tag {
    const from = start + 5;
    if (end - from > MAX_TAG_BYTES) return { text: '', kind: 'write' };
    let hash = 0;
    for (let i = from; i < end; i++) hash = (Math.imul(hash, 31) + (buffer[i] as number)) | 0;
    const slot = (hash ^ (hash >>> 9)) & (SLOTS - 1);
    const tag = this.#tags[slot];
    if (tag !== undefined && same(this.#bytes[slot] as Uint8Array, buffer, from, end)) return tag;
    const text = commandTag(buffer, start, end);
    const read = { text, kind: tagKindOf(text) };
    this.#tags[slot] = read;
    this.#bytes[slot] = new Uint8Array(buffer.subarray(from, end));
    return read;
  }
}

function same(known: Uint8Array, buffer: Uint8Array, from: number, end: number): boolean {
  if (known.length !== end - from) return false;
  for (let i = 0; i < known.length; i++) if (known[i] !== buffer[from + i]) return false;
  return true;
}
