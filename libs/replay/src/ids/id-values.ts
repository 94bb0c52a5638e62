// Ids on the wire: integers and uuids, in text and in binary, alone and in arrays; read, and written anew where they change.
//
//   binary int2, int4, int8   2, 4 or 8 bytes, big endian, signed
//   binary uuid               16 bytes
//   binary array              Int32 dimensions, Int32 has NULLs, Int32 element OID, per dimension Int32 size and Int32 lower bound,
//                             per element Int32 length (-1: NULL) and the bytes
//   text array                {1,2,NULL,"3"}
import type { Format } from '@mirrorstream/pg-wire';

/** What an id becomes; null: it stays. */
export type Replace = (captured: string) => string | null;

const canonicalInt = /^(?:0|-?[1-9]\d{0,18})$/;
const uuidText = /^\{?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})\}?$/i;
const MAX_TEXT_BYTES = 38;
/** int8, int2, int4, uuid. */
const elementTypes: ReadonlySet<number> = new Set([20, 21, 23, 2950]);
const arrayElement = /^(\s*"?)([^"\s]*)("?\s*)$/;

/** One spelling for one id; null: it is none. */
export function idOfText(text: string): string | null {
  if (canonicalInt.test(text)) return text;
  const parts = uuidText.exec(text);
  return parts === null ? null : parts.slice(1).join('-').toLowerCase();
}

export function idOfBytes(bytes: Uint8Array, format: Format): string | null {
  if (format === 0) return bytes.length > MAX_TEXT_BYTES ? null : idOfText(latin1(bytes));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  switch (bytes.length) {
    case 2:
      return String(view.getInt16(0));
    case 4:
      return String(view.getInt32(0));
    case 8:
      return String(view.getBigInt64(0));
    case 16:
      return idOfText(Buffer.from(bytes).toString('hex'));
    default:
      return null;
  }
}

/** Null: the bytes stay. */
export function replaceValue(bytes: Uint8Array, format: Format, list: boolean, replace: Replace): Uint8Array | null {
  if (format !== 0) return list ? replaceElements(bytes, replace) : replaceBinary(bytes, replace);
  const text = latin1(bytes);
  const replaced = replaceText(text, list, replace);
  return replaced === null ? null : Buffer.from(replaced, 'latin1');
}

/** The same of a text, which may be a constant's. */
export function replaceText(text: string, list: boolean, replace: Replace): string | null {
  if (!list) {
    const id = idOfText(text);
    return id === null ? null : replace(id);
  }
  if (!/^\{[^{}\\]*\}$/.test(text)) return null;
  let changed = false;
  const elements = text
    .slice(1, -1)
    .split(',')
    .map((element) => {
      const [, before = '', inner = '', after = ''] = arrayElement.exec(element) ?? [];
      const id = idOfText(inner);
      const replaced = id === null ? null : replace(id);
      if (replaced === null) return element;
      changed = true;
      return `${before}${replaced}${after}`;
    });
  return changed ? `{${elements.join(',')}}` : null;
}

function replaceBinary(bytes: Uint8Array, replace: Replace): Uint8Array | null {
  const id = idOfBytes(bytes, 1);
  const replaced = id === null ? null : replace(id);
  return replaced === null ? null : writeBinary(replaced, bytes.length);
}

/** Null: it does not fit. */
function writeBinary(id: string, sizeBytes: number): Uint8Array | null {
  if (sizeBytes === 16) {
    const bytes = Buffer.from(id.replaceAll('-', ''), 'hex');
    return bytes.length === 16 ? bytes : null;
  }
  if (!canonicalInt.test(id)) return null;
  const value = BigInt(id);
  if (BigInt.asIntN(sizeBytes * 8, value) !== value) return null;
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return bytes.subarray(8 - sizeBytes);
}

function replaceElements(bytes: Uint8Array, replace: Replace): Uint8Array | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < 12 || !elementTypes.has(view.getInt32(8))) return null;
  const copy = Buffer.from(bytes);
  let at = 12 + view.getInt32(0) * 8;
  let changed = false;
  while (at + 4 <= bytes.length && at >= 12) {
    const length = view.getInt32(at);
    at += 4;
    if (length < 0) continue;
    if (at + length > bytes.length) return null;
    const replaced = replaceBinary(bytes.subarray(at, at + length), replace);
    if (replaced !== null) {
      copy.set(replaced, at);
      changed = true;
    }
    at += length;
  }
  return changed ? copy : null;
}

const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
