// The lifecycle of a service process: flags in, one ready line out, an orderly stop, an exit code.
//
//   parsing ─► starting ─► running ─► stopping ─► exit code
// A first signal stops in order, whatever the state; a second one hastens that where the service can, a further one ends the process.
import { exitCodeOf, exitCodes, MirrorstreamError } from '@mirrorstream/domain';
import type { Logger } from 'pino';
import { z } from 'zod';
import { type FlagTable, type FlagValues, helpText, parseFlags } from './flags.ts';
import { type HealthServer, startHealthServer } from './health.ts';
import { createLogger, type LogLevel, logLevels } from './logger.ts';
import { MetricRegistry } from './metrics.ts';
import { type Surroundings, systemSurroundings } from './surroundings.ts';
import { startTelemetry, type Telemetry } from './telemetry.ts';

export interface ServiceKit {
  readonly logger: Logger;
  readonly metrics: MetricRegistry;
  /** Writes the one ready line to stdout, and turns /ready to 200. */
  ready(details?: Readonly<Record<string, unknown>>): void;
  /** Something that cannot be mended: stops the service; the exit code is the error's. */
  fatal(error: unknown): void;
}

export interface RunningService {
  /** Must be done, one way or the other, within deadlineMs. */
  stop(deadlineMs: number): Promise<void>;
  /** While stopping, asked again: no more patience with others, but still in order. Without it, a second signal ends the process. */
  hasten?(): void;
}

export interface ServiceDefinition<C> {
  readonly name: string;
  readonly summary: string;
  readonly flags: FlagTable;
  /** May throw `badInput` or a ZodError whose paths are flag names. */
  readonly parse: (values: FlagValues) => C;
  readonly start: (config: C, kit: ServiceKit) => Promise<RunningService>;
  /** What stop() is given. Default 10 000. */
  readonly stopDeadlineMs?: (config: C) => number;
}

const defaultStopDeadlineMs = 10_000;
/** A start that is under way when the signal comes may take so long to finish; then it is abandoned. */
const abandonStartMs = 3_000;
/** Beyond its deadline a stop gets so long before it counts as failed. */
const stopGraceMs = 1_000;

/** Every service has these; a table that names one of them itself overrides it. */
export const commonFlags: FlagTable = [
  {
    name: 'log-level',
    description: `how much is logged: ${logLevels.join(', ')}`,
    default: 'info',
    placeholder: 'LEVEL',
  },
  {
    name: 'health',
    description: 'serve /live, /ready and /metrics here, PORT alone on loopback; off by default',
    placeholder: '[HOST:]PORT',
  },
];

/**
 * Runs a service until it stops and resolves with the exit code, which the caller ends the process with: an abandoned start
 * may keep handles open.
 */
export async function runService<C>(
  definition: ServiceDefinition<C>,
  argv: readonly string[],
  surroundings: Surroundings = systemSurroundings,
): Promise<number> {
  const flags = withCommonFlags(definition.flags);
  try {
    const { help, values } = parseFlags(flags, argv, surroundings.environment);
    if (help) {
      surroundings.print(helpText(definition.name, definition.summary, flags));
      return exitCodes.ok;
    }
    const level = readLevel(values['log-level']);
    const config = readConfig(definition, values);
    const logger = createLogger(definition.name, level, surroundings.log);
    return await new Life(definition, config, logger, surroundings).run(values['health'] as string | undefined);
  } catch (error) {
    return explain(definition.name, error, surroundings);
  }
}

function withCommonFlags(flags: FlagTable): FlagTable {
  return [...flags, ...commonFlags.filter(({ name }) => !flags.some((flag) => flag.name === name))];
}

function readLevel(value: FlagValues[string]): LogLevel {
  const level = logLevels.find((each) => each === value);
  if (level !== undefined) return level;
  throw new MirrorstreamError('badInput', `--log-level is none of ${logLevels.join(', ')}`, {
    stage: 'flags',
    hint: 'Choose one of them.',
  });
}

function readConfig<C>({ parse }: ServiceDefinition<C>, values: FlagValues): C {
  try {
    return parse(values);
  } catch (error) {
    if (!(error instanceof z.ZodError)) throw error;
    const issues = error.issues.map(({ path, message }) => `--${path.join('.')}: ${message}`);
    throw new MirrorstreamError('badInput', issues.join('; '), { stage: 'flags', hint: 'See --help.' });
  }
}

