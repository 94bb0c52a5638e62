// The five bytes in front of every message: reading them, their bounds, and walks over whole frames lying in one buffer.
//
//   Byte1   type (absent in start-up packets)
//   Int32   length in bytes, counting itself but not the type byte
//   Byten   body
import { type Direction, isKnownType } from './type-bytes.ts';

/** Type byte and length. */
export const HEADER_BYTES = 5;
/** The length counts itself. */
export const MIN_LENGTH = 4;
/** PostgreSQL allocates at most 1 GiB - 1 for a body (MaxAllocSize); the length adds its own four bytes. */
export const MAX_LENGTH = 0x3fffffff + 4;
/** MAX_STARTUP_PACKET_LENGTH of the server bounds what follows the length of a start-up packet. */
export const MAX_STARTUP_LENGTH = 10_000 + 4;
/** A start-up packet holds at least its code. */
export const MIN_STARTUP_LENGTH = 8;

/** Signed big-endian Int32. The caller has checked that four bytes are there; plain shifts are faster than Buffer's readers. */
export function int32At(buffer: Uint8Array, at: number): number {
  return (
    ((buffer[at] as number) << 24) |
    ((buffer[at + 1] as number) << 16) |
    ((buffer[at + 2] as number) << 8) |
    (buffer[at + 3] as number)
  );
}

/** Unsigned big-endian Int16. The caller has checked that two bytes are there. */
export function uint16At(buffer: Uint8Array, at: number): number {
  return ((buffer[at] as number) << 8) | (buffer[at + 1] as number);
}

/** What `frameEndAt` answers when no whole frame begins there. Both are negative, so `end > 0` means a frame. */
export const FRAME_INCOMPLETE = -1;
export const FRAME_MALFORMED = -2;

/** End (exclusive) of the frame whose type byte lies at `start`, or FRAME_INCOMPLETE, or FRAME_MALFORMED when the length is impossible. */
export function frameEndAt(buffer: Uint8Array, start: number, limit: number): number {
  if (limit - start < HEADER_BYTES) return FRAME_INCOMPLETE;
  const length = int32At(buffer, start + 1);
  if (length < MIN_LENGTH || length > MAX_LENGTH) return FRAME_MALFORMED;
  const end = start + 1 + length;
  return end <= limit ? end : FRAME_INCOMPLETE;
}

/**
 * Whether `[start, end)` is one or more whole frames of known types and nothing else. Used to find a frame border again after
 * bytes were lost: a chunk that passes begins and ends at a border, short of a coincidence in its payload.
 */
export function holdsWholeFrames(direction: Direction, buffer: Uint8Array, start: number, end: number): boolean {
  let at = start;
  while (at < end) {
    if (!isKnownType(direction, buffer[at] as number)) return false;
    at = frameEndAt(buffer, at, end);
    if (at < 0) return false;
  }
  return end > start;
}
