// What a results record settles, said beside its value in a header, so that a record nobody can decode is still accounted for.
//
//   header `settles`   {"upTo": "<offset>",
//                       "sessions": {"<session id>": [<transactions>, <first session_seq>, <last session_seq>], …},
//                       "anonymous": [["<offset>", <index>, <transactions>], …]}
// Only whole transactions (last parts) count, in the session's order. What has no session (records nobody could decode, what was captured
// before a seed) stands at its place in the envelopes; left out where there is none.

export const resultAccountHeader = 'settles';
/** Of a results record that was a dead letter: the offset it had when nobody could decode it, in the same partition. */
export const retryHeader = 'retry-of';

/** Of results that were made for what a dead letter does not tell of: `<offset it had>/<which of several records>`. */
export const missingHeader = 'missing-of';

export interface ResultAccount {
  /** The highest envelopes offset that a result in the record is about; -1 when there is none. */
  readonly upTo: bigint;
  readonly sessions: readonly SettledSession[];
  readonly anonymous: readonly SettledPlace[];
}

/** Of transactions without a session. */
export interface SettledPlace {
  readonly offset: bigint;
  readonly index: number;
  readonly transactions: number;
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
    readonly index: number;
    readonly sessionId: string;
    readonly sessionSeq: bigint;
    readonly lastPart: boolean;
  };
  readonly sessionEnd: boolean;
  readonly transactions: number;
}

/** How many a result settles: a last part is a transaction, only what has no session can stand for another number. */
export function settledBy({
  ref,
  sessionEnd,
  transactions,
}: {
  readonly ref?: { readonly sessionId: string; readonly lastPart: boolean } | undefined;
  readonly sessionEnd: boolean;
  readonly transactions: number;
}): number {
  if (ref === undefined || sessionEnd) return 0;
  if (ref.sessionId === '') return transactions;
  return ref.lastPart ? 1 : 0;
}

export function encodeResultAccount(results: readonly Settling[]): string {
  let upTo = -1n;
  const sessions = new Map<string, [transactions: number, firstSeq: number, lastSeq: number]>();
  const anonymous: [offset: string, index: number, transactions: number][] = [];
  for (const { ref, sessionEnd, transactions } of results) {
    if (ref.offset > upTo) upTo = ref.offset;
    if (ref.sessionId === '') anonymous.push([String(ref.offset), ref.index, transactions]);
    if (sessionEnd || !ref.lastPart || ref.sessionId === '') continue;
    const seq = Number(ref.sessionSeq);
    const known = sessions.get(ref.sessionId);
    if (known === undefined) sessions.set(ref.sessionId, [1, seq, seq]);
    else {
      known[0] += 1;
      known[2] = seq;
    }
  }
  const said = { upTo: String(upTo), sessions: Object.fromEntries(sessions) };
  return JSON.stringify(anonymous.length === 0 ? said : { ...said, anonymous });
}

/** Null: it does not say, like a record from before the header was written. */
export function decodeResultAccount(header: string | undefined): ResultAccount | null {
  if (header === undefined) return null;
  try {
    const { upTo, sessions, anonymous } = JSON.parse(header) as {
      readonly upTo: string;
      readonly sessions: object;
      readonly anonymous?: readonly unknown[];
    };
    return {
      upTo: BigInt(upTo),
      sessions: Object.entries(sessions).map(([sessionId, numbers]) => settled(sessionId, numbers)),
      anonymous: (anonymous ?? []).map(placeOf),
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

function placeOf(place: unknown): SettledPlace {
  const [offset, index, transactions] = Array.isArray(place) ? (place as unknown[]) : [];
  if (typeof offset !== 'string' || !isCount(index) || !isCount(transactions))
    throw new TypeError('it is no offset, index and count');
  return { offset: BigInt(offset), index, transactions };
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
