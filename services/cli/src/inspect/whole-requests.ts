// The requests of a transaction, put together where one went on in a later part.
import type { Envelope } from '@mirrorstream/envelope';

export interface WholeRequest {
  /** Exchange.index. */
  readonly exchange: number;
  readonly request: Uint8Array;
}

export function wholeRequests(parts: readonly Envelope[]): readonly WholeRequest[] {
  const pieces = new Map<number, Uint8Array[]>();
  for (const { exchanges } of parts)
    for (const { index, request } of exchanges) pieces.set(index, [...(pieces.get(index) ?? []), request]);
  return [...pieces].map(([exchange, chunks]) => ({
    exchange,
    request: chunks.length === 1 ? (chunks[0] as Uint8Array) : Buffer.concat(chunks),
  }));
}
