// What the results of one partition settle, and which captured transactions none of them does. Pure.
import {
  decodeResultAccount,
  decodeResultBatch,
  type EnvelopeBatch,
  resultAccountHeader,
} from '@mirrorstream/envelope';
import type { IncomingRecord } from '@mirrorstream/kafka';

/** A captured transaction, by the place of its last part. */
export interface CapturedPlace {
  readonly offset: bigint;
  readonly index: number;
  /** '' with what nobody could decode. */
  readonly sessionId: string;
  readonly sessionSeq: bigint;
  readonly part: number;
  readonly transactions: number;
}

/** Sequence numbers [first, last], ascending. */
interface Span {
  readonly first: number;
  last: number;
}

export class SettledTransactions {
  readonly #sessions = new Map<string, Span[]>();
  readonly #places = new Set<bigint>();
  /** The lowest envelopes offset that a result of a session is about; null: there is none. */
  lowestOffset: bigint | null = null;
  /** A seed counted what was before it, without results of its own. */
  seeded = false;

  take({ value, headers }: Pick<IncomingRecord, 'value' | 'headers'>): void {
    let batch: ReturnType<typeof decodeResultBatch>;
    try {
      batch = decodeResultBatch(value ?? new Uint8Array(0));
    } catch {
      this.#takeAccount(headers[resultAccountHeader]);
      return;
    }
    for (const { ref, sessionEnd, reason } of batch.results) {
      if (ref === undefined || sessionEnd) continue;
      if (ref.sessionId === '') {
        this.#places.add(ref.offset);
        this.seeded ||= reason === 'beforeSeed';
        continue;
      }
      if (this.lowestOffset === null || ref.offset < this.lowestOffset) this.lowestOffset = ref.offset;
      if (ref.lastPart) this.#add(ref.sessionId, Number(ref.sessionSeq), Number(ref.sessionSeq));
    }
  }

  has({ sessionId, sessionSeq, offset }: CapturedPlace): boolean {
    if (sessionId === '') return this.#places.has(offset);
    const seq = Number(sessionSeq);
    return (this.#sessions.get(sessionId) ?? []).some(({ first, last }) => first <= seq && seq <= last);
  }

  #takeAccount(header: string | undefined): void {
    const account = decodeResultAccount(header);
    for (const { sessionId, firstSeq, lastSeq } of account?.sessions ?? []) this.#add(sessionId, firstSeq, lastSeq);
    for (const { offset } of account?.anonymous ?? []) this.#places.add(offset);
  }

  /** Results of a session come in its order: a session has one span, and one more for each hole. */
  #add(sessionId: string, first: number, last: number): void {
    const spans = this.#sessions.get(sessionId) ?? [];
    this.#sessions.set(sessionId, spans);
    const newest = spans.at(-1);
    if (newest !== undefined && first >= newest.first && first <= newest.last + 1) {
      if (last > newest.last) newest.last = last;
    } else spans.push({ first, last });
  }
}

/** Whole transactions of a record that was captured, and not settled. `batch` null: nobody can decode it. */
export function unsettledOf(
  { offset, headers }: Pick<IncomingRecord, 'offset' | 'headers'>,
  batch: EnvelopeBatch | null,
  settled: SettledTransactions,
): CapturedPlace[] {
  const places: CapturedPlace[] = [];
  if (batch === null) {
    const said = Number(headers['transactions'] ?? '0');
    const transactions = Number.isSafeInteger(said) && said > 0 ? said : 0;
    if (transactions > 0) places.push({ offset, index: 0, sessionId: '', sessionSeq: 0n, part: 0, transactions });
  } else {
    batch.records.forEach(({ record }, index) => {
      if (record.case !== 'envelope' || !record.value.lastPart) return;
      const { sessionId, sessionSeq, part } = record.value;
      places.push({ offset, index, sessionId, sessionSeq, part, transactions: 1 });
    });
  }
  return places.filter((place) => !settled.has(place));
}
