// `mirrorstream status`: the numbers of a running stack, read from Kafka.
import {
  exitCodes,
  MirrorstreamError,
  type Snapshot,
  StatusFolder,
  statusSchema,
  statusTopic,
} from '@mirrorstream/domain';
import { connectKafka, type KafkaClient } from '@mirrorstream/kafka';
import { dataDirLayout, defaultDataDir } from '@mirrorstream/local';
import { badFlag, type CommandSpec, type GivenFlags, helpText, parseCommandLine } from '../command-line.ts';
import { type KafkaAccess, planKafka } from '../kafka-plan.ts';
import { followSnapshots } from '../snapshot-feed.ts';
import { kafkaFlags } from '../up/flags.ts';
import { readRunFile } from '../up/run-file.ts';
import type { ViewModel } from '../view/model.ts';
import { renderSummary } from '../view/render.ts';
import { wantsColour } from '../view/screen.ts';

export const statusCommand: CommandSpec = {
  name: 'status',
  summary: 'Shows what a running stack has captured and what became of it on each mirror.',
  flags: [
    { name: 'json', description: 'print one status object (mirrorstream.status/1)' },
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
  ],
  examples: [
    { command: 'mirrorstream status', does: 'the stack that runs here' },
    {
      command: 'mirrorstream status --json --brokers kafka1:9092 --source-name shop',
      does: 'any stack, through its Kafka',
    },
  ],
};

interface Scope {
  readonly access: KafkaAccess;
  readonly source: string;
  readonly environment: string;
  /** null: all that have ever counted. */
  readonly mirrors: readonly string[] | null;
  readonly startedAtMs: number | null;
  readonly listen: string | null;
}

const limits = { answerMs: 5000, settleMs: 2000 };

export async function status(argv: readonly string[]): Promise<number> {
  const flags = parseCommandLine(statusCommand, argv);
  if (flags.has('help')) {
    process.stdout.write(helpText(statusCommand));
    return exitCodes.ok;
  }
  const scope = await scopeOf(flags);
  const client = connectKafka({ ...scope.access, clientId: 'mirrorstream-status' });
  try {
    const model = await readStatus(client, scope);
    const text = flags.has('json')
      ? JSON.stringify(statusSchema.parse(model.status))
      : renderSummary(model, process.stdout.columns ?? 100, wantsColour(process.env, process.stdout.isTTY)).join('\n');
    process.stdout.write(`${text}\n`);
    return exitCodes.ok;
  } finally {
    await Promise.race([client.close(), pause(1000)]);
  }
}

async function scopeOf(flags: GivenFlags): Promise<Scope> {
  const kafka = planKafka(statusCommand, flags, undefined);
  const source = flags.last('source-name');
  const environment = flags.last('environment');
  if (kafka.kind === 'own') {
    return {
      access: kafka.access,
      source: source ?? 'source',
      environment: environment ?? 'default',
      mirrors: null,
      startedAtMs: null,
      listen: null,
    };
  }
  for (const [flag, value] of Object.entries({ '--source-name': source, '--environment': environment })) {
    if (value !== undefined)
      throw badFlag(statusCommand, flag, 'needs --brokers', 'Without it, the data folder says which stack is meant.');
  }
  const layout = dataDirLayout(flags.last('data-dir') ?? defaultDataDir);
  const found = await readRunFile(layout);
  if (found === undefined || !found.running) {
    throw new MirrorstreamError('badInput', `no stack is running on ${layout.root}`, {
      stage: 'status',
      hint: 'Start one with mirrorstream up, name its folder with --data-dir, or its Kafka with --brokers.',
    });
  }
  const { run } = found;
  if (run.kafka === null) {
    throw new MirrorstreamError('notReady', `the stack on ${layout.root} is still starting`, {
      stage: 'status',
      retryable: true,
      hint: 'Try again in a few seconds.',
    });
  }
  return {
    access: run.kafka as KafkaAccess,
    source: run.source,
    environment: run.environment,
    mirrors: run.mirrors,
    startedAtMs: run.startedAtMs,
    listen: run.addresses['proxy'] ?? null,
  };
}

async function readStatus(client: KafkaClient, scope: Scope): Promise<ViewModel> {
  await checkAnswers(client, scope);
  const snapshots: Snapshot[] = [];
  let crash: Error | undefined;
  const feed = await followSnapshots(
    client,
    (snapshot) => void snapshots.push(snapshot),
    (error) => {
      crash = error;
    },
  );
  await within(limits.answerMs, feed.caughtUp(), scope);
  if (crash !== undefined) throw unreachable(scope, crash);
  // Snapshots come from several processes: wait a moment for the one that completes the picture.
  const deadline = performance.now() + limits.settleMs;
  let folder = fold(snapshots, scope);
  while (folder.holdsBack() && performance.now() < deadline) {
    await pause(100);
    folder = fold(snapshots, scope);
  }
  await feed.stop();
  return modelOf(folder, scope);
}

function fold(snapshots: readonly Snapshot[], { source, environment, mirrors }: Scope): StatusFolder {
  const folder = new StatusFolder({ source, environment, mirrors: mirrors ?? mirrorsSeen(snapshots, environment) });
  for (const snapshot of snapshots) folder.add(snapshot);
  folder.status(Date.now());
  return folder;
}

function mirrorsSeen(snapshots: readonly Snapshot[], environment: string): string[] {
  const names = new Set<string>();
  for (const one of snapshots) if (one.kind !== 'capture' && one.environment === environment) names.add(one.mirror);
  return [...names].sort();
}

function modelOf(folder: StatusFolder, scope: Scope): ViewModel {
  const nowMs = Date.now();
  const folded = folder.status(nowMs);
  return {
    phase: 'running',
    nowMs,
    startedAtMs: scope.startedAtMs ?? nowMs,
    forMs: null,
    listen: scope.listen,
    connectWith: null,
    status: folded,
    openSessions: folder.openSessions(),
    transactionsPerSecond: null,
    mirrors: Object.entries(folded.mirrors).map(([name, mirror]) => ({
      name,
      what: '',
      status: mirror,
      reasons: folder.reasons(name),
    })),
    divergences: null,
    notes: folder.problems(nowMs).map((problem) => problem.message),
  };
}

/** Tells a Kafka that is away from one on which nothing has been published. */
async function checkAnswers(client: KafkaClient, scope: Scope): Promise<void> {
  const admin = await client.admin();
  try {
    await within(limits.answerMs, admin.offsets(statusTopic), scope);
  } catch (error) {
    if (!(error instanceof MirrorstreamError) || error.code !== 'kafkaRefused') throw unreachable(scope, error);
    throw new MirrorstreamError('badInput', `no mirrorstream has published on ${scope.access.brokers.join(',')}`, {
      stage: 'status',
      hint: 'Is it the right Kafka, and may this user read its topics?',
      cause: error,
    });
  }
}

async function within<T>(ms: number, work: Promise<T>, scope: Scope): Promise<T> {
  const late = Symbol('late');
  work.catch(() => {});
  const first = await Promise.race([work, pause(ms).then(() => late)]);
  if (first === late) throw unreachable(scope, undefined);
  return first as T;
}

function unreachable({ access }: Scope, cause: unknown): MirrorstreamError {
  return new MirrorstreamError('kafkaUnavailable', `Kafka on ${access.brokers.join(',')} does not answer`, {
    stage: 'status',
    retryable: true,
    hint: 'Is it running and reachable from here?',
    cause,
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
