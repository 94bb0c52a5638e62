// Starts all parts of a stack in order, and stops them in order.
import { accountingProblems, MirrorstreamError } from '@mirrorstream/domain';
import { connectKafka, type KafkaClient } from '@mirrorstream/kafka';
import { checkPortFree, type DataDir, freePort, waitUntil } from '@mirrorstream/local';
import { formatHostPort, type HostPort, parseHostPort } from '../address.ts';
import { startWorkload, type Workload } from '../demo/workload.ts';
import type { KafkaAccess } from '../kafka-plan.ts';
import { type EmbeddedDatabases, embeddedMirrors, startEmbeddedDatabases, startEmbeddedKafka } from './embedded.ts';
import type { InterruptionWatch } from './interruption.ts';
import { Observer } from './observer.ts';
import { Parts } from './parts.ts';
import { whyUnreachable } from './reachable.ts';
import type { RunClaim, RunFile } from './run-file.ts';
import { comparerArguments, proxyArguments, type RunningService, replayerStart, startService } from './services.ts';
import { declareRoles, ensureStackTopics, partitionsOf, reachKafka } from './stack-kafka.ts';
import type { MirrorPlan, StackPlan } from './stack-plan.ts';
import type { Steps } from './steps.ts';

export interface StackSurroundings {
  readonly plan: StackPlan;
  readonly layout: DataDir;
  readonly claim: RunClaim;
  readonly steps: Steps;
  readonly watch: InterruptionWatch;
}

const captureNode = 'up';
const demoSeed = 2026;

/** How long each stage of an orderly stop may take; together less than 15 s. */
const stopLimits = {
  workloadMs: 1000,
  proxyMs: 3500,
  catchUpMs: 2500,
  replayersMs: 2500,
  comparersMs: 2000,
  serversMs: 3000,
  killMs: 2000,
};

export class Stack {
  readonly #around: StackSurroundings;
  readonly #parts: Parts;
  #client: KafkaClient | undefined;
  #workload: Workload | undefined;
  #observer: Observer | undefined;
  #listen: HostPort | undefined;
  #databases: EmbeddedDatabases | undefined;
  #proxy: RunningService | undefined;

