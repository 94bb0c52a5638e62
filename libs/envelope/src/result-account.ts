// What a results record settles, said beside its value in a header, so that a record nobody can decode is still accounted for.
//
//   header `settles`   {"upTo": "<offset>", "sessions": {"<session id>": [<transactions>, <first session_seq>, <last session_seq>], …}}
// Only whole transactions (last parts) count, in the session's order.

export const resultAccountHeader = 'settles';
/** Of a results record that was a dead letter: the offset it had when nobody could decode it, in the same partition. */
export const retryHeader = 'retry-of';

export interface ResultAccount {
  /** The highest envelopes offset that a result in the record is about; -1 when there is none. */
  readonly upTo: bigint;
  readonly sessions: readonly SettledSession[];
}

/** Of one session in one record. */
export interface SettledSession {
  readonly sessionId: string;
  readonly transactions: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
}

interface Settling {
  readonly ref: {
    readonly offset: bigint;
    readonly sessionId: string;
    readonly sessionSeq: bigint;
    readonly lastPart: boolean;
  };
  readonly sessionEnd: boolean;
}

export function encodeResultAccount(results: readonly Settling[]): string {
  let upTo = -1n;
  const sessions = new Map<string, [transactions: number, firstSeq: number, lastSeq: number]>();
  for (const { ref, sessionEnd } of results) {
    if (ref.offset > upTo) upTo = ref.offset;
    if (sessionEnd || !ref.lastPart || ref.sessionId === '') continue;
    const seq = Number(ref.sessionSeq);
    const known = sessions.get(ref.sessionId);
    if (known === undefined) sessions.set(ref.sessionId, [1, seq, seq]);
    else {
      known[0] += 1;
      known[2] = seq;
    }
  }
  return JSON.stringify({ upTo: String(upTo), sessions: Object.fromEntries(sessions) });
}

/** Null: it does not say, like a record from before the header was written. */
export function decodeResultAccount(header: string | undefined): ResultAccount | null {
  if (header === undefined) return null;
  try {
    const { upTo, sessions } = JSON.parse(header) as { readonly upTo: string; readonly sessions: object };
    return {
      upTo: BigInt(upTo),
      sessions: Object.entries(sessions).map(([sessionId, numbers]) => settled(sessionId, numbers)),
    };
  } catch {
    return null;
  }
}

function settled(sessionId: string, numbers: unknown): SettledSession {
  if (!Array.isArray(numbers) || numbers.length !== 3 || !numbers.every((it) => Number.isSafeInteger(it) && it > 0))
    throw new TypeError(`what ${sessionId} settled is no count and two sequence numbers`);
  const [transactions, firstSeq, lastSeq] = numbers as [number, number, number];
  if (transactions > lastSeq - firstSeq + 1) throw new RangeError(`${transactions} of ${firstSeq} to ${lastSeq}`);
  return { sessionId, transactions, firstSeq, lastSeq };
}
