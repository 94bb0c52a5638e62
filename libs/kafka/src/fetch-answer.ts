// What a Fetch answer holds, and the records in it that were asked for.
import type { IncomingRecord } from './port.ts';

export interface FetchAnswer {
  readonly errorCode?: number;
  readonly responses: readonly { readonly topicName: string; readonly partitions: readonly FetchedPartition[] }[];
}

export interface FetchedPartition {
  readonly partition: number;
  readonly errorCode: number;
  readonly highWatermark: string;
  readonly messages: readonly FetchedMessage[];
}

interface FetchedMessage {
  readonly offset: string;
  readonly timestamp: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers?: Readonly<Record<string, Buffer | string | readonly (Buffer | string)[] | null>>;
  readonly isControlRecord?: boolean;
}

/**
 * The broker answers with whole batches, which may begin before the offset asked for. `next` is the offset to ask for
 * next: behind the last record, delivered or not.
 */
export function incomingRecords(
  { messages }: FetchedPartition,
  position: bigint,
): { readonly records: readonly IncomingRecord[]; readonly next: bigint } {
  const records: IncomingRecord[] = [];
  let next = position;
  for (const message of messages) {
    const offset = BigInt(message.offset);
    if (offset < position) continue;
    next = offset + 1n;
    if (message.isControlRecord === true) continue;
    const { key, value } = message;
    records.push({ offset, timestampMs: Number(message.timestamp), key, value, headers: textHeaders(message.headers) });
  }
  return { records, next };
}

const noHeaders: Readonly<Record<string, string>> = Object.freeze({});

function textHeaders(headers: FetchedMessage['headers']): Readonly<Record<string, string>> {
  if (headers === undefined) return noHeaders;
  let text: Record<string, string> | undefined;
  for (const name in headers) {
    const value = headers[name];
    const last = Array.isArray(value) ? value.at(-1) : value;
    text ??= {};
    text[name] = last === null || last === undefined ? '' : last.toString();
  }
  return text ?? noHeaders;
}
