// Which stack a command looks at: the one that runs on a data folder, or any through its Kafka; and whether that answers.
import { MirrorstreamError } from '@mirrorstream/domain';
import type { KafkaClient } from '@mirrorstream/kafka';
import { dataDirLayout, defaultDataDir } from '@mirrorstream/local';
import { badFlag, type CommandFlag, type CommandSpec, type GivenFlags } from './command-line.ts';
import { type KafkaAccess, planKafka } from './kafka-plan.ts';
import { kafkaFlags } from './up/flags.ts';
import { readRunFile } from './up/run-file.ts';

export interface StackScope {
  /** The command that asks: in errors. */
  readonly stage: string;
  readonly access: KafkaAccess;
  readonly source: string;
  readonly environment: string;
  /** null: all that have ever counted. */
  readonly mirrors: readonly string[] | null;
  readonly startedAtMs: number | null;
  readonly listen: string | null;
  /** URLs of the mirrors that the stack brought along itself. */
  readonly embeddedMirrors: Readonly<Record<string, string>>;
}

/** For an answer of Kafka. */
const answerMs = 5000;

export const scopeFlags: readonly CommandFlag[] = [
  {
    name: 'data-dir',
    placeholder: 'DIR',
    defaultText: '.mirrorstream',
    description: 'of the stack that `mirrorstream up` runs',
  },
  ...kafkaFlags,
  {
    name: 'source-name',
    placeholder: 'NAME',
    defaultText: 'source',
    description: 'with --brokers: the source’s name',
  },
  {
    name: 'environment',
    placeholder: 'NAME',
    defaultText: 'default',
    description: 'with --brokers: the environment',
  },
];

/** `anySource`: also one that was imported there. Throws `badInput`, `notReady`. */
export async function stackScope(
  command: CommandSpec,
  flags: GivenFlags,
  which: 'itsSource' | 'anySource' = 'itsSource',
): Promise<StackScope> {
  const kafka = planKafka(command, flags, undefined);
  const source = flags.last('source-name');
  const environment = flags.last('environment');
  if (kafka.kind === 'own') {
    return {
      stage: command.name,
      access: kafka.access,
      source: source ?? 'source',
      environment: environment ?? 'default',
      mirrors: null,
      startedAtMs: null,
      listen: null,
      embeddedMirrors: {},
    };
  }
  for (const [flag, value] of Object.entries({ '--source-name': source, '--environment': environment })) {
    if (value !== undefined && !(which === 'anySource' && flag === '--source-name'))
      throw badFlag(command, flag, 'needs --brokers', 'Without it, the data folder says which stack is meant.');
  }
  const layout = dataDirLayout(flags.last('data-dir') ?? defaultDataDir);
  const found = await readRunFile(layout);
  if (found === undefined || !found.running) {
    throw new MirrorstreamError('badInput', `no stack is running on ${layout.root}`, {
      stage: command.name,
      hint: 'Start one with mirrorstream up, name its folder with --data-dir, or its Kafka with --brokers.',
    });
  }
  const { run } = found;
  if (run.kafka === null) {
    throw new MirrorstreamError('notReady', `the stack on ${layout.root} is still starting`, {
      stage: command.name,
      retryable: true,
      hint: 'Try again in a few seconds.',
    });
  }
  return {
    stage: command.name,
    access: run.kafka as KafkaAccess,
    source: source ?? run.source,
    environment: run.environment,
    mirrors: run.mirrors,
    startedAtMs: run.startedAtMs,
    listen: run.addresses['proxy'] ?? null,
    embeddedMirrors: run.embeddedMirrors ?? {},
  };
}

/** Tells a Kafka that is away from one on which nothing has been published. */
export async function checkAnswers(client: KafkaClient, topic: string, scope: StackScope): Promise<void> {
  const admin = await client.admin();
  try {
    await inTime(admin.offsets(topic), scope);
  } catch (error) {
    if (!(error instanceof MirrorstreamError) || error.code !== 'kafkaRefused') throw unreachable(scope, error);
    throw new MirrorstreamError('badInput', `no mirrorstream has published on ${scope.access.brokers.join(',')}`, {
      stage: scope.stage,
      hint: 'Is it the right Kafka, and may this user read its topics?',
      cause: error,
    });
  }
}

/** Throws `kafkaUnavailable` when it takes too long. */
export async function inTime<T>(work: Promise<T>, scope: StackScope): Promise<T> {
  const late = Symbol('late');
  work.catch(() => {});
  const first = await Promise.race([work, pause(answerMs).then(() => late)]);
  if (first === late) throw unreachable(scope, undefined);
  return first as T;
}

export function unreachable({ access, stage }: StackScope, cause: unknown): MirrorstreamError {
  return new MirrorstreamError('kafkaUnavailable', `Kafka on ${access.brokers.join(',')} does not answer`, {
    stage,
    retryable: true,
    hint: 'Is it running and reachable from here?',
    cause,
  });
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
