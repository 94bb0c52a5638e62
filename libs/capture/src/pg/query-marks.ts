// One quick pass over a statement's text as it is sent: finds the few words that capture must look at more closely.

/** Bits. A mark can be wrong in one direction only: the word may stand in a literal or a comment. */
export const QueryMark = {
  /** pg_advisory_lock and its like, but for the transaction-level ones. */
  advisoryLock: 1,
  /** `password`, `subscription` or `dblink`: the text may hold a secret. */
  password: 2,
  /** TEMP or TEMPORARY. */
  temporary: 4,
  /** EXECUTE. */
  executes: 8,
  /** The first word is CREATE. */
  creates: 16,
  /** set_config. */
  setConfig: 32,
  /** currval or lastval. */
  sequenceValue: 64,
  /** Set by redaction: it holds a secret, or takes one as a parameter. Its answer may repeat it. */
  secret: 128,
} as const;

/** The bits above, in a frame's marks. */
export const MARK_BITS = 0xff;
/** Marks of statements whose calls change the session, so that their parameters and result are looked at. */
export const SESSION_CALL_MARKS = QueryMark.advisoryLock | QueryMark.setConfig;

// A pair of letters begins the look: the second rare enough in SQL, at a fixed place in each word, and the one before it.
const SECOND = new Uint8Array(256);
const FIRST = new Uint8Array(256);
['dv', 'rv', 'tv', 'sw', 'em', 'ex', 'nf', 'ub', 'db'].forEach(([first = '', second = ''], bit) => {
  for (const [table, letter] of [[FIRST, first] as const, [SECOND, second] as const]) {
    for (const code of [letter.charCodeAt(0), letter.toUpperCase().charCodeAt(0)])
      table[code] = (table[code] as number) | (1 << (bit & 7));
  }
});

const word = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
const ADVISORY = word('advisory');
const ADVISORY_XACT = word('advisory_xact');
const CURRVAL = word('currval');
const LASTVAL = word('lastval');
const PASSWORD = word('password');
const SUBSCRIPTION = word('subscription');
const DBLINK = word('dblink');
const TEMP = word('temp');
const EXECUTE = word('execute');
const SET_CONFIG = word('set_config');
const CREATE = word('create');

export function marksOf(buffer: Uint8Array, start: number, end: number): number {
  let marks = startsWith(buffer, skipSpace(buffer, start, end), end, CREATE) ? QueryMark.creates : 0;
  let before = 0;
  for (let at = start; at < end; at++) {
    const byte = buffer[at] as number;
    if (((SECOND[byte] as number) & (FIRST[before] as number)) !== 0) marks |= markAt(buffer, at, end, byte | 0x20);
    before = byte;
  }
  return marks;
}

/** The mark of the word that has this letter, in lower case, at `at`. */
function markAt(buffer: Uint8Array, at: number, end: number, letter: number): number {
  switch (letter) {
    case 0x76: // v
      if (startsWith(buffer, at - 2, end, ADVISORY))
        return startsWith(buffer, at - 2, end, ADVISORY_XACT) ? 0 : QueryMark.advisoryLock;
      return startsWith(buffer, at - 4, end, CURRVAL) || startsWith(buffer, at - 4, end, LASTVAL)
        ? QueryMark.sequenceValue
        : 0;
    case 0x77: // w
      return startsWith(buffer, at - 4, end, PASSWORD) ? QueryMark.password : 0;
    case 0x62: // b
      return startsWith(buffer, at - 2, end, SUBSCRIPTION) || startsWith(buffer, at - 1, end, DBLINK)
        ? QueryMark.password
        : 0;
    case 0x78: // x
      return startsWith(buffer, at - 1, end, EXECUTE) ? QueryMark.executes : 0;
    case 0x66: // f
      return startsWith(buffer, at - 7, end, SET_CONFIG) ? QueryMark.setConfig : 0;
    default: // m
      return startsWith(buffer, at - 2, end, TEMP) ? QueryMark.temporary : 0;
  }
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
