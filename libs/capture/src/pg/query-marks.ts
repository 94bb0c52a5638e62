// One quick pass over a statement's text as it is sent: finds the few words that capture must look at more closely.

/** Bits. A mark can be wrong in one direction only: the word may stand in a literal or a comment. */
export const QueryMark = {
  /** pg_advisory_lock and its like, but for the transaction-level ones. */
  advisoryLock: 1,
  /** `password`: the text may hold a secret. */
  password: 2,
  /** TEMP or TEMPORARY. */
  temporary: 4,
  /** The first word is EXECUTE. */
  executes: 8,
  /** The first word is CREATE. */
  creates: 16,
} as const;

// Letters that begin the look: rare enough in SQL, at a fixed place in each word. 0: nothing.
const SEEK = new Uint8Array(256);
for (const letter of 'vwm') {
  SEEK[letter.charCodeAt(0)] = 1;
  SEEK[letter.toUpperCase().charCodeAt(0)] = 1;
}

const word = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
const ADVISORY = word('advisory');
const ADVISORY_XACT = word('advisory_xact');
const PASSWORD = word('password');
const TEMP = word('temp');
const EXECUTE = word('execute');
const CREATE = word('create');
const V = 0x76;
const W = 0x77;

export function marksOf(buffer: Uint8Array, start: number, end: number): number {
  let marks = firstWordMark(buffer, skipSpace(buffer, start, end), end);
  for (let at = start; at < end; at++) {
    const byte = buffer[at] as number;
    if (SEEK[byte] === 0) continue;
    const letter = byte | 0x20;
    if (letter === V) {
      if (startsWith(buffer, at - 2, end, ADVISORY) && !startsWith(buffer, at - 2, end, ADVISORY_XACT)) {
        marks |= QueryMark.advisoryLock;
      }
    } else if (letter === W) {
      if (startsWith(buffer, at - 4, end, PASSWORD)) marks |= QueryMark.password;
    } else if (startsWith(buffer, at - 2, end, TEMP)) {
      marks |= QueryMark.temporary;
    }
  }
  return marks;
}

function firstWordMark(buffer: Uint8Array, at: number, end: number): number {
  if (startsWith(buffer, at, end, EXECUTE)) return QueryMark.executes;
  return startsWith(buffer, at, end, CREATE) ? QueryMark.creates : 0;
}

/** Case-insensitive for the letters of ASCII; `expected` is lower case. */
function startsWith(buffer: Uint8Array, at: number, end: number, expected: Uint8Array): boolean {
  if (at < 0 || at + expected.length > end) return false;
  for (let i = 0; i < expected.length; i++) {
    const byte = buffer[at + i] as number;
    if (byte !== expected[i] && (byte | 0x20) !== expected[i]) return false;
  }
  return true;
}

function skipSpace(buffer: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && (buffer[at] as number) <= 0x20) at += 1;
  return at;
}
