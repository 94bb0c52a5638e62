// One column value as text for people: text format as it is, the common binary ones decoded, anything else as hexadecimal.
import { decodeText, type FieldDescription } from '@mirrorstream/pg-wire';

const BINARY_FORMAT = 1;

// pg_type.dat: the OIDs of built-in types never change.
const typeNames: ReadonlyMap<number, string> = new Map([
  [16, 'boolean'],
  [17, 'bytea'],
  [18, '"char"'],
  [19, 'name'],
  [20, 'bigint'],
  [21, 'smallint'],
  [23, 'integer'],
  [25, 'text'],
  [26, 'oid'],
  [114, 'json'],
  [142, 'xml'],
  [600, 'point'],
  [700, 'real'],
  [701, 'double precision'],
  [869, 'inet'],
  [1007, 'integer[]'],
  [1009, 'text[]'],
  [1042, 'character'],
  [1043, 'character varying'],
  [1082, 'date'],
  [1083, 'time'],
  [1114, 'timestamp'],
  [1184, 'timestamp with time zone'],
  [1186, 'interval'],
  [1700, 'numeric'],
  [2950, 'uuid'],
  [3802, 'jsonb'],
]);

const textTypes: ReadonlySet<number> = new Set([18, 19, 25, 114, 142, 1042, 1043]);

export function typeName(typeOid: number): string {
  return typeNames.get(typeOid) ?? `type ${typeOid}`;
}

/** `column` is null where the answer did not describe its columns. */
export function cellText(value: Uint8Array, column: Pick<FieldDescription, 'typeOid' | 'format'> | null): string {
  if (column === null) return undescribedText(value);
  return column.format === BINARY_FORMAT ? binaryText(value, column.typeOid) : plainText(value);
}

function plainText(value: Uint8Array): string {
  return decodeText(value, 0, value.length).toWellFormed();
}

function undescribedText(value: Uint8Array): string {
  for (const byte of value) if (byte < 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d) return hexText(value);
  return plainText(value);
}

function binaryText(value: Uint8Array, typeOid: number): string {
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  if (textTypes.has(typeOid)) return plainText(value);
  if (typeOid === 16 && value.length === 1) return value[0] === 0 ? 'f' : 't';
  if (typeOid === 21 && value.length === 2) return String(view.getInt16(0));
  if (typeOid === 23 && value.length === 4) return String(view.getInt32(0));
  if (typeOid === 26 && value.length === 4) return String(view.getUint32(0));
  if (typeOid === 20 && value.length === 8) return String(view.getBigInt64(0));
  if (typeOid === 700 && value.length === 4) return String(view.getFloat32(0));
  if (typeOid === 701 && value.length === 8) return String(view.getFloat64(0));
  return hexText(value);
}

/** bytea's own notation. */
function hexText(value: Uint8Array): string {
  return `\\x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}`;
}