/** Tells the operator what went wrong and what to do; the exit code says which kind it was. */
function explain(name: string, error: unknown, surroundings: Surroundings): number {
  if (error instanceof MirrorstreamError) {
    surroundings.complain(`${name}: ${error.message} (${error.code})`);
    if (error.hint !== undefined) surroundings.complain(`  ${error.hint}`);
  } else {
    surroundings.complain(`${name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  }
  return exitCodeOf(error);
}

type Ending = { readonly kind: 'asked' } | { readonly kind: 'failed'; readonly error: unknown };

class Life<C> {
  readonly #definition: ServiceDefinition<C>;
  readonly #config: C;
  readonly #logger: Logger;
  readonly #surroundings: Surroundings;
  readonly #metrics = new MetricRegistry();
  readonly #ending = Promise.withResolvers<Ending>();
  #ready = false;
  #running: RunningService | undefined;
  #health: HealthServer | undefined;
  #telemetry: Telemetry | undefined;

  constructor(definition: ServiceDefinition<C>, config: C, logger: Logger, surroundings: Surroundings) {
    this.#definition = definition;
    this.#config = config;
    this.#logger = logger;
    this.#surroundings = surroundings;
  }

  async run(healthAddress: string | undefined): Promise<number> {
    const unlisten = this.#listen();
    try {
      this.#health = await startHealthServer(healthAddress, { isReady: () => this.#ready, metrics: this.#metrics });
      if (this.#health !== undefined) this.#logger.info({ port: this.#health.port }, 'the health endpoint listens');
      this.#telemetry = await startTelemetry(this.#definition.name, this.#metrics, this.#surroundings.environment);
      const starting = this.#definition.start(this.#config, this.#kit());
      const ending = await this.#endOf(starting);
      this.#ready = false;
      const stopError = await this.#stop(starting);
      if (ending.kind === 'failed') return explain(this.#definition.name, ending.error, this.#surroundings);
      return stopError === undefined ? exitCodes.ok : explain(this.#definition.name, stopError, this.#surroundings);
    } finally {
      unlisten();
      await this.#health?.stop();
      await this.#telemetry?.stop();
    }
  }

  /** A start that fails ends the life; one that succeeds lasts until somebody ends it. */
  #endOf(starting: Promise<RunningService>): Promise<Ending> {
    starting.catch((error: unknown) => this.#ending.resolve({ kind: 'failed', error }));
    return this.#ending.promise;
  }

  /** Returns what went wrong with stopping. */
  async #stop(starting: Promise<RunningService>): Promise<unknown> {
    const started = await settled(starting, abandonStartMs);
    if (started.kind === 'failed') return undefined; // told already, as the ending
    if (started.kind === 'late') {
      this.#logger.warn({}, 'asked to stop while starting: the start is abandoned');
      return undefined;
    }
    this.#running = started.value;
    const deadlineMs = this.#definition.stopDeadlineMs?.(this.#config) ?? defaultStopDeadlineMs;
    const stopped = await settled(started.value.stop(deadlineMs), deadlineMs + stopGraceMs);
    if (stopped.kind === 'failed') return stopped.error;
    if (stopped.kind === 'done') return undefined;
    return new MirrorstreamError('notReady', `stopping took longer than ${deadlineMs} ms`, {
      stage: this.#definition.name,
      hint: 'What was not finished is told in the log; the next start goes on from the last commit.',
    });
  }

  #kit(): ServiceKit {
    return {
      logger: this.#logger,
      metrics: this.#metrics,
      ready: (details = {}) => {
        if (this.#ready) return;
        this.#ready = true;
        const line = { ready: true, service: this.#definition.name, pid: process.pid, ...details };
        this.#surroundings.print(`${JSON.stringify(line)}\n`);
      },
      fatal: (error) => {
        this.#logger.fatal({ err: error }, 'the service cannot go on');
        this.#ending.resolve({ kind: 'failed', error });
      },
    };
  }

  #listen(): () => void {
    let asked = 0;
    const onSignal = (signal: NodeJS.Signals): void => {
      asked += 1;
      const hasten = this.#running?.hasten?.bind(this.#running);
      if (asked === 1) {
        this.#logger.info({ signal }, 'stopping');
        this.#ending.resolve({ kind: 'asked' });
      } else if (asked === 2 && hasten !== undefined) {
        this.#logger.warn({ signal }, 'asked again: stopping without more patience; once more ends the process');
        hasten();
      } else this.#surroundings.exitNow(signal === 'SIGINT' ? 130 : 143);
    };
    const onBug = (error: unknown): void => {
      this.#logger.fatal({ err: error }, 'an error nobody handled');
      this.#ending.resolve({ kind: 'failed', error });
    };
    return this.#surroundings.listen(onSignal, onBug);
  }
}

type Settled<T> =
  | { readonly kind: 'done'; readonly value: T }
  | { readonly kind: 'failed'; readonly error: unknown }
  | { readonly kind: 'late' };

async function settled<T>(promise: Promise<T>, deadlineMs: number): Promise<Settled<T>> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Settled<T>>((resolve) => {
    timer = setTimeout(() => resolve({ kind: 'late' }), deadlineMs);
  });
  const outcome = promise.then(
    (value): Settled<T> => ({ kind: 'done', value }),
    (error: unknown): Settled<T> => ({ kind: 'failed', error }),
  );
  const first = await Promise.race([outcome, late]);
  clearTimeout(timer);
  return first;
}
