// Plays a planned run: starts its services, follows their counts, ends when everything is accounted for, and keeps the run's record true.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  envelopesTopic,
  MirrorstreamError,
  type RunSnapshot,
  type RunState,
  resultsTopic,
  runInFlight,
  transactionOutcomes,
} from '@mirrorstream/domain';
import type { Admin, KafkaClient, Producer } from '@mirrorstream/kafka';
import { dataDirLayout, defaultDataDir, openDataDir, readRun } from '@mirrorstream/local';
import { ensureMirrorTopics } from '@mirrorstream/service-kit';
import { kafkaArguments } from '../kafka-plan.ts';
import { pause, type StackScope } from '../stack-scope.ts';
import type { InterruptionWatch } from '../up/interruption.ts';
import { Parts } from '../up/parts.ts';
import { startService } from '../up/services.ts';
import { LostRecordsWatch } from './lost-records.ts';
import type { ProgressBar } from './progress.ts';
import { settingsArguments } from './replay-request.ts';
import { inFlightBy, type RunCounts, runCounts } from './run-counts.ts';
import { committedOffsets } from './run-plan.ts';
import { type RunStore, writeSnapshot } from './run-store.ts';
import type { RunTarget } from './target.ts';

export interface PlayerParts {
  readonly client: KafkaClient;
  readonly admin: Admin;
  readonly producer: Producer;
  readonly store: RunStore;
  readonly scope: StackScope;
  readonly watch: InterruptionWatch;
  readonly bar: ProgressBar;
  readonly target: RunTarget;
  readonly replayers: number;
  readonly dataDir: string | undefined;
}

const lookEveryMs = 200;
const recordEveryMs = 1_000;
const stopGraceMs = 30_000;
/** Everything is read and committed, and still a transaction is missing: for so long a count may be on its way. */
const missingAfterMs = 10_000;

export class RunPlayer {
  #run: RunSnapshot;
  readonly #parts: PlayerParts;
  readonly #startedWith: number;
  readonly #lostRecords: LostRecordsWatch;
  #replayersLeft: number;
  #readToEnd = false;
  #writtenAtMs = Number.NEGATIVE_INFINITY;

  constructor(run: RunSnapshot, parts: PlayerParts) {
    this.#run = run;
    this.#parts = parts;
    this.#startedWith = run.captured - runInFlight(run);
    this.#lostRecords = new LostRecordsWatch(run.ranges);
    this.#replayersLeft = parts.replayers;
  }

  /** Whether there is anything left that going on could play. */
  get readToEnd(): boolean {
    return this.#readToEnd;
  }

  get run(): RunSnapshot {
    return this.#run;
  }

