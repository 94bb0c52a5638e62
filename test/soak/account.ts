// Sets what Kafka holds of each connection against what the recorder saw of it: to the transaction and to the byte.
import type { CaptureSnapshot } from '@mirrorstream/domain';
import type { EnvelopeBatch, SessionContext } from '@mirrorstream/envelope';
import type { ConnectionReport } from './recorder.ts';

/** What was captured of one session. */
interface Captured {
  transactions: number;
  requestBytes: number;
  gapTransactions: number;
  gaps: number;
  /** False: a gap says only how many transactions are missing at least. */
  exact: boolean;
  /** The last part that was counted, as one number: repeated records are not counted again. */
  lastSeq: bigint;
  lastPart: number;
  ended: boolean;
}

export interface Totals {
  readonly connections: number;
  /** Ended in order, nothing under way: for these every number must agree. */
  readonly clean: number;
  /** Of the clean ones: those with a gap, whose bytes cannot be compared. */
  readonly withGaps: number;
  /** By the server's own ReadyForQuery. */
  readonly seen: number;
  readonly captured: number;
  readonly dropped: number;
  readonly gaps: number;
  readonly requestBytes: number;
}

export interface Settlement {
  readonly totals: Totals;
  readonly violations: readonly string[];
}

const mostViolations = 20;

export class Account {
  readonly #sessions = new Map<string, Captured>();
  /** Session → the application_name of its connection. */
  readonly #names = new Map<string, string>();
  /** Gaps told without a session. */
  #orphanGaps = 0;
  #gapTransactions = 0;
  #gaps = 0;

  add(batch: EnvelopeBatch): void {
    for (const { record } of batch.records) {
      if (record.case === 'envelope') this.#envelope(record.value);
      else if (record.case === 'sessionStart') this.#named(record.value.sessionId, record.value.context);
      else if (record.case === 'sessionEnd') this.#session(record.value.sessionId).ended = true;
      else if (record.case === 'gap') {
        const { sessionId, transactions, transactionsExact } = record.value;
        this.#gaps += 1;
        this.#gapTransactions += Number(transactions);
        if (sessionId === '') this.#orphanGaps += 1;
        const session = this.#session(sessionId);
        session.gaps += 1;
        session.gapTransactions += Number(transactions);
        session.exact &&= transactionsExact;
      }
    }
  }

  #envelope(envelope: Extract<EnvelopeBatch['records'][number]['record'], { case: 'envelope' }>['value']): void {
    const { sessionId, sessionSeq, part, lastPart, context, exchanges } = envelope;
    this.#named(sessionId, context);
    const session = this.#session(sessionId);
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

  #session(sessionId: string): Captured {
    let session = this.#sessions.get(sessionId);
    if (session === undefined) {
      session = {
        ...{ transactions: 0, requestBytes: 0, gapTransactions: 0, gaps: 0, exact: true },
        ...{ lastSeq: 0n, lastPart: -1, ended: false },
      };
      this.#sessions.set(sessionId, session);
    }
    return session;
  }

  settle(connections: readonly ConnectionReport[], snapshots: readonly CaptureSnapshot[]): Settlement {
    const violations: string[] = [];
    const byName = this.#byName(violations);
    let clean = 0;
    let withGaps = 0;
    for (const connection of connections) {
      const captured = byName.get(connection.name);
      byName.delete(connection.name);
      if (connection.clean) clean += 1;
      if (connection.clean && (captured?.gaps ?? 0) > 0) withGaps += 1;
      const wrong = compare(connection, captured, this.#orphanGaps > 0);
      if (wrong !== null) violations.push(`${connection.name}: ${wrong}`);
    }
    for (const [name, { transactions }] of byName)
      if (name !== '' && transactions > 0) violations.push(`${name}: captured, but no such connection was recorded`);
    const totals = this.#totals(connections, clean, withGaps);
    violations.push(...againstSnapshots(totals, snapshots));
    const more = violations.length - mostViolations;
    return { totals, violations: more > 0 ? [...violations.slice(0, mostViolations), `and ${more} more`] : violations };
  }

  #byName(violations: string[]): Map<string, Captured> {
    const byName = new Map<string, Captured>();
    for (const [sessionId, captured] of this.#sessions) {
      const name = this.#names.get(sessionId) ?? '';
      if (name !== '' && byName.has(name)) violations.push(`${name}: captured as two sessions`);
      byName.set(name, captured);
    }
    return byName;
  }

  #totals(connections: readonly ConnectionReport[], clean: number, withGaps: number): Totals {
    let [captured, requestBytes, seen] = [0, 0, 0];
    for (const session of this.#sessions.values()) {
      captured += session.transactions;
      requestBytes += session.requestBytes;
    }
    for (const { transactions } of connections) seen += transactions;
    const dropped = this.#gapTransactions;
    return {
      connections: connections.length,
      clean,
      withGaps,
      seen,
      captured,
      dropped,
      gaps: this.#gaps,
      requestBytes,
    };
  }
}

/** What is wrong with what was captured of a connection; null: nothing. */
function compare(connection: ConnectionReport, captured: Captured | undefined, gapsElsewhere: boolean): string | null {
  const { transactions, clean, upBytes, startupBytes, terminateBytes } = connection;
  if (captured === undefined) return clean && transactions > 0 && !gapsElsewhere ? 'nothing of it was captured' : null;
  const requests = upBytes - startupBytes - terminateBytes;
  if (captured.requestBytes > Math.max(0, requests))
    return `${captured.requestBytes} bytes captured of ${requests} that went by`;
  const found = captured.transactions + captured.gapTransactions;
  // What was under way when a connection was cut off is one transaction more.
  if (captured.exact && found > transactions + (clean ? 0 : 1))
    return `${found} captured or told as missing of ${transactions}`;
  if (!clean || gapsElsewhere) return null;
  if (captured.exact && found < transactions) return `${found} captured or told as missing of ${transactions}`;
  if (captured.gaps > 0) return null;
  if (!captured.ended) return 'its end was not captured';
  return captured.requestBytes === requests ? null : `${captured.requestBytes} request bytes captured of ${requests}`;
}

function againstSnapshots(totals: Totals, snapshots: readonly CaptureSnapshot[]): string[] {
  const violations: string[] = [];
  let [captured, dropped] = [0, 0];
  for (const snapshot of snapshots) {
    captured += snapshot.transactions;
    dropped += snapshot.dropped.transactions;
    if (!snapshot.final || snapshot.pending.transactions > 0)
      violations.push(`incarnation ${snapshot.incarnation} of ${snapshot.captureNode} has not closed its books`);
  }
  if (captured !== totals.captured)
    violations.push(`the counters say ${captured} captured, the topic holds ${totals.captured}`);
  if (dropped !== totals.dropped)
    violations.push(`the counters say ${dropped} dropped, gaps tell of ${totals.dropped}`);
  return violations;
}
