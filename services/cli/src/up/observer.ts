// Watches a running stack through Kafka: counters from the status topic, divergences from the verdict topics.
import { type AccountingProblem, type Status, StatusFolder, verdictsTopic } from '@mirrorstream/domain';
import { decodeVerdictBatch } from '@mirrorstream/envelope';
import type { KafkaClient } from '@mirrorstream/kafka';
import { followSnapshots, type SnapshotFeed } from '../snapshot-feed.ts';
import { DivergenceGroups } from '../view/divergences.ts';
import type { MirrorView, Phase, ViewModel } from '../view/model.ts';
import type { StackPlan } from './stack-plan.ts';

export interface ObserverStart {
  readonly client: KafkaClient;
  readonly plan: StackPlan;
  /** Of this stack's proxy. */
  readonly captureNode: string;
  /** What the view says about each mirror: its version or address. */
  readonly mirrorLabels: ReadonlyMap<string, string>;
  readonly onCrash: (error: Error) => void;
}

export interface ViewFacts {
  readonly phase: Phase;
  readonly nowMs: number;
  readonly startedAtMs: number;
  readonly listen: string;
  readonly connectWith: string;
  readonly notes: readonly string[];
}

const rateWindowMs = 5000;
const sampleEveryMs = 400;

export class Observer {
  readonly #folder: StatusFolder;
  readonly #divergences = new DivergenceGroups();
  readonly #start: ObserverStart;
  readonly #samples: { readonly atMs: number; readonly transactions: number }[] = [];
  #feed: SnapshotFeed | undefined;
  #verdicts: { stop(): Promise<void> } | undefined;
  #undecodable = 0;

  private constructor(start: ObserverStart) {
    this.#start = start;
    const { sourceName: source, environment, mirrors } = start.plan;
    this.#folder = new StatusFolder({ source, environment, mirrors: mirrors.map((one) => one.name) });
  }

  /** Resolves when the counters of earlier runs are known and verdicts from now on are seen. The topics must exist. */
  static async begin(start: ObserverStart): Promise<Observer> {
    const observer = new Observer(start);
    const { client, plan, onCrash } = start;
    observer.#feed = await followSnapshots(client, (snapshot) => observer.#folder.add(snapshot), onCrash);
    const topics = plan.mirrors.map((mirror) => verdictsTopic(plan.environment, mirror.name));
    const verdicts = await client.follow(
      topics,
      'latest',
      ({ records }) => {
        for (const { value } of records) if (value !== null) observer.#takeVerdicts(value);
      },
      onCrash,
    );
    observer.#verdicts = verdicts;
    await Promise.all([observer.#feed.caughtUp(), verdicts.caughtUp()]);
    return observer;
  }

  status(nowMs: number): Status {
    return this.#folder.status(nowMs);
  }

  /** Promises broken for longer than a moment. */
  problems(nowMs: number): AccountingProblem[] {
    return this.#folder.problems(nowMs);
  }

  /** The proxy has said its last word, and every comparer's count is shown. */
  captureEnded(): boolean {
    return this.#folder.captureEnded(this.#start.captureNode) && !this.#folder.holdsBack();
  }

  view(facts: ViewFacts): ViewModel {
    const { nowMs } = facts;
    const status = this.#folder.status(nowMs);
    this.#sample(nowMs, status.source.transactions);
    const mirrors = this.#start.plan.mirrors.flatMap(({ name }): MirrorView[] => {
      const mirror = status.mirrors[name];
      if (mirror === undefined) return [];
      const what = this.#start.mirrorLabels.get(name) ?? '';
      return [{ name, what, status: mirror, reasons: this.#folder.reasons(name) }];
    });
    return {
      ...facts,
      forMs: this.#start.plan.forMs,
      status,
      mirrors,
      openSessions: this.#folder.openSessions(),
      transactionsPerSecond: this.#rate(),
      divergences: this.#divergences.list(),
      notes: [...facts.notes, ...this.#notes(nowMs)],
    };
  }

  async stop(): Promise<void> {
    await Promise.allSettled([this.#feed?.stop(), this.#verdicts?.stop()]);
  }

  #takeVerdicts(value: Uint8Array): void {
    try {
      this.#divergences.add(decodeVerdictBatch(value));
    } catch {
      this.#undecodable++;
    }
  }

  #notes(nowMs: number): string[] {
    return [
      ...this.problems(nowMs).map((problem) => problem.message),
      ...(this.#undecodable > 0 ? [`${this.#undecodable} records of verdicts could not be read`] : []),
    ];
  }

  #sample(nowMs: number, transactions: number): void {
    const last = this.#samples.at(-1);
    if (last !== undefined && nowMs - last.atMs < sampleEveryMs) return;
    this.#samples.push({ atMs: nowMs, transactions });
    while ((this.#samples[0]?.atMs ?? nowMs) < nowMs - rateWindowMs) this.#samples.shift();
  }

  #rate(): number {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (first === undefined || last === undefined || last.atMs <= first.atMs) return 0;
    return ((last.transactions - first.transactions) * 1000) / (last.atMs - first.atMs);
  }
}
