// What a record holds of each session: what its gaps say should it be lost.
import { decodeEnvelopeBatch, type GapReason } from '@mirrorstream/envelope';

export interface RecordEntry {
  readonly owner: { readonly sessionId: string; readonly partition: number };
  /** Of a gap that was itself in the record; null for an envelope and for a session's end. */
  readonly gap: GapReason | null;
  readonly sessionSeq: number;
  readonly transactions: number;
  readonly sizeBytes: number;
}

/** Of a record that came back from the spool and was then refused: rare, so it may be decoded. */
export function recordEntries(partition: number, value: Uint8Array): readonly RecordEntry[] {
  const { records } = decodeEnvelopeBatch(value);
  // Gaps alone: told once. Kafka would refuse them again and again.
  if (!records.some(({ record }) => record.case === 'envelope')) return [];
  const share = Math.round(value.length / Math.max(1, records.length));
  return records.flatMap(({ record }): RecordEntry[] => {
    if (record.case === 'envelope') {
      const { sessionId, sessionSeq, lastPart } = record.value;
      const transactions = lastPart ? 1 : 0;
      return [
        { owner: { sessionId, partition }, gap: null, sessionSeq: Number(sessionSeq), transactions, sizeBytes: share },
      ];
    }
    if (record.case === 'sessionEnd') {
      const { sessionId, lastSeq } = record.value;
      return [
        {
          owner: { sessionId, partition },
          gap: null,
          sessionSeq: Number(lastSeq) + 1,
          transactions: 0,
          sizeBytes: share,
        },
      ];
    }
    if (record.case !== 'gap') return [];
    const { sessionId, reason, transactions, sizeBytes, afterSeq } = record.value;
    return [
      {
        owner: { sessionId, partition },
        gap: reason,
        sessionSeq: Number(afterSeq) + 1,
        transactions: Number(transactions),
        sizeBytes: Number(sizeBytes),
      },
    ];
  });
}
