// The digest of an answer's columns: what two servers must agree on, without what may differ legitimately between them.
//
// RowDescription body: int16 count, then per column
//   string name · int32 table OID · int16 attribute number · int32 type OID · int16 type size · int32 type modifier · int16 format
// Hashed: name, type OID when it is a built-in one (below 16384; others are given out at run time), format code.
// CopyOutResponse body: int8 overall format, int16 count, int16 format per column. Hashed whole.
import type { ByteHasher } from '../byte-hash.ts';

/** The first OID that is not fixed by PostgreSQL's catalogs (FirstNormalObjectId in access/transam.h). */
const FIRST_USER_OID = 16384;
const FIXED_BYTES = 18;

const scratch = new Uint8Array(6);

/** Hashes a RowDescription body into the hasher (begun and finished here). What cannot be parsed is hashed as it is. */
export function hashRowDescription(hasher: ByteHasher, buf: Uint8Array, start: number, end: number): void {
  hasher.begin();
  hasher.update(buf, start, Math.min(start + 2, end));
  let at = start + 2;
  while (at < end) {
    const nul = buf.indexOf(0, at);
    const fixed = nul + 1;
    if (nul < 0 || fixed + FIXED_BYTES > end) break;
    hasher.update(buf, at, fixed);
    copyTypeAndFormat(buf, fixed);
    hasher.update(scratch, 0, 6);
    at = fixed + FIXED_BYTES;
  }
  if (at < end) hasher.update(buf, at, end);
  hasher.finish();
}

/** Type OID (0 for a user's type) and format code of the column whose fixed part begins at `at`, into the scratch. */
function copyTypeAndFormat(buf: Uint8Array, at: number): void {
  const builtIn = readUint32(buf, at + 6) < FIRST_USER_OID;
  for (let i = 0; i < 4; i++) scratch[i] = builtIn ? (buf[at + 6 + i] as number) : 0;
  scratch[4] = buf[at + 16] as number;
  scratch[5] = buf[at + 17] as number;
}

function readUint32(buf: Uint8Array, at: number): number {
  return (
    (((buf[at] as number) << 24) |
      ((buf[at + 1] as number) << 16) |
      ((buf[at + 2] as number) << 8) |
      (buf[at + 3] as number)) >>>
    0
  );
}
