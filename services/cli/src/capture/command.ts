// `mirrorstream capture`: says what is captured, and changes it while the proxies run.
import {
  captureControl,
  changeCaptureControl,
  encodeCaptureControl,
  exitCodes,
  statusTopic,
} from '@mirrorstream/domain';
import { helpText } from '../command-line.ts';
import { changeAndWatch, exitCodeOfChange } from '../control/change.ts';
import { withKafka } from '../stack-kafka.ts';
import { checkAnswers, stackScope } from '../stack-scope.ts';
import { type CaptureReport, captureJson, captureText, notAcknowledged } from './report.ts';
import { captureCommand, readCaptureRequest } from './request.ts';
import { proxyStates } from './states.ts';

export async function capture(argv: readonly string[]): Promise<number> {
  const { flags, change, waitMs } = readCaptureRequest(argv);
  if (flags.has('help')) {
    process.stdout.write(helpText(captureCommand));
    return exitCodes.ok;
  }
  const scope = await stackScope(captureCommand, flags);
  return await withKafka(scope, async (client) => {
    await checkAnswers(client, statusTopic, scope);
    const { source } = scope;
    const report = await changeAndWatch(client, scope, {
      subject: captureControl(source),
      change:
        change === null
          ? null
          : (present) => (change === 'clear' ? null : encodeCaptureControl(changeCaptureControl(present, change))),
      waitMs,
      report: ({ control, revision }, snapshots): CaptureReport => ({
        source,
        control,
        revision,
        proxies: proxyStates(snapshots, source, Date.now()),
      }),
      missing,
    });
    process.stdout.write(`${flags.has('json') ? captureJson(report) : captureText(report)}\n`);
    return exitCodeOfChange('capture', { changed: change !== null, waitMs }, missing(report));
  });
}

const missing = (report: CaptureReport): readonly string[] =>
  notAcknowledged(report).map(({ node, worker }) => `${node}/${worker}`);
