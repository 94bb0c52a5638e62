// Sorts the transactions around a snapshot that was taken through the proxy: in it, after it, or nobody can tell. Pure.
//
//   exchanges, in the order of the merge ─► SeedWindow ─► judge(marker): exceptions to the rule by time, start offsets, what is unresolved
//
// A transaction is in the snapshot if it was answered before the snapshot was asked for. It is not if its end was sent after the
// snapshot was given. In between only one that wrote and committed matters: what the server says of its backends tells for most (see
// overlap.ts). Several snapshots are taken, and one is chosen for which nothing stays unresolved.
import { maxSeedExceptions, type SeedPlan } from '@mirrorstream/domain';
import {
  answeredBefore,
  type Envelope,
  type EnvelopeBatch,
  type OrderedExchange,
  TransactionOutcome,
} from '@mirrorstream/envelope';
import { type Place, placeOfOverlap, type SessionTransaction, type SnapshotReading } from './overlap.ts';

export interface SeedWindowOptions {
  /** Of which clocks of different hosts may differ. */
  readonly clockUncertaintyUs: number;
  /** Transactions that may be kept: what was published since the oldest one that was open. */
  readonly maxTransactions: number;
}

interface Seen {
  readonly key: string;
  readonly partition: number;
  /** Of its first part, as far as it was read. */
  readonly offset: bigint;
  readonly startedAtUs: number;
  readonly sessionId: string;
  readonly sessionSeq: number;
  first: OrderedExchange | null;
  last: OrderedExchange | null;
  /** Its last part was read. */
  envelope: Envelope | null;
  /** Its first part lies before what was read. */
  readonly partial: boolean;
}

export interface Marker {
  readonly sessionId: string;
  readonly sessionSeq: bigint;
  readonly exchange: OrderedExchange;
}

export interface SeedJudgement {
  readonly snapshotAtUs: number;
  readonly exceptions: SeedPlan['exceptions'];
  /** Committed writes that overlap the snapshot: `<sessionId>/<sessionSeq>`. The plan leaves them out. */
  readonly unresolved: readonly string[];
  /** To be played, but begun before what was read. */
  readonly beheaded: readonly string[];
  /** Per partition: the first offset with something to play; absent: nothing yet. */
  readonly startOffsets: ReadonlyMap<number, bigint>;
}

export class SeedWindow {
  readonly #options: SeedWindowOptions;
  readonly #seen = new Map<string, Seen>();
  readonly #markers = new Map<string, Marker>();
  /** Session → process id on the server. */
  readonly #backends = new Map<string, number>();
  readonly #isMarker: (exchange: OrderedExchange) => string | null;

  /** `isMarker`: the name of the marker that an exchange is; null for all others. */
  constructor(options: SeedWindowOptions, isMarker: (exchange: OrderedExchange) => string | null) {
    this.#options = options;
    this.#isMarker = isMarker;
  }

  get full(): boolean {
    return this.#seen.size > this.#options.maxTransactions;
  }

  get transactions(): number {
    return this.#seen.size;
  }

  marker(name: string): Marker | undefined {
    return this.#markers.get(name);
  }

  /** Records of a partition, in order. Repeated ones change nothing. */
  read(offset: bigint, batch: EnvelopeBatch): void {
    for (const { record } of batch.records) {
      if (record.case !== 'envelope') continue;
      const { sessionId, sessionSeq, startedAtUs, lastPart, part, context } = record.value;
      if (context !== undefined && context.backendPid !== 0) this.#backends.set(sessionId, context.backendPid);
      const key = `${sessionId}/${sessionSeq}`;
      const known = this.#seen.get(key);
      const seen = known ?? {
        key,
        partition: batch.partition,
        offset,
        startedAtUs: Number(startedAtUs),
        sessionId,
        sessionSeq: Number(sessionSeq),
        first: null,
        last: null,
        envelope: null,
        partial: part !== 0,
      };
      if (lastPart) seen.envelope = record.value;
      this.#seen.set(key, seen);
    }
  }