  counts(): RunCounts {
    return runCounts(this.#parts.store.of(this.#run.mirror, this.#run.run));
  }

  /** To the end. Throws what ended it before; the record then says how it stands. */
  async play(): Promise<void> {
    const { watch } = this.#parts;
    await this.#write();
    if (this.#run.captured === 0) return this.#end('finished');
    const logsDir = await this.#logsDir();
    const services: RunServices = {
      comparer: new Parts(logsDir, nothing, (error) => watch.fail(error)),
      replayers: new Parts(logsDir, nothing, (error) => this.#replayerEnded(error)),
    };
    try {
      await watch.unlessInterrupted(this.#start(services, logsDir));
      await this.#follow();
      await this.#stop(services);
      await this.#end('finished');
    } catch (error) {
      await this.#stop(services);
      const interruption = watch.current;
      if (interruption?.kind === 'signal') await this.#end('stopped');
      else await this.#end('failed', messageOf(interruption?.kind === 'failed' ? interruption.error : error));
      throw interruption?.kind === 'failed' ? interruption.error : error;
    }
  }

  /** The others take its partitions over; what it had under way is theirs. */
  #replayerEnded(error: Error): void {
    const { bar, watch } = this.#parts;
    this.#replayersLeft -= 1;
    if (this.#replayersLeft === 0) watch.fail(error);
    else
      bar.say(`${error.message}\nThe run goes on with ${this.#replayersLeft} of ${this.#parts.replayers} replayers.`);
  }

  async #start(services: RunServices, logsDir: string): Promise<void> {
    const { admin, scope, target, replayers } = this.#parts;
    const { environment, mirror, run, source, settings, ranges } = this.#run;
    await ensureMirrorTopics(admin, environment, mirror, { partitions: Object.keys(ranges).length }, run);
    const place = ['--mirror', mirror, '--environment', environment, '--run', run];
    const kafka = kafkaArguments(scope.access);
    const starting = [
      services.comparer.start(
        startService({ name: `comparer ${mirror} ${run}`, arguments: ['comparer', ...place, ...kafka], logsDir }),
      ),
    ];
    for (let number = 1; number <= replayers; number++) {
      const replayer = {
        name: `replayer ${mirror} ${run}${replayers === 1 ? '' : ` ${number}`}`,
        arguments: [
          'replayer',
          ...place,
          ...['--source-name', source],
          ...target.arguments,
          ...settingsArguments(settings),
          ...kafka,
        ],
        env: target.env,
        logsDir,
      };
      starting.push(services.replayers.start(startService(replayer)));
    }
    await Promise.all(starting);
  }

  /** Resolves when every transaction of the window is counted and the group stands at its end. */
  async #follow(): Promise<void> {
    const { watch } = this.#parts;
    let completeSinceMs: number | null = null;
    for (let round = 0; ; round++) {
      await watch.unlessInterrupted(pause(lookEveryMs));
      await this.#look();
      const inFlight = runInFlight(this.#run);
      if (inFlight < 0) throw this.#violated(`${-inFlight} transactions more than the window holds are counted`);
      if (inFlight > 0 && round % 10 !== 0) continue;
      if (!(await this.#allRead())) {
        completeSinceMs = null;
        continue;
      }
      if (inFlight === 0) return;
      this.#readToEnd = true;
      completeSinceMs ??= performance.now();
      if (performance.now() - completeSinceMs > missingAfterMs) throw this.#missing(inFlight);
    }
  }

  /** The replayers have committed the end of the window, and the comparer has read all results. */
  async #allRead(): Promise<boolean> {
    const { admin } = this.#parts;
    const committed = await committedOffsets(this.#run, admin);
    this.#lostRecords.look(await admin.offsets(envelopesTopic(this.#run.source)), committed);
    for (const [partition, { from, to }] of Object.entries(this.#run.ranges))
      if (from !== to && (committed.get(Number(partition)) ?? 0n) < BigInt(to)) return false;
    const { readUpTo } = this.counts();
    const results = await admin.offsets(resultsTopic(this.#run.environment, this.#run.mirror, this.#run.run));
    return results.every(({ partition, low, high }) => low === high || (readUpTo.get(partition) ?? 0n) >= high);
  }

  async #look(): Promise<void> {
    const { store, bar } = this.#parts;
    const { mirror, run, captured } = this.#run;
    const { outcomes, resolved } = this.counts();
    this.#run = { ...this.#run, outcomes };
    const nowMs = performance.now();
    if (nowMs - this.#writtenAtMs >= recordEveryMs) await this.#write();
    const read = store
      .of(mirror, run)
      .reduce((sum, one) => sum + (one.kind === 'replayer' && !one.final ? one.read : 0), 0);
    bar.show({
      what: `replay ${run}`,
      done: resolved,
      total: captured,
      unit: 'transactions',
      doneBefore: this.#startedWith,
      elapsedMs: Date.now() - this.#run.startedAtMs,
      more: `${read} read`,
    });
  }

  /** Replayers first: what they publish while stopping is counted too. */
  async #stop({ replayers, comparer }: RunServices): Promise<void> {
    for (const services of [replayers, comparer]) {
      await services.stop(() => true, stopGraceMs);
      await services.killRest(stopGraceMs);
    }
    await pause(lookEveryMs);
    this.#run = { ...this.#run, outcomes: this.counts().outcomes };
  }

  async #end(state: RunState, detail?: string): Promise<void> {
    const endedAtMs = Date.now();
    this.#run = { ...this.#run, state, endedAtMs, ...(detail === undefined ? {} : { detail }) };
    this.#parts.bar.end();
    await this.#write();
  }

  async #write(): Promise<void> {
    this.#run = { ...this.#run, atMs: Date.now() };
    this.#writtenAtMs = performance.now();
    await writeSnapshot(this.#parts.producer, this.#run);
  }

  /** In the data folder, which may be that of a running stack. */
  async #logsDir(): Promise<string> {
    const layout = dataDirLayout(this.#parts.dataDir ?? defaultDataDir);
    if ((await readRun(layout)) === undefined) await openDataDir(layout.root);
    const logsDir = join(layout.logsDir, 'runs');
    await mkdir(logsDir, { recursive: true });
    return logsDir;
  }

  /** All that is left of the window was played. */
  #missing(inFlight: number): MirrorstreamError {
    const { run, captured, source, ranges } = this.#run;
    const { lost } = this.#lostRecords;
    if (lost.length === 0)
      return this.#violated(`${inFlight} transactions of the window have no result, though all of it was read`);
    const missing = inFlightBy(ranges, this.counts());
    const places = lost.map(
      ({ partition, reached, leftFrom }) =>
        `partition ${partition} is left from offset ${leftFrom} on, the run had come to ${reached}, ` +
        `${missing[partition] ?? 0} transactions are missing`,
    );
    return new MirrorstreamError(
      'badInput',
      `retention has cut into the window while run ${run} played it: ${inFlight} of ${captured} transactions have no result; ` +
        `of ${envelopesTopic(source)} ${places.join('; ')}`,
      {
        stage: 'replay',
        hint:
          'What is left was played, what is missing counts as in flight. To have it whole, import an export of the window, or raise ' +
          'the topic’s retention.ms before the next run.',
      },
    );
  }

  #violated(problem: string): MirrorstreamError {
    const sums = transactionOutcomes.map((name) => `${this.#run.outcomes[name]} ${name}`).join(', ');
    return new MirrorstreamError('accountingViolated', `${problem}: ${this.#run.captured} captured, ${sums}`, {
      stage: 'replay',
      hint: 'The logs of the run say what happened.',
    });
  }
}

interface RunServices {
  readonly comparer: Parts;
  readonly replayers: Parts;
}

const nothing = (): void => {};

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
