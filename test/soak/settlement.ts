// Sets what Kafka holds of each connection against what the recorder saw of it: to the transaction and to the byte.
//
// A capture worker that is killed takes along what it had seen and not published: of the connections it held, what is missing has no
// exact number. All else has: every other connection, that nothing is captured twice or invented, what the dead worker did publish,
// and everything from the next quiet point after a new worker is there.
import type { CaptureSnapshot } from '@mirrorstream/domain';
import type { Account, CapturedSession } from './account.ts';
import type { ConnectionReport } from './recorder.ts';

/** What was done to a proxy, and when, on the clock of ConnectionReport. */
export interface Incident {
  /** drained: ended in order. workerDied: its capture worker, not its connections. processDied: these as well. */
  readonly kind: 'drained' | 'workerDied' | 'processDied';
  readonly proxy: string;
  /** Of the worker that died. */
  readonly incarnation: string | null;
  /** For one that died: the oldest that it may have had unpublished. */
  readonly fromMs: number;
  /** A new one captures. */
  readonly untilMs: number;
}

export interface Totals {
  readonly connections: number;
  /** Ended in order, nothing under way: for these every number must agree. */
  readonly clean: number;
  /** Of the clean ones: those with a gap, whose bytes cannot be compared. */
  readonly withGaps: number;
  /** Held by a worker that died: a lower bound is known of them. */
  readonly touched: number;
  /** Of the clean ones among these: transactions that neither an envelope nor a gap tells of. */
  readonly lost: number;
  /** Of the touched ones: those that lived on, and all of which was captured from the next quiet point on. */
  readonly rejoined: number;
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

export interface Books {
  readonly account: Account;
  readonly connections: readonly ConnectionReport[];
  readonly snapshots: readonly CaptureSnapshot[];
  readonly incidents: readonly Incident[];
}

const mostViolations = 20;
/** Between a proxy's end of a connection and the recorder's seeing it. */
const seenWithinMs = 5_000;

export function settle({ account, connections, snapshots, incidents }: Books): Settlement {
  const violations: string[] = [];
  const byName = account.byConnection();
  const unnamed = byName.get('') ?? [];
  byName.delete('');
  const counts = { clean: 0, withGaps: 0, touched: 0, lost: 0, rejoined: 0, seen: 0 };
  const untold: { readonly report: ConnectionReport; readonly touched: boolean }[] = [];
  for (const report of connections) {
    const sessions = byName.get(report.name) ?? [];
    byName.delete(report.name);
    const touched = isTouched(report, sessions, incidents);
    counts.seen += report.transactions;
    if (report.clean) counts.clean += 1;
    if (report.clean && sessions.some(({ gaps }) => gaps > 0)) counts.withGaps += 1;
    if (touched) counts.touched += 1;
    if (touched && report.clean) counts.lost += Math.max(0, report.transactions - accountedFor(sessions));
    if (rejoinedWith(report, sessions, touched) !== null) counts.rejoined += 1;
    if (sessions.length === 0) untold.push({ report, touched });
    const wrong = [compare(report, sessions, touched, account.orphanGaps > 0), endOf(report, sessions, incidents)];
    for (const what of wrong) if (what !== null) violations.push(`${report.name}: ${what}`);
  }
  for (const [name, sessions] of byName)
    if (sessions.some(({ transactions }) => transactions > 0))
      violations.push(`${name}: captured, but no such connection was recorded`);
  if (account.orphanGaps === 0) violations.push(...againstUnnamed(untold, unnamed));
  const totals = { connections: connections.length, ...counts, ...capturedIn(account) };
  violations.push(...againstSnapshots(account, totals, snapshots, incidents));
  const more = violations.length - mostViolations;
  return { totals, violations: more > 0 ? [...violations.slice(0, mostViolations), `and ${more} more`] : violations };
}

function capturedIn(account: Account): Pick<Totals, 'captured' | 'dropped' | 'gaps' | 'requestBytes'> {
  let [captured, requestBytes, dropped] = [0, 0, 0];
  for (const session of account.sessions) {
    captured += session.transactions;
    requestBytes += session.requestBytes;
  }
  for (const transactions of account.gapTransactions.values()) dropped += transactions;
  return { captured, dropped, gaps: account.gaps, requestBytes };
}

const sum = <T>(all: readonly T[], of: (one: T) => number): number => all.reduce((total, one) => total + of(one), 0);
const accountedFor = (sessions: readonly CapturedSession[]): number =>
  sum(sessions, ({ transactions, gapTransactions }) => transactions + gapTransactions);

/** Whether a worker died that held the connection, or was to. One whose end the dead worker had published is exact all the same. */
function isTouched(
  { proxy, openedMs, endedMs }: ConnectionReport,
  sessions: readonly CapturedSession[],
  incidents: readonly Incident[],
): boolean {
  return incidents.some(
    (incident) =>
      incident.kind !== 'drained' &&
      incident.proxy === proxy &&
      openedMs <= incident.untilMs &&
      endedMs >= incident.fromMs &&
      (sessions.length === 0 ||
        sessions.some(
          ({ incarnation, ended, restarted }) => restarted || (incarnation === incident.incarnation && !ended),
        )),
  );
}

/** What is wrong with what was captured of a connection; null: nothing. */
function compare(
  report: ConnectionReport,
  sessions: readonly CapturedSession[],
  touched: boolean,
  gapsElsewhere: boolean,
): string | null {
  const [captured] = sessions;
  if (captured === undefined) return null; // see againstUnnamed
  const { transactions, clean } = report;
  const requests = requestBytesOf(report);
  const bytes = sum(sessions, ({ requestBytes }) => requestBytes);
  if (bytes > Math.max(0, requests)) return `${bytes} bytes captured of ${requests} that went by`;
  if (touched) return compareTouched(report, sessions);
  if (sessions.length > 1) return 'captured as two sessions';
  const found = accountedFor(sessions);
  // What was under way when a connection was cut off is one transaction more.
  if (captured.exact && found > transactions + (clean ? 0 : 1))
    return `${found} captured or told as missing of ${transactions}`;
  if (!clean || gapsElsewhere) return null;
  if (captured.exact && found < transactions) return `${found} captured or told as missing of ${transactions}`;
  if (captured.gaps > 0) return null;
  if (!captured.ended) return 'its end was not captured';
  return bytes === requests ? null : `${bytes} request bytes captured of ${requests}`;
}

const requestBytesOf = ({ upBytes, startupBytes, terminateBytes }: ConnectionReport): number =>
  upBytes - startupBytes - terminateBytes;

function compareTouched(report: ConnectionReport, sessions: readonly CapturedSession[]): string | null {
  const { transactions, clean, transactionsWhenBack } = report;
  if (new Set(sessions.map(({ incarnation }) => incarnation)).size < sessions.length)
    return 'captured as two sessions by one worker';
  const captured = sum(sessions, (session) => session.transactions);
  if (captured > transactions + (clean ? 0 : 1)) return `${captured} captured of ${transactions}`;
  const restarts = sessions.filter(({ restarted }) => restarted).length;
  // A gap may count the server's first word, after login, as the end of a transaction.
  const found = accountedFor(sessions);
  if (found > transactions + restarts + (clean ? 0 : 1))
    return `${found} captured or told as missing of ${transactions}`;
  const last = rejoinedWith(report, sessions, true);
  const least = transactions - (transactionsWhenBack ?? 0);
  return last === null || last.transactions >= least
    ? null
    : `${last.transactions} captured since a new worker was there, of ${least} at least`;
}

/** The session as which a new worker followed the connection to its orderly end, with nothing missing but its beginning; null: there is none. */
function rejoinedWith(
  { clean, transactionsWhenBack }: ConnectionReport,
  sessions: readonly CapturedSession[],
  touched: boolean,
): CapturedSession | null {
  if (!touched || !clean || transactionsWhenBack === null) return null;
  return sessions.find(({ ended, restarted, gaps }) => ended && restarted && gaps === 1) ?? null;
}

/** Only clients end connections, and proxies that are drained or killed end theirs. */
function endOf(
  { endedBy, proxy, endedMs }: ConnectionReport,
  sessions: readonly CapturedSession[],
  incidents: readonly Incident[],
): string | null {
  if (endedBy === 'client') return null;
  const told = incidents.some(
    ({ kind, incarnation, fromMs, untilMs, ...incident }) =>
      (kind === 'drained' ||
        (kind === 'processDied' &&
          (sessions.length === 0 || sessions.some((session) => session.incarnation === incarnation)))) &&
      incident.proxy === proxy &&
      endedMs >= fromMs &&
      endedMs <= untilMs + seenWithinMs,
  );
  return endedBy === 'proxy' && told ? null : `ended by the ${endedBy} (through the ${proxy} proxy)`;
}

/** Connections of which Kafka holds nothing under their name: together, they are what gaps of sessions without a name tell of. */
function againstUnnamed(
  untold: readonly { readonly report: ConnectionReport; readonly touched: boolean }[],
  unnamed: readonly CapturedSession[],
): string[] {
  const whole = unnamed.filter(({ restarted }) => !restarted);
  const told = sum(unnamed, ({ gapTransactions }) => gapTransactions);
  const exactly = untold.filter(({ report, touched }) => report.clean && !touched && report.transactions > 0);
  const least = sum(exactly, ({ report }) => report.transactions);
  const most =
    sum(untold, ({ report }) => report.transactions + (report.clean ? 0 : 1)) + unnamed.length - whole.length;
  const names = exactly.slice(0, 3).map(({ report }) => report.name);
  const toldOfWhole = sum(whole, ({ gapTransactions }) => gapTransactions);
  if (toldOfWhole < least && whole.every(({ exact }) => exact))
    return [`nothing captured of ${least} transactions (${names.join(', ')}), gaps tell of ${toldOfWhole}`];
  if (told > most) return [`gaps of sessions without a name tell of ${told} transactions, ${most} are not captured`];
  return [];
}

function againstSnapshots(
  account: Account,
  totals: Totals,
  snapshots: readonly CaptureSnapshot[],
  incidents: readonly Incident[],
): string[] {
  const violations: string[] = [];
  const dead = new Set(incidents.flatMap(({ incarnation }) => incarnation ?? []));
  for (const { incarnation, captureNode, final, pending, dropped } of snapshots) {
    if (!final || pending.transactions > 0)
      violations.push(`incarnation ${incarnation} of ${captureNode} has not closed its books`);
    // What a dead one lost is told by nobody, and the gaps it told last may be newer than what it counted last.
    const told = account.gapTransactions.get(incarnation) ?? 0;
    if (!dead.has(incarnation) && dropped.transactions !== told)
      violations.push(`the counters say ${dropped.transactions} dropped, gaps tell of ${told} (${incarnation})`);
  }
  const captured = sum(snapshots, ({ transactions }) => transactions);
  if (captured !== totals.captured)
    violations.push(`the counters say ${captured} captured, the topic holds ${totals.captured}`);
  for (const incarnation of dead)
    if (!snapshots.some((snapshot) => snapshot.incarnation === incarnation))
      violations.push(`nobody knows the books of ${incarnation}`);
  const dropped = sum(snapshots, (snapshot) => snapshot.dropped.transactions);
  // What was under way may have been counted as lost by the dead worker, and as missing by the new one.
  const most = totals.seen + (totals.connections - totals.clean) + 2 * totals.touched;
  if (captured + dropped > most) violations.push(`${captured} captured and ${dropped} dropped of ${totals.seen}`);
  return violations;
}
