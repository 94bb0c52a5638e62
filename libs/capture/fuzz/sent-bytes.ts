// What a case's client sent, and how much of it no record ever holds: start-up packets, passwords, Terminate.
import { F, HEADER_BYTES, int32At } from '@mirrorstream/pg-wire';
import type { FuzzEvent } from './fuzz-case.ts';

export class SentBytes {
  /** Of either direction: a gap does not tell them apart. */
  missedBytes = 0;
  #chunks: Uint8Array[] = [];

  add(event: FuzzEvent): void {
    if (event[0] === 'F') this.#chunks.push(event[1]);
    else if (event[0] === 'missed') this.missedBytes += event[2];
  }

  get client(): Buffer {
    const all = Buffer.concat(this.#chunks);
    this.#chunks = [all];
    return all;
  }
}

/**
 * Of a client whose frames are whole: all that belongs into envelopes. The last `strayBytes` of it need not: copy messages that the
 * server ate in silence after their COPY had failed, with no transaction after them to go along with.
 */
export function clientBytesForRecords(client: Buffer): { readonly wanted: Buffer; readonly strayBytes: number } {
  const kept: Buffer[] = [];
  let strayBytes = 0;
  for (let at = startupBytes(client); at < client.length; ) {
    const type = client[at] as number;
    const end = at + 1 + int32At(client, at + 1);
    const isCopy = type === F.CopyData || type === F.CopyDone || type === F.CopyFail;
    if (type !== F.PasswordMessage && type !== F.Terminate) {
      kept.push(client.subarray(at, end));
      strayBytes = isCopy ? strayBytes + end - at : 0;
    }
    at = end;
  }
  return { wanted: Buffer.concat(kept), strayBytes };
}

/** At most so many. Copy messages that no COPY asked for are let go when they are more than a part. */
export function clientBytesOutsideRecords(client: Buffer, partBytes: number): number {
  const copied = bytesOf(client, F.CopyData) + bytesOf(client, F.CopyDone) + bytesOf(client, F.CopyFail);
  const strays = copied >= partBytes / 2 ? copied : 0;
  return startupBytes(client) + bytesOf(client, F.PasswordMessage) + bytesOf(client, F.Terminate) + strays;
}

/** Wherever a frame of this type could begin, it is taken for one. */
function bytesOf(client: Buffer, type: number): number {
  let bytes = 0;
  for (let at = client.indexOf(type); at >= 0; at = client.indexOf(type, at + 1)) {
    const left = client.length - at;
    const length = left < HEADER_BYTES ? 0 : int32At(client, at + 1);
    if (length >= 0) bytes += Math.min(left, Math.max(HEADER_BYTES, length + 1));
  }
  return bytes;
}

/** Packets without a type byte: their length's first byte is 0, which begins no message. */
function startupBytes(client: Buffer): number {
  let at = 0;
  while (at + 4 <= client.length && client[at] === 0) {
    const length = int32At(client, at);
    if (length < 8) break;
    at = Math.min(client.length, at + length);
  }
  return at;
}