  constructor(around: StackSurroundings) {
    this.#around = around;
    this.#parts = new Parts(
      around.layout.logsDir,
      (part) => around.claim.addProcess(part.name, part.pid),
      (error) => around.watch.fail(error),
    );
  }

  get observer(): Observer {
    if (this.#observer === undefined)
      throw new MirrorstreamError('internal', 'the stack is not started', { stage: 'up' });
    return this.#observer;
  }

  get begun(): boolean {
    return this.#observer !== undefined;
  }

  get hasParts(): boolean {
    return this.#parts.any;
  }

  get listen(): string {
    return this.#listen === undefined ? '' : formatHostPort(this.#listen);
  }

  /** How to reach the source through the proxy, as a command line. */
  get connectWith(): string {
    const { host, port } = this.#listen ?? { host: '', port: 0 };
    const who = this.#databases === undefined ? '-U USER DATABASE' : '-U demo demo';
    return `psql -h ${host === '0.0.0.0' ? '127.0.0.1' : host} -p ${port} ${who}`;
  }

  /** Trouble of the demo workload, in words. */
  get workloadNotes(): string[] {
    const stats = this.#workload?.stats();
    if (stats === undefined || stats.failures === 0) return [];
    return [`demo traffic: ${stats.failures} unexpected failures, the last one: ${stats.lastFailure}`];
  }

  /** Everything up to the point where traffic can flow. Throws when a part cannot be started. */
  async start(): Promise<void> {
    const { plan, layout, steps } = this.#around;
    const listen = await this.#chooseListen();
    const own = plan.kafka.kind === 'own' ? plan.kafka.access : null;
    const kafka =
      own !== null
        ? steps.run(`Kafka on ${own.brokers.join(',')}`, () => reachKafka(own))
        : steps.run(
            'Kafka',
            async (note) => ({ brokers: [(await startEmbeddedKafka(layout, this.#parts, note)).bootstrap] }),
            (started) => `Kafka ready on ${started.brokers[0]}`,
          );
    const databases =
      plan.source === null ? startEmbeddedDatabases(layout, this.#parts, steps) : Promise.resolve(undefined);
    const [access, embedded] = await Promise.all([kafka, databases, this.#warnOfUnreachable()]);
    this.#databases = embedded;
    this.#client = connectKafka({ ...access, clientId: 'mirrorstream-up' });
    const client = this.#client;
    await steps.run('Topics', async () => {
      await ensureStackTopics(client, plan);
      await declareRoles(client, plan);
    });
    await this.#startServices(access, listen);
    this.#observer = await steps.run('Counters of earlier runs', () => this.#observe());
    this.#around.claim.update({
      kafka: access as RunFile['kafka'], // Plain JSON: names of files and variables, no secret.
      addresses: { proxy: this.listen, kafka: access.brokers.join(',') },
      embeddedMirrors: Object.fromEntries(
        plan.mirrors.filter(({ address }) => address === null).map((mirror) => [mirror.name, this.#targetUrl(mirror)]),
      ),
    });
  }

  startWorkload(): void {
    const { plan } = this.#around;
    if (plan.workload === 'none' || this.#databases === undefined || this.#listen === undefined) return;
    const { demoRun } = this.#databases;
    this.#workload = startWorkload({ ...this.#listen, seed: demoSeed + demoRun, runNumber: demoRun });
  }

  async stopWorkload(graceMs: number): Promise<void> {
    const late = new Promise<void>((resolve) => setTimeout(resolve, graceMs).unref());
    await Promise.race([this.#workload?.stop(), late]);
  }

  /** Lets the proxy publish all it has, and end. Throws `componentFailed` when it does not end by itself with 0. */
  async drainProxy(graceMs: number): Promise<void> {
    if (this.#proxy === undefined) return;
    await this.#parts.stop((name) => name === 'capture-proxy', graceMs);
    const exit = await this.#proxy.exited;
    if (exit.code === 0) return;
    throw new MirrorstreamError('componentFailed', `capture-proxy could not publish all within ${graceMs / 1000} s`, {
      stage: 'capture-proxy',
      hint: `See ${this.#around.layout.logsDir}. What it had not published is not captured.`,
    });
  }

  /** Waits until all that was captured is resolved and counted on every mirror; false when that takes longer. */
  async untilDrained(deadlineMs: number): Promise<boolean> {
    const { observer } = this;
    const drained = (): boolean =>
      observer.captureEnded() && accountingProblems(observer.status(Date.now()), { drained: true }).length === 0;
    try {
      return await waitUntil(drained, { what: 'the mirrors to finish', deadlineMs, everyMs: 50 });
    } catch (error) {
      if (error instanceof MirrorstreamError && error.code === 'notReady') return false;
      throw error;
    }
  }

  /**
   * Stops what still runs, in order: no part loses what it needs to end well. With `catchUp` the mirrors get a moment to play what is
   * captured already, so that the next run need not begin in the middle of sessions. Never throws.
   */
  async stop({ catchUp }: { readonly catchUp: boolean }): Promise<void> {
    await this.stopWorkload(stopLimits.workloadMs);
    await this.#parts.stop((name) => name === 'capture-proxy', stopLimits.proxyMs);
    if (catchUp && this.begun) await this.untilDrained(stopLimits.catchUpMs);
    await this.#parts.stop((name) => name.startsWith('replayer'), stopLimits.replayersMs);
    await this.#parts.stop((name) => name.startsWith('comparer'), stopLimits.comparersMs);
  }

  /** Ends the observer and the servers, after the last look at the numbers. Never throws. */
  async stopServers(): Promise<void> {
    const closing = Promise.allSettled([this.#observer?.stop(), this.#client?.close()]);
    await Promise.race([closing, new Promise<void>((resolve) => setTimeout(resolve, 1000).unref())]);
    await this.#parts.stop((name) => name === 'kafka' || name.startsWith('postgres'), stopLimits.serversMs);
    await this.#parts.killRest(stopLimits.killMs);
  }

  /** The proxy and the replayers cope with servers that are away; whoever mistyped an address wants to know now. */
  async #warnOfUnreachable(): Promise<void> {
    const { plan, steps } = this.#around;
    const warn = async (what: string, address: HostPort | null, consequence: string): Promise<void> => {
      const reason = address === null ? undefined : await whyUnreachable(address);
      if (address === null || reason === undefined) return;
      steps.say(`! ${what} ${formatHostPort(address)} cannot be reached (${reason}): ${consequence}`);
    };
    await Promise.all([
      warn('the source', plan.source, 'clients will be refused until it can'),
      ...plan.mirrors.map(({ name, address }) =>
        warn(`mirror ${name}`, address, 'its transactions will be counted as failed until it can'),
      ),
    ]);
  }

  async #startServices(kafka: KafkaAccess, listen: HostPort): Promise<void> {
    const { plan, layout, steps } = this.#around;
    const { logsDir } = layout;
    const start = (
      name: string,
      rest: Pick<Parameters<typeof startService>[0], 'arguments' | 'env'>,
    ): Promise<RunningService> => steps.run(name, () => this.#parts.start(startService({ name, logsDir, ...rest })));
    const common = { sourceName: plan.sourceName, environment: plan.environment, kafka };
    const [proxy] = await Promise.all([
      start('capture-proxy', {
        arguments: proxyArguments({
          ...common,
          listen,
          node: captureNode,
          source: this.#sourceAddress(),
          partitions: partitionsOf(plan),
          answers: plan.answers,
          workers: plan.workers,
          systemIdentifier: plan.systemIdentifier,
          spoolDir: layout.spoolDir,
          tls: plan.proxyTls,
        }),
      }),
      ...plan.mirrors.flatMap((mirror) => [
        start(`replayer ${mirror.name}`, replayerStart({ ...common, mirror, targetUrl: this.#targetUrl(mirror) })),
        start(`comparer ${mirror.name}`, { arguments: comparerArguments({ ...common, mirror }) }),
      ]),
    ]);
    this.#proxy = proxy;
    this.#listen =
      typeof proxy.ready['listen'] === 'string' ? parseHostPort(proxy.ready['listen'], 'capture-proxy') : listen;
  }

  #observe(): Promise<Observer> {
    const { plan, watch } = this.#around;
    const labels = plan.mirrors.map((mirror) => {
      const label = mirror.address === null ? embeddedMirrors[mirror.name] : `on ${formatHostPort(mirror.address)}`;
      return [mirror.name, label ?? ''] as const;
    });
    return Observer.begin({
      client: this.#client as KafkaClient,
      plan,
      captureNode,
      mirrorLabels: new Map(labels),
      onCrash: (cause) => {
        // When Kafka itself has ended, that is the news: its own report comes first.
        setTimeout(() => watch.fail(observerLost(cause)), 2000).unref();
      },
    });
  }

  /** The address asked for, or the usual one; another free port only if nobody asked. */
  async #chooseListen(): Promise<HostPort> {
    const { listen, listenGiven } = this.#around.plan;
    if (listen.port === 0) return listen;
    try {
      await checkPortFree(listen.port, 'the proxy (--listen)', listen.host);
      return listen;
    } catch (error) {
      if (listenGiven || !(error instanceof MirrorstreamError) || error.code !== 'portTaken') throw error;
      const port = await freePort();
      this.#around.steps.say(`  ${error.message}: taking ${port} instead`);
      return { ...listen, port };
    }
  }

  #sourceAddress(): HostPort {
    const { source } = this.#around.plan;
    if (source !== null) return source;
    if (this.#databases === undefined) throw new MirrorstreamError('internal', 'no source', { stage: 'up' });
    return this.#databases.source;
  }

  #targetUrl({ name, address }: MirrorPlan): string {
    if (address !== null) return address.url;
    const server = this.#databases?.mirrors.get(name);
    if (server === undefined) throw new MirrorstreamError('internal', `no server for mirror ${name}`, { stage: 'up' });
    return `postgres://${server.host}:${server.port}`;
  }
}

function observerLost(cause: Error): MirrorstreamError {
  return new MirrorstreamError('kafkaUnavailable', 'the counters can no longer be read from Kafka', {
    stage: 'up',
    hint: 'Is Kafka running and reachable?',
    cause,
  });
}
