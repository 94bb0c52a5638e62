// Wire text to string and back, without loss for any bytes.
//
// The wire's String is in client_encoding, which may not be UTF-8. Valid UTF-8 decodes as such; each byte that is not part of valid
// UTF-8 becomes the lone surrogate U+DC80..U+DCFF (U+DC00 + byte), and encoding turns that back into the byte. So different bytes
// always give different strings (statement names stay apart) and decode-encode is the identity. Such strings are not well formed:
// where text leaves the process (JSON, protobuf string) keep the bytes instead, or check `isWellFormed()`.

const ESCAPE_BASE = 0xdc00;
const SHORT_TEXT_BYTES = 12;
const REPLACEMENT = '\uFFFD';

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function decodeText(bytes: Uint8Array, start: number, end: number): string {
  if (start >= end) return '';
  if (end - start <= SHORT_TEXT_BYTES) {
    const short = decodeShortAscii(bytes, start, end);
    if (short !== null) return short;
  }
  const buffer = asBuffer(bytes);
  const text = buffer.toString('utf8', start, end);
  return text.includes(REPLACEMENT) ? decodeEscaping(buffer, start, end) : text;
}

/** Names and tags are short ASCII: here a loop costs a fraction of the call into native code. Null when a byte is not ASCII. */
function decodeShortAscii(bytes: Uint8Array, start: number, end: number): string | null {
  let text = '';
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number;
    if (byte >= 0x80) return null;
    text += String.fromCharCode(byte);
  }
  return text;
}

function decodeEscaping(buffer: Buffer, start: number, end: number): string {
  let text = '';
  let runStart = start;
  let at = start;
  while (at < end) {
    const size = utf8SequenceBytes(buffer, at, end);
    if (size > 0) {
      at += size;
      continue;
    }
    text += buffer.toString('utf8', runStart, at) + String.fromCharCode(ESCAPE_BASE + (buffer[at] as number));
    at += 1;
    runStart = at;
  }
  return text + buffer.toString('utf8', runStart, end);
}

/** Bytes of the valid UTF-8 sequence at `at` (RFC 3629, table of well-formed sequences), or 0. */
function utf8SequenceBytes(b: Uint8Array, at: number, end: number): number {
  const first = b[at] as number;
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  const size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (at + size > end) return 0;
  const second = b[at + 1] as number;
  const lowest = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const highest = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  if (second < lowest || second > highest) return 0;
  for (let i = at + 2; i < at + size; i++) if (((b[i] as number) & 0xc0) !== 0x80) return 0;
  return size;
}

/** Upper bound of the bytes `writeText` needs: exact for well-formed strings, three per UTF-16 unit otherwise. */
export function textBytesAtMost(text: string): number {
  return text.isWellFormed() ? Buffer.byteLength(text, 'utf8') : text.length * 3;
}

/** Writes the bytes `decodeText` read `text` from, and returns how many. The caller has made room with `textBytesAtMost`. */
export function writeText(text: string, into: Buffer, at: number): number {
  return text.isWellFormed() ? into.write(text, at, 'utf8') : writeEscaped(text, into, at);
}

function writeEscaped(text: string, into: Buffer, start: number): number {
  let at = start;
  for (const character of text) {
    const unit = character.charCodeAt(0);
    const escaped = character.length === 1 && unit >= ESCAPE_BASE + 0x80 && unit <= ESCAPE_BASE + 0xff;
    if (escaped) into[at++] = unit - ESCAPE_BASE;
    else at += into.write(character, at, 'utf8');
  }
  return at - start;
}
