// What Kafka holds of a soak, folded as it is read: per captured session, and per incarnation of a capture worker.
import { type EnvelopeBatch, type Gap, GapReason, type SessionContext } from '@mirrorstream/envelope';

/** What was captured of one session: one connection, or what one incarnation saw of it. */
export interface CapturedSession {
  readonly incarnation: string;
  transactions: number;
  requestBytes: number;
  gapTransactions: number;
  gaps: number;
  /** False: a gap says only how many transactions are missing at least. */
  exact: boolean;
  /** It begins in the middle of a connection, as an earlier worker died. */
  restarted: boolean;
  /** The last part that was counted: repeated records are not counted again. */
  lastSeq: bigint;
  lastPart: number;
  /** Its end is there, and so is all before it: a session's records are in one partition, in order. */
  ended: boolean;
}

export class Account {
  readonly #sessions = new Map<string, CapturedSession>();
  /** Session → the application_name of its connection. */
  readonly #names = new Map<string, string>();
  readonly #gapTransactions = new Map<string, number>();
  #orphanGaps = 0;
  #gaps = 0;

  /** Gaps told without a session: then no session's numbers are exact. */
  get orphanGaps(): number {
    return this.#orphanGaps;
  }

  get gaps(): number {
    return this.#gaps;
  }

  /** Incarnation → transactions that its gaps tell of. */
  get gapTransactions(): ReadonlyMap<string, number> {
    return this.#gapTransactions;
  }

  get sessions(): Iterable<CapturedSession> {
    return this.#sessions.values();
  }

  /** By the connection's name; under the empty name those that nothing but gaps tells of. */
  byConnection(): Map<string, CapturedSession[]> {
    const entries = [...this.#sessions].map(([id, session]) => [this.#names.get(id) ?? '', session] as const);
    const grouped = Map.groupBy(entries, ([name]) => name);
    return new Map([...grouped].map(([name, group]) => [name, group.map(([, session]) => session)]));
  }

  add(batch: EnvelopeBatch): void {
    const { incarnation } = batch;
    for (const { record } of batch.records) {
      if (record.case === 'envelope') this.#envelope(incarnation, record.value);
      else if (record.case === 'sessionStart') {
        this.#session(incarnation, record.value.sessionId);
        this.#named(record.value.sessionId, record.value.context);
      } else if (record.case === 'sessionEnd') this.#session(incarnation, record.value.sessionId).ended = true;
      else if (record.case === 'gap') this.#gap(incarnation, record.value);
    }
  }

  #gap(incarnation: string, { sessionId, transactions, transactionsExact, reason }: Gap): void {
    this.#gaps += 1;
    this.#gapTransactions.set(incarnation, (this.#gapTransactions.get(incarnation) ?? 0) + Number(transactions));
    if (sessionId === '') {
      this.#orphanGaps += 1;
      return;
    }
    const session = this.#session(incarnation, sessionId);
    session.gaps += 1;
    session.gapTransactions += Number(transactions);
    session.exact &&= transactionsExact;
    session.restarted ||= reason === GapReason.WORKER_RESTART;
  }

  #envelope(
    incarnation: string,
    envelope: Extract<EnvelopeBatch['records'][number]['record'], { case: 'envelope' }>['value'],
  ): void {
    const { sessionId, sessionSeq, part, lastPart, context, exchanges } = envelope;
    this.#named(sessionId, context);
    const session = this.#session(incarnation, sessionId);
    if (sessionSeq < session.lastSeq || (sessionSeq === session.lastSeq && part <= session.lastPart)) return;
    session.lastSeq = sessionSeq;
    session.lastPart = part;
    for (const { request } of exchanges) session.requestBytes += request.length;
    if (lastPart) session.transactions += 1;
  }

  #named(sessionId: string, context: SessionContext | undefined): void {
    const name = context?.startupParameters.find((it) => it.name === 'application_name')?.value;
    if (name !== undefined) this.#names.set(sessionId, name);
  }

  #session(incarnation: string, sessionId: string): CapturedSession {
    let session = this.#sessions.get(sessionId);
    if (session === undefined) {
      session = {
        ...{ incarnation, transactions: 0, requestBytes: 0, gapTransactions: 0, gaps: 0, exact: true },
        ...{ restarted: false, lastSeq: 0n, lastPart: -1, ended: false },
      };
      this.#sessions.set(sessionId, session);
    }
    return session;
  }
}
