// `mirrorstream status`: the numbers of a running stack, read from Kafka.
import { exitCodes, type Snapshot, StatusFolder, statusSchema, statusTopic } from '@mirrorstream/domain';
import type { KafkaClient } from '@mirrorstream/kafka';
import { type CommandSpec, helpText, parseCommandLine } from '../command-line.ts';
import { gatherSnapshots, withKafka } from '../stack-kafka.ts';
import { checkAnswers, pause, type StackScope, scopeFlags, stackScope } from '../stack-scope.ts';
import type { ViewModel } from '../view/model.ts';
import { renderSummary } from '../view/render.ts';
import { wantsColour } from '../view/screen.ts';

export const statusCommand: CommandSpec = {
  name: 'status',
  summary: 'Shows what a running stack has captured and what became of it on each mirror.',
  flags: [{ name: 'json', description: 'print one status object (mirrorstream.status/1)' }, ...scopeFlags],
  examples: [
    { command: 'mirrorstream status', does: 'the stack that runs here' },
    {
      command: 'mirrorstream status --json --brokers kafka1:9092 --source-name shop',
      does: 'any stack, through its Kafka',
    },
  ],
};

const settleMs = 2000;

export async function status(argv: readonly string[]): Promise<number> {
  const flags = parseCommandLine(statusCommand, argv);
  if (flags.has('help')) {
    process.stdout.write(helpText(statusCommand));
    return exitCodes.ok;
  }
  const scope = await stackScope(statusCommand, flags);
  return await withKafka(scope, async (client) => {
    const model = await readStatus(client, scope);
    const text = flags.has('json')
      ? JSON.stringify(statusSchema.parse(model.status))
      : renderSummary(model, process.stdout.columns ?? 100, wantsColour(process.env, process.stdout.isTTY)).join('\n');
    process.stdout.write(`${text}\n`);
    return exitCodes.ok;
  });
}

async function readStatus(client: KafkaClient, scope: StackScope): Promise<ViewModel> {
  await checkAnswers(client, statusTopic, scope);
  const snapshots = await gatherSnapshots(client, scope);
  // Snapshots come from several processes: wait a moment for the one that completes the picture.
  const deadline = performance.now() + settleMs;
  let folder = fold(snapshots.soFar(), scope);
  while (folder.holdsBack() && performance.now() < deadline) {
    await pause(100);
    folder = fold(snapshots.soFar(), scope);
  }
  await snapshots.stop();
  return modelOf(folder, scope);
}

function fold(snapshots: readonly Snapshot[], { source, environment, mirrors }: StackScope): StatusFolder {
  const folder = new StatusFolder({ source, environment, mirrors: mirrors ?? mirrorsSeen(snapshots, environment) });
  for (const snapshot of snapshots) folder.add(snapshot);
  folder.status(Date.now());
  return folder;
}

function mirrorsSeen(snapshots: readonly Snapshot[], environment: string): string[] {
  const names = new Set<string>();
  for (const one of snapshots) {
    const live = (one.kind === 'replayer' || one.kind === 'comparer') && one.run === undefined;
    if (live && one.environment === environment) names.add(one.mirror);
  }
  return [...names].sort();
}

function modelOf(folder: StatusFolder, scope: StackScope): ViewModel {
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
