// What can be told of bytes that nobody can decode: their fields as Protocol Buffers, as far as they are that, and a dump in hex.
//
// field ::= tag varint | tag 8 bytes | tag length bytes | tag 4 bytes; tag = field number << 3 | wire type

const wireTypes: Readonly<Record<number, string>> = { 0: 'number', 1: '8 bytes', 2: 'bytes', 5: '4 bytes' };
const maxFields = 40;

/** One line per field of the outermost message, and where it stops to be one. Lengths only: no content. */
export function fieldLines(value: Uint8Array): readonly string[] {
  const lines: string[] = [];
  for (let at = 0; at < value.length; ) {
    if (lines.length === maxFields) return [...lines, `… and ${value.length - at} bytes more`];
    const field = readField(value, at);
    if (field === null)
      return [...lines, `from byte ${at} on it is no field of a message; ${value.length - at} bytes are left`];
    lines.push(`byte ${at}: field ${field.number}, ${field.what}`);
    at = field.end;
  }
  return value.length === 0 ? ['it is empty'] : lines;
}

interface Field {
  readonly number: number;
  readonly what: string;
  readonly end: number;
}

function readField(value: Uint8Array, from: number): Field | null {
  const tag = readVarint(value, from);
  if (tag === null || tag.value < 8) return null;
  const number = Math.floor(tag.value / 8);
  const type = tag.value % 8;
  const name = wireTypes[type];
  if (name === undefined) return null;
  if (type === 0 || type === 2) {
    const next = readVarint(value, tag.end);
    if (next === null) return null;
    if (type === 0) return { number, what: name, end: next.end };
    const end = next.end + next.value;
    return end > value.length ? null : { number, what: `${next.value} ${name}`, end };
  }
  const end = tag.end + (type === 1 ? 8 : 4);
  return end > value.length ? null : { number, what: name, end };
}

function readVarint(value: Uint8Array, from: number): { readonly value: number; readonly end: number } | null {
  let result = 0;
  for (let at = from; at < value.length && at < from + 10; at++) {
    const byte = value[at] as number;
    result += (byte & 0x7f) * 2 ** (7 * (at - from));
    if (byte < 0x80) return { value: result, end: at + 1 };
  }
  return null;
}

/** Sixteen bytes a line: place, hex, and what is printable ASCII. */
export function hexLines(value: Uint8Array, maxBytes: number): readonly string[] {
  const shown = value.subarray(0, maxBytes);
  const lines: string[] = [];
  for (let at = 0; at < shown.length; at += 16) {
    const row = [...shown.subarray(at, at + 16)];
    const hex = row.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const text = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('');
    lines.push(`${at.toString(16).padStart(8, '0')}  ${hex.padEnd(47)}  ${text}`);
  }
  const left = value.length - shown.length;
  return left > 0 && maxBytes > 0 ? [...lines, `… and ${left} bytes more`] : lines;
}
