// `mirrorstream mirror`: says what a mirror plays of the traffic, and changes it while its replayers run.
import {
  changeMirrorControl,
  clearedMirrorControl,
  encodeMirrorControl,
  exitCodes,
  type MirrorControl,
  mirrorControl,
  neverShed,
  shedProblem,
  statusTopic,
} from '@mirrorstream/domain';
import type { KafkaClient } from '@mirrorstream/kafka';
import { badFlag, helpText } from '../command-line.ts';
import { changeAndWatch, exitCodeOfChange } from '../control/change.ts';
import { gatherSnapshots, withKafka } from '../stack-kafka.ts';
import { checkAnswers, type StackScope, stackScope } from '../stack-scope.ts';
import { type MirrorReport, mirrorJson, mirrorText, notAcknowledged } from './report.ts';
import { type MirrorRequest, mirrorCommand, readMirrorRequest } from './request.ts';
import { mirrorsOf, replayerStates } from './states.ts';

export async function mirror(argv: readonly string[]): Promise<number> {
  const request = readMirrorRequest(argv);
  const { flags, change, waitMs } = request;
  if (flags.has('help')) {
    process.stdout.write(helpText(mirrorCommand));
    return exitCodes.ok;
  }
  const scope = await stackScope(mirrorCommand, flags);
  return await withKafka(scope, async (client) => {
    await checkAnswers(client, statusTopic, scope);
    const names = request.mirror === null ? await running(client, scope) : [request.mirror];
    const reports: MirrorReport[] = [];
    for (const name of names) reports.push(await reportOf(client, scope, name, request));
    const text = flags.has('json') ? mirrorJson(scope.environment, reports) : mirrorText(reports);
    process.stdout.write(`${text}\n`);
    return exitCodeOfChange('mirror', { changed: change !== null, waitMs }, reports.flatMap(missing));
  });
}

function reportOf(
  client: KafkaClient,
  scope: StackScope,
  name: string,
  { change, waitMs }: MirrorRequest,
): Promise<MirrorReport> {
  const { environment } = scope;
  return changeAndWatch(client, scope, {
    subject: mirrorControl(environment, name),
    change: change === null ? null : (present) => (change === 'clear' ? cleared(present) : changed(present, change)),
    waitMs,
    report: ({ control, revision }, snapshots): MirrorReport => ({
      mirror: name,
      control,
      revision,
      replayers: replayerStates(snapshots, { environment, mirror: name }, Date.now()),
    }),
    missing,
  });
}

function cleared(present: MirrorControl | null): string | null {
  const control = clearedMirrorControl(present);
  return control === null ? null : encodeMirrorControl(control);
}

function changed(present: MirrorControl | null, change: Exclude<MirrorRequest['change'], 'clear' | null>): string {
  const control = changeMirrorControl(present, change);
  const shed = Object.entries(control.shed ?? {}).filter(([, value]) => value !== undefined);
  const problem = shedProblem({ ...neverShed, ...Object.fromEntries(shed) });
  if (problem !== null) throw badFlag(mirrorCommand, '--shed-…:', problem, 'Write off for a stage that is not wanted.');
  return encodeMirrorControl(control);
}

async function running(client: KafkaClient, scope: StackScope): Promise<readonly string[]> {
  const snapshots = await gatherSnapshots(client, scope);
  await snapshots.stop();
  return mirrorsOf(snapshots.soFar(), scope.environment, Date.now());
}

const missing = (report: MirrorReport): readonly string[] => notAcknowledged(report).map(({ instance }) => instance);
