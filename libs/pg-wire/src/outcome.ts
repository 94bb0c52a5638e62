// What decoding gives besides a message: an unknown type, or a malformed body with its reason and place.
import type { WireWriter } from './wire-writer.ts';

/** Why a body could not be decoded. */
export type MalformedReason =
  | 'truncated' // a field reaches past the end of the frame
  | 'trailingBytes' // the fields end before the frame does
  | 'unterminatedString' // no zero byte before the end of the frame
  | 'negativeLength' // a value's length is below -1 (-1 is NULL)
  | 'invalidValue' // a byte outside the values the manual lists (status, target, key length)
  | 'lengthMismatch'; // the frame's own length disagrees with the range that was given

/** `at` counts bytes from the beginning of the frame. Carries no value of the message. */
export type MalformedMessage = {
  readonly kind: 'malformed';
  readonly type: number;
  readonly reason: MalformedReason;
  readonly at: number;
};

/** A type byte (or an Authentication code) this protocol version does not list. `body` is a view, like every byte-valued field. */
export type UnknownMessage = { readonly kind: 'unknown'; readonly type: number; readonly body: Uint8Array };

/** An unknown message goes out as it came in. */
export function encodeUnknown(message: UnknownMessage, writer: WireWriter): void {
  writer.beginFrame(message.type);
  writer.bytes(message.body);
  writer.endFrame();
}
