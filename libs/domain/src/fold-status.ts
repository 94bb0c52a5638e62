// Folds the snapshots of all services into one status in which the accounting identity always holds.
//
// Snapshots are taken at different moments: a comparer may have counted a transaction that no capture snapshot shows yet. Such a
// comparer snapshot is held back until the capture side has caught up, so that every status shown is one that was true. An excess
// that stays is an accounting problem, reported after a bound.
import type { StatementClass, TransactionOutcomeName } from './outcomes.ts';
import { statementClasses, transactionOutcomes } from './outcomes.ts';
import { shedStages } from './shed.ts';
import {
  type CaptureSnapshot,
  type ComparerSnapshot,
  type ReplayerSnapshot,
  type Snapshot,
  snapshotKey,
} from './snapshot.ts';
import type { MirrorStatus, Status } from './status.ts';

export interface FoldScope {
  /** Name of the source. */
  readonly source: string;
  readonly environment: string;
  /** The mirrors to show, also those that have not counted anything yet. */
  readonly mirrors: readonly string[];
}

export interface FoldLimits {
  /** Comparer snapshots held back per partition; the older ones between are forgotten first. */
  readonly heldBackPerPartition: number;
  /** For how long a comparer may be ahead of capture before it counts as a problem. */
  readonly excessBoundMs: number;
  /** A replayer that has not spoken for this long is taken to stand still: its age is added to behindSourceMs. */
  readonly silentAfterMs: number;
}

export const defaultFoldLimits: FoldLimits = { heldBackPerPartition: 32, excessBoundMs: 15_000, silentAfterMs: 15_000 };

/** One thing that breaks the promise that every transaction is accounted for. */
export interface AccountingProblem {
  readonly mirror: string;
  readonly message: string;
}

/** The counts of one partition of one mirror: what is shown, and what is newer but not yet covered by capture. */
interface PartitionCounts {
  shown: ComparerSnapshot | undefined;
  heldBack: ComparerSnapshot[];
}

interface MirrorCounts {
  readonly partitions: Map<number, PartitionCounts>;
  /** Ahead of capture since then; over as soon as capture counts as much as was resolved at that moment. */
  excess: { readonly sinceMs: number; readonly resolved: number } | undefined;
}

/** Keeps the newest snapshots and folds them on demand. `add` in the order of the status topic. */
export class StatusFolder {
  readonly #scope: FoldScope;
  readonly #limits: FoldLimits;
  readonly #captures = new Map<string, CaptureSnapshot>();
  readonly #replayers = new Map<string, ReplayerSnapshot>();
  readonly #mirrors: ReadonlyMap<string, MirrorCounts>;

  constructor(scope: FoldScope, limits: FoldLimits = defaultFoldLimits) {
    this.#scope = scope;
    this.#limits = limits;
    this.#mirrors = new Map(scope.mirrors.map((name) => [name, { partitions: new Map(), excess: undefined }] as const));
  }

