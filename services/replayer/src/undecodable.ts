// What becomes of an envelopes record that nobody can decode: a dead letter, and a result that counts its transactions as failed.
import { MirrorstreamError } from '@mirrorstream/domain';
import { anonymousResult } from '@mirrorstream/envelope';
import type { IncomingRecord, OutgoingRecord, TopicPartition } from '@mirrorstream/kafka';
import type { ResultEffect } from '@mirrorstream/replay';

/** How many transactions are in it, as its header says; 0 when it does not. */
export function transactionsIn(record: IncomingRecord): number {
  const said = Number(record.headers['transactions'] ?? '0');
  return Number.isSafeInteger(said) && said > 0 ? said : 0;
}

export function reasonOf(error: unknown): string {
  return error instanceof MirrorstreamError ? error.message : 'undecodable';
}

/** The record as it came, with where it came from and why in its headers. */
export function deadLetter(
  topic: string,
  from: TopicPartition,
  record: IncomingRecord,
  reason: string,
): OutgoingRecord {
  const origin = { topic: from.topic, partition: String(from.partition), offset: String(record.offset), reason };
  const headers = { ...record.headers, ...origin };
  return { topic, partition: 0, key: null, value: record.value, headers };
}

export function undecodableResult(offset: bigint, transactions: number): ResultEffect {
  return {
    kind: 'result',
    result: {
      ...anonymousResult({ offset, index: 0 }, transactions),
      outcome: 'failed',
      reason: 'undecodable',
      order: '',
      raced: false,
    },
    resolves: [offset],
    holds: null,
    releasedBytes: 0,
  };
}
