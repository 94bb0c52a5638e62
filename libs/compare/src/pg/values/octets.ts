// Values that are bytes or marks: bytea in both notations, uuid, boolean.

const ESCAPED = /^(?:[^\\]|\\\\|\\[0-3][0-7]{2})*$/;

/** Hexadecimal `\xdead`, or the older escape notation `\336\255`. */
export function byteaFromText(text: string): string | null {
  if (/^\\x(?:[0-9a-fA-F]{2})*$/.test(text)) return `b${text.slice(2).toLowerCase()}`;
  if (!ESCAPED.test(text)) return null;
  const bytes: number[] = [];
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0xff) return null;
    if (code !== 0x5c) bytes.push(code);
    else if (text[i + 1] === '\\') {
      bytes.push(0x5c);
      i += 1;
    } else {
      bytes.push(Number.parseInt(text.slice(i + 1, i + 4), 8));
      i += 3;
    }
  }
  return byteaFromBinary(Uint8Array.from(bytes));
}

export function byteaFromBinary(value: Uint8Array): string {
  return `b${hexOf(value)}`;
}

export function uuidFromText(text: string): string | null {
  const hex = text.replace(/[-{}]/g, '').toLowerCase();
  return /^[0-9a-f]{32}$/.test(hex) ? `u${hex}` : null;
}

export function uuidFromBinary(value: Uint8Array): string | null {
  return value.length === 16 ? `u${hexOf(value)}` : null;
}

export function booleanFromText(text: string): string | null {
  return text === 't' || text === 'f' ? `f${text}` : null;
}

export function booleanFromBinary(value: Uint8Array): string | null {
  return value.length === 1 ? `f${value[0] === 0 ? 'f' : 't'}` : null;
}

export function hexOf(value: Uint8Array): string {
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex');
}
