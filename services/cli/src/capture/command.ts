// `mirrorstream capture`: says what is captured, and changes it while the proxies run.
import {
  captureControl,
  changeCaptureControl,
  encodeCaptureControl,
  exitCodes,
  MirrorstreamError,
  type Snapshot,
  snapshotKey,
  statusTopic,
} from '@mirrorstream/domain';
import { connectKafka, type KafkaClient, type KafkaLogger } from '@mirrorstream/kafka';
import { helpText } from '../command-line.ts';
import { readControl, writeControl } from '../control-record.ts';
import { followSnapshots } from '../snapshot-feed.ts';
import { checkAnswers, inTime, pause, type StackScope, stackScope, unreachable } from '../stack-scope.ts';
import { type CaptureReport, captureJson, captureText, notAcknowledged } from './report.ts';
import { type CaptureRequest, captureCommand, readCaptureRequest } from './request.ts';
import { proxyStates } from './states.ts';

const lookEveryMs = 100;
const logger: KafkaLogger = {
  debug() {},
  info() {},
  warn() {},
  error: (details, message) => process.stderr.write(`mirrorstream: ${message} ${describe(details)}\n`),
};

export async function capture(argv: readonly string[]): Promise<number> {
  const request = readCaptureRequest(argv);
  if (request.flags.has('help')) {
    process.stdout.write(helpText(captureCommand));
    return exitCodes.ok;
  }
  const scope = await stackScope(captureCommand, request.flags);
  const client = connectKafka({ ...scope.access, clientId: 'mirrorstream-capture' });
  try {
    await checkAnswers(client, statusTopic, scope);
    const report = await changeAndWatch(client, scope, request);
    process.stdout.write(`${request.flags.has('json') ? captureJson(report) : captureText(report)}\n`);
    return exitCodeOf(request, report);
  } finally {
    await Promise.race([client.close(), pause(1000)]);
  }
}

function exitCodeOf({ change, waitMs }: CaptureRequest, report: CaptureReport): number {
  const missing = notAcknowledged(report);
  if (change === null || waitMs === 0 || missing.length === 0) return exitCodes.ok;
  const names = missing.map(({ node, worker }) => `${node}/${worker}`).join(', ');
  throw new MirrorstreamError('notReady', `written, but not acknowledged after ${waitMs / 1000} s by ${names}`, {
    stage: 'capture',
    retryable: true,
    hint: 'They follow as soon as they reach Kafka: look again with mirrorstream capture status.',
  });
}

async function changeAndWatch(client: KafkaClient, scope: StackScope, request: CaptureRequest): Promise<CaptureReport> {
  const { source } = scope;
  const subject = captureControl(source);
  const present = await inTime(readControl(client, subject, logger), scope);
  let { control, revision } = present;
  if (request.change !== null) {
    const { change } = request;
    const json = change === 'clear' ? null : encodeCaptureControl(changeCaptureControl(present.control, change));
    revision = await inTime(writeControl(client, subject.key, json), scope);
    control = (await inTime(readControl(client, subject, logger), scope)).control;
  }
  const newest = new Map<string, Snapshot>();
  let crash: Error | undefined;
  const feed = await followSnapshots(
    client,
    (snapshot) => void newest.set(snapshotKey(snapshot), snapshot),
    (error) => {
      crash = error;
    },
  );
  await inTime(feed.caughtUp(), scope);
  const until = performance.now() + (request.change === null ? 0 : request.waitMs);
  for (;;) {
    if (crash !== undefined) throw unreachable(scope, crash);
    const report = { source, control, revision, proxies: proxyStates(newest.values(), source, Date.now()) };
    if (notAcknowledged(report).length === 0 || performance.now() >= until) {
      await feed.stop();
      return report;
    }
    await pause(lookEveryMs);
  }
}

function describe(details: object): string {
  const error = 'err' in details ? details.err : undefined;
  return error instanceof Error ? `(${error.message})` : '';
}
