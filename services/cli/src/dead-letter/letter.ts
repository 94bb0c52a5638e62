// One record of a dead-letter topic: where it came from, why, how many transactions it stands for, and whether it can be read now.
import {
  decodeEnvelopeBatch,
  decodeResultAccount,
  decodeResultBatch,
  resultAccountHeader,
  settledBy,
} from '@mirrorstream/envelope';
import type { IncomingRecord } from '@mirrorstream/kafka';

export interface Letter {
  /** In the dead-letter topic. */
  readonly offset: bigint;
  readonly setAsideAtMs: number;
  readonly from: { readonly topic: string; readonly partition: number; readonly offset: string };
  readonly reason: string;
  /** Counted as failed because of it; null: it does not say. */
  readonly transactions: number | null;
  readonly kind: 'envelopes' | 'results';
  readonly headers: Readonly<Record<string, string>>;
  readonly value: Uint8Array;
}

export function readLetter({ offset, timestampMs, headers, value }: IncomingRecord): Letter {
  const topic = headers['topic'] ?? '';
  const kind = topic.endsWith('.results') ? 'results' : 'envelopes';
  return {
    offset,
    setAsideAtMs: timestampMs,
    from: { topic, partition: Number(headers['partition'] ?? Number.NaN), offset: headers['offset'] ?? '' },
    reason: headers['reason'] ?? '',
    transactions: kind === 'results' ? countedOf(headers) : numberOf(headers['transactions']),
    kind,
    headers,
    value: value ?? new Uint8Array(0),
  };
}

/** A letter can be set aside again when its owner dies; it is the same letter. */
export const originOf = ({ from }: Letter): string => `${from.topic}/${from.partition}/${from.offset}`;

function countedOf(headers: Letter['headers']): number | null {
  const account = decodeResultAccount(headers[resultAccountHeader]);
  const settled = account === null ? [] : [...account.sessions, ...account.anonymous];
  const said = account === null ? null : settled.reduce((sum, { transactions }) => sum + transactions, 0);
  return numberOf(headers['counted']) ?? said;
}

function numberOf(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

export type Reading =
  | { readonly readable: true; readonly lines: readonly string[]; readonly transactions: number }
  | { readonly readable: false; readonly reason: string };

/** What this version makes of it: names and numbers, never a statement or a value. */
export function readAgain(letter: Letter): Reading {
  try {
    return letter.kind === 'results' ? ofResults(letter.value) : ofEnvelopes(letter.value);
  } catch (error) {
    return { readable: false, reason: error instanceof Error ? error.message : 'undecodable' };
  }
}

function ofEnvelopes(value: Uint8Array): Reading {
  const { source, captureNode, incarnation, records } = decodeEnvelopeBatch(value);
  let transactions = 0;
  const lines = [`source ${source}, captured by ${captureNode}, incarnation ${incarnation}`];
  for (const { record } of records) {
    if (record.case !== 'envelope') {
      lines.push(record.case ?? 'a record of a kind that this version does not know');
      continue;
    }
    const { sessionId, sessionSeq, part, lastPart, exchanges } = record.value;
    transactions += lastPart ? 1 : 0;
    const place = part === 0 && lastPart ? '' : `, part ${part}${lastPart ? ', the last' : ''}`;
    lines.push(`session ${sessionId} transaction ${sessionSeq}${place}: ${exchanges.length} exchanges`);
  }
  return { readable: true, lines, transactions };
}

function ofResults(value: Uint8Array): Reading {
  const { environment, mirror, replayer, results } = decodeResultBatch(value);
  let transactions = 0;
  const lines = [`environment ${environment}, mirror ${mirror}, replayer ${replayer}`];
  for (const result of results) {
    const { ref, statements, sessionEnd } = result;
    if (ref === undefined) continue;
    transactions += settledBy(result);
    const what = sessionEnd ? 'end' : `transaction ${ref.sessionSeq}: ${statements.length} statements`;
    const anonymous = `${result.transactions} transactions of envelopes record ${ref.offset}`;
    lines.push(ref.sessionId === '' ? anonymous : `session ${ref.sessionId} ${what}`);
  }
  return { readable: true, lines, transactions };
}