  /** An exchange whose time has come in the merge of all workers. */
  take(ordered: OrderedExchange): void {
    const { envelope, exchange } = ordered;
    const { sessionId, sessionSeq } = envelope;
    const seen = this.#seen.get(`${sessionId}/${sessionSeq}`);
    if (seen === undefined) return;
    if (seen.first === null || ordered.sentUs < seen.first.sentUs) seen.first = ordered;
    if (envelope.lastPart && envelope.exchanges.at(-1) === exchange) seen.last = ordered;
    const name = this.#isMarker(ordered);
    if (name !== null && ordered.doneUs !== null) this.#markers.set(name, { sessionId, sessionSeq, exchange: ordered });
  }

  /** Of all that was read before the merge had passed this marker and a while beyond. `reading`: taken with the snapshot. */
  judge(marker: Marker, reading: SnapshotReading | null): SeedJudgement {
    const { exchange } = marker;
    const snapshotAtUs = wallUs(exchange);
    const exceptions: Record<string, boolean> = {};
    const unresolved: string[] = [];
    const beheaded: string[] = [];
    const startOffsets = new Map<number, bigint>();
    const own = new Set([...this.#markers.values()].map(({ sessionId, sessionSeq }) => `${sessionId}/${sessionSeq}`));
    for (const seen of this.#seen.values()) {
      let place = own.has(seen.key) ? 'before' : this.#place(seen, exchange);
      if (place === 'unresolved' && reading !== null) place = this.#resolve(seen, exchange, reading);
      if (place === 'unresolved') unresolved.push(seen.key);
      const play = place === 'after';
      if (play !== seen.startedAtUs > snapshotAtUs) exceptions[seen.key] = play;
      if (!play) continue;
      if (seen.partial) beheaded.push(seen.key);
      const start = startOffsets.get(seen.partition);
      if (start === undefined || seen.offset < start) startOffsets.set(seen.partition, seen.offset);
    }
    return { snapshotAtUs, exceptions, unresolved, beheaded, startOffsets };
  }

  #place(seen: Seen, marker: OrderedExchange): Place {
    const { first, last, envelope } = seen;
    const { clockUncertaintyUs } = this.#options;
    if (first !== null && answeredBefore(marker, first, clockUncertaintyUs)) return 'after';
    if (envelope === null || last === null) return 'after'; // it was open when all up to the snapshot had been told
    if (answeredBefore(last, marker, clockUncertaintyUs)) return 'before';
    if (answeredBefore(marker, last, clockUncertaintyUs)) return 'after';
    const matters = envelope.writes && envelope.outcome !== TransactionOutcome.ROLLED_BACK;
    return matters ? 'unresolved' : 'after';
  }

  #resolve(seen: Seen, marker: OrderedExchange, reading: SnapshotReading): Place {
    const pid = this.#backends.get(seen.sessionId);
    const interval = intervalOf(marker);
    if (pid === undefined || interval === null || seen.first?.clock !== marker.clock) return 'unresolved';
    const session: SessionTransaction[] = [];
    let at = -1;
    for (let seq = seen.sessionSeq - 3; seq <= seen.sessionSeq + 3; seq++) {
      const { first, last } = this.#seen.get(`${seen.sessionId}/${seq}`) ?? { first: null, last: null };
      const began = intervalOf(first);
      if (began === null) continue;
      if (seq === seen.sessionSeq) at = session.length;
      session.push({ first: began, last: intervalOf(last) });
    }
    return at < 0 ? 'unresolved' : placeOfOverlap(session, at, interval, reading, reading.backends.get(pid));
  }
}

/** Null: it is none, or was never answered. */
const intervalOf = (exchange: OrderedExchange | null) =>
  exchange?.doneUs == null ? null : { sentUs: exchange.sentUs, doneUs: exchange.doneUs };

/** The moment an exchange was done, on the clock that envelopes say their start by. */
function wallUs({ envelope, exchange }: OrderedExchange): number {
  return Number(envelope.startedAtUs + exchange.doneUs);
}

/** Fewest unresolved ones first, then fewest exceptions. Null: there is none. */
export function bestSnapshot<T extends { readonly judgement: SeedJudgement }>(candidates: readonly T[]): T | null {
  const small = candidates.filter(({ judgement }) => Object.keys(judgement.exceptions).length <= maxSeedExceptions);
  const rank = ({ judgement }: T) =>
    judgement.unresolved.length * (maxSeedExceptions + 1) + Object.keys(judgement.exceptions).length;
  return small.toSorted((a, b) => rank(a) - rank(b))[0] ?? null;
}