  /** Takes the next snapshot; those of other sources, environments and mirrors are ignored. */
  add(snapshot: Snapshot): void {
    switch (snapshot.kind) {
      case 'capture':
        if (snapshot.source === this.#scope.source) this.#captures.set(snapshotKey(snapshot), snapshot);
        return;
      case 'replayer':
        if (this.#covers(snapshot)) this.#replayers.set(snapshotKey(snapshot), snapshot);
        return;
      case 'comparer':
        if (this.#covers(snapshot)) this.#hold(snapshot);
        return;
      case 'run':
      case 'import':
        return;
      default:
        snapshot satisfies never;
    }
  }

  /** The newest status in which captured ≥ resolved for every mirror. */
  status(nowMs: number): Status {
    const source = foldCaptures(this.#scope.source, this.#captures.values());
    const mirrors: Record<string, MirrorStatus> = {};
    for (const [name, counts] of this.#mirrors) {
      this.#release(counts, source.transactions, nowMs);
      mirrors[name] = this.#mirrorStatus(name, counts, source.transactions, nowMs);
    }
    return { schema: 'mirrorstream.status/1', source, mirrors };
  }

  /** Whether some comparer has counted more than the status shows. */
  holdsBack(): boolean {
    return [...this.#mirrors.values()].some((mirror) => isAhead(mirror));
  }

  /** Whether all that a capture node ever was has published its final snapshot. */
  captureEnded(captureNode: string): boolean {
    const own = [...this.#captures.values()].filter((snapshot) => snapshot.captureNode === captureNode);
    return own.length > 0 && own.every((snapshot) => snapshot.final);
  }

  /** Client connections open now, as the running proxies say. */
  openSessions(): number {
    return sum([...this.#captures.values()].filter((snapshot) => !snapshot.final).map((one) => one.sessions.open));
  }

  /** What capture has seen and Kafka has not acknowledged yet, in transactions. */
  pendingTransactions(): number {
    return sum(
      [...this.#captures.values()].filter((snapshot) => !snapshot.final).map((one) => one.pending.transactions),
    );
  }

  /** Results recognised as repeated, per mirror: what the mirror may have executed twice. */
  duplicates(mirror: string): number {
    return sum([...(this.#mirrors.get(mirror)?.partitions.values() ?? [])].map((one) => one.shown?.duplicates ?? 0));
  }

  /** `<outcome>/<reason>` → transactions, of one mirror, as far as shown. */
  reasons(mirror: string): ReadonlyMap<string, number> {
    const total = new Map<string, number>();
    for (const { shown } of this.#mirrors.get(mirror)?.partitions.values() ?? []) {
      for (const [reason, count] of Object.entries(shown?.reasons ?? {})) {
        total.set(reason, (total.get(reason) ?? 0) + count);
      }
    }
    return total;
  }

  /** Mirrors whose comparers have been ahead of capture for longer than the bound. Call after `status`. */
  problems(nowMs: number): AccountingProblem[] {
    const problems: AccountingProblem[] = [];
    const captured = sum([...this.#captures.values()].map((snapshot) => snapshot.transactions));
    for (const [name, mirror] of this.#mirrors) {
      const excess = mirror.excess;
      if (excess === undefined || nowMs - excess.sinceMs < this.#limits.excessBoundMs) continue;
      const forSeconds = Math.round((nowMs - excess.sinceMs) / 1000);
      problems.push({
        mirror: name,
        message: `mirror ${name} has resolved ${excess.resolved} transactions but capture counts only ${captured}, for ${forSeconds} s`,
      });
    }
    return problems;
  }

  #covers(snapshot: ReplayerSnapshot | ComparerSnapshot): boolean {
    // A run has an account of its own: its window's.
    if (snapshot.run !== undefined) return false;
    return snapshot.environment === this.#scope.environment && this.#mirrors.has(snapshot.mirror);
  }

  #hold(snapshot: ComparerSnapshot): void {
    const partitions = this.#mirrors.get(snapshot.mirror)?.partitions;
    const counts = partitions?.get(snapshot.partition) ?? { shown: undefined, heldBack: [] };
    partitions?.set(snapshot.partition, counts);
    counts.heldBack.push(snapshot);
    // The oldest of those held back is the one most likely to be released next; the one after it is the least useful.
    if (counts.heldBack.length > this.#limits.heldBackPerPartition) counts.heldBack.splice(1, 1);
  }

  /** Shows, partition by partition, the newest snapshot that keeps the mirror's sum within what capture counts. */
  #release(mirror: MirrorCounts, captured: number, nowMs: number): void {
    let resolved = sum([...mirror.partitions.values()].map((one) => resolvedOf(one.shown)));
    for (const counts of mirror.partitions.values()) {
      const before = resolvedOf(counts.shown);
      const at = counts.heldBack.findLastIndex((snapshot) => resolved - before + resolvedOf(snapshot) <= captured);
      if (at < 0) continue;
      counts.shown = counts.heldBack[at];
      counts.heldBack.splice(0, at + 1);
      resolved += resolvedOf(counts.shown) - before;
    }
    if (mirror.excess !== undefined && captured >= mirror.excess.resolved) mirror.excess = undefined;
    if (isAhead(mirror)) mirror.excess ??= { sinceMs: nowMs, resolved: newestResolved(mirror) };
  }

  #mirrorStatus(name: string, counts: MirrorCounts, captured: number, nowMs: number): MirrorStatus {
    const shown = [...counts.partitions.values()].flatMap((one) => (one.shown === undefined ? [] : [one.shown]));
    const outcomes = addUp(transactionOutcomes, (outcome: TransactionOutcomeName) =>
      sum(shown.map((one) => one.outcomes[outcome])),
    );
    const resolved = sum(Object.values(outcomes));
    const replayers = [...this.#replayers.values()].filter((one) => one.mirror === name && !one.final);
    const speaking = replayers.filter(({ atMs }) => nowMs - atMs <= this.#limits.silentAfterMs);
    return {
      transactions: { captured, ...outcomes, inFlight: captured - resolved },
      statements: addUp(statementClasses, (name: StatementClass) => sum(shown.map((one) => one.statements[name]))),
      ...foldLag(replayers, captured > resolved, nowMs, this.#limits.silentAfterMs),
      ...foldPlaying(speaking),
      ...foldPacing(speaking),
    };
  }
}

/** Folds a set of snapshots once. Where nothing older is known to show instead, a comparer ahead of capture counts as 0. */
export function foldStatus(snapshots: Iterable<Snapshot>, scope: FoldScope & { readonly nowMs: number }): Status {
  const folder = new StatusFolder(scope);
  for (const snapshot of snapshots) folder.add(snapshot);
  return folder.status(scope.nowMs);
}

/**
 * What is wrong with a status. Always: captured must be the sum of the outcomes and what is in flight, and no number negative.
 * With `drained`, also: nothing may be in flight and no record unread.
 */
export function accountingProblems(status: Status, { drained }: { readonly drained: boolean }): AccountingProblem[] {
  const problems: AccountingProblem[] = [];
  for (const [mirror, { transactions, consumerLag }] of Object.entries(status.mirrors)) {
    const add = (message: string): void => void problems.push({ mirror, message: `mirror ${mirror}: ${message}` });
    const { captured, inFlight } = transactions;
    const resolved = sum(transactionOutcomes.map((outcome) => transactions[outcome]));
    if (captured !== status.source.transactions) {
      add(`captured is ${captured}, the source says ${status.source.transactions}`);
    }
    if (captured !== resolved + inFlight)
      add(`captured ${captured} is not resolved ${resolved} + in flight ${inFlight}`);
    for (const [name, count] of Object.entries(transactions)) if (count < 0) add(`${name} is ${count}`);
    if (drained && inFlight !== 0) add(`${inFlight} of ${captured} transactions are still in flight`);
    if (drained && consumerLag !== 0) add(`${consumerLag} records are still unread`);
  }
  return problems;
}

function foldCaptures(name: string, captures: Iterable<CaptureSnapshot>): Status['source'] {
  const source = {
    ...{ name, sessions: 0, transactions: 0, exchanges: 0, bytes: 0 },
    dropped: { transactions: 0, bytes: 0 },
    leftOut: { sessions: 0, bytes: 0 },
  };
  for (const snapshot of captures) {
    source.sessions += snapshot.sessions.total;
    source.transactions += snapshot.transactions;
    source.exchanges += snapshot.exchanges;
    source.bytes += snapshot.bytes;
    source.dropped.transactions += snapshot.dropped.transactions;
    source.dropped.bytes += snapshot.dropped.bytes;
    for (const { sessions, bytes } of Object.values(snapshot.leftOut ?? {})) {
      source.leftOut.sessions += sessions;
      source.leftOut.bytes += bytes;
    }
  }
  return source;
}

function foldPlaying(replayers: readonly ReplayerSnapshot[]): Pick<MirrorStatus, 'playing'> {
  const said = replayers.flatMap(({ admission }) => (admission === undefined ? [] : [admission]));
  const [first] = said;
  if (first === undefined) return {};
  const both = (of: 'sessions' | 'transactions') => ({
    seen: sum(said.map((each) => each[of].seen)),
    played: sum(said.map((each) => each[of].played)),
  });
  const stages = said.map(({ shedding }) => shedStages.indexOf(shedding.stage));
  return {
    playing: {
      paused: said.some(({ replay }) => replay === 'paused'),
      exposure: Math.max(...said.map(({ exposure }) => exposure)),
      sessions: both('sessions'),
      transactions: both('transactions'),
      shedding: shedStages[Math.max(...stages)] ?? 'none',
    },
  };
}

/** Quantiles cannot be added up: those of the latest replayer are a bound for all. */
function foldPacing(replayers: readonly ReplayerSnapshot[]): Pick<MirrorStatus, 'pacing'> {
  const said = [...replayers]
    .sort((a, b) => b.atMs - a.atMs)
    .flatMap(({ pacing }) => (pacing === undefined ? [] : [pacing]));
  const [newest] = said;
  if (newest === undefined) return {};
  const total = (of: 'orderGivenUp' | 'outOfOrder' | 'divergedByOrder') => sum(said.map((each) => each[of]));
  const latest = (of: 'p50' | 'p99' | 'max') => Math.max(...said.map(({ scheduleLagMs }) => scheduleLagMs[of]));
  return {
    pacing: {
      mode: newest.mode,
      scheduleLagMs: {
        sends: sum(said.map(({ scheduleLagMs }) => scheduleLagMs.sends)),
        ...{ p50: latest('p50'), p99: latest('p99'), max: latest('max') },
      },
      ...{ orderGivenUp: total('orderGivenUp'), outOfOrder: total('outOfOrder') },
      divergedByOrder: total('divergedByOrder'),
    },
  };
}

/** Lag per partition from the newest running replayer that owns it. */
function foldLag(
  replayers: readonly ReplayerSnapshot[],
  unresolved: boolean,
  nowMs: number,
  silentAfterMs: number,
): { consumerLag: number; behindSourceMs: number } {
  const newest = new Map<string, { atMs: number; consumerLag: number; behindSourceMs: number }>();
  for (const { atMs, partitions } of replayers) {
    for (const [partition, lag] of Object.entries(partitions)) {
      if (atMs >= (newest.get(partition)?.atMs ?? 0)) newest.set(partition, { atMs, ...lag });
    }
  }
  let consumerLag = 0;
  let behindSourceMs = 0;
  for (const partition of newest.values()) {
    consumerLag += partition.consumerLag;
    const silentForMs = nowMs - partition.atMs;
    const standsStill = unresolved && silentForMs > silentAfterMs && partition.behindSourceMs > 0;
    behindSourceMs = Math.max(behindSourceMs, partition.behindSourceMs + (standsStill ? silentForMs : 0));
  }
  return { consumerLag, behindSourceMs: Math.round(behindSourceMs) };
}

function isAhead(mirror: MirrorCounts): boolean {
  return [...mirror.partitions.values()].some((one) => one.heldBack.length > 0);
}

/** What the comparers' newest snapshots count, shown or not. */
function newestResolved(mirror: MirrorCounts): number {
  return sum([...mirror.partitions.values()].map((one) => resolvedOf(one.heldBack.at(-1) ?? one.shown)));
}

function resolvedOf(snapshot: ComparerSnapshot | undefined): number {
  return snapshot === undefined ? 0 : sum(Object.values(snapshot.outcomes));
}

function addUp<T extends string>(names: readonly T[], countOf: (name: T) => number): Record<T, number> {
  return Object.fromEntries(names.map((name) => [name, countOf(name)])) as Record<T, number>;
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}
