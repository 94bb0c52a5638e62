// `mirrorstream export`: a window of the past into a file, so that it outlives the topic and travels.
import { existsSync } from 'node:fs';
import { envelopesTopic, exitCodes, MirrorstreamError } from '@mirrorstream/domain';
import { badFlag, type CommandSpec, helpText, parseCommandLine } from '../command-line.ts';
import { type StackScope, stackScope } from '../stack-scope.ts';
import { InterruptionWatch } from '../up/interruption.ts';
import { formatBytes, formatCount } from '../view/text.ts';
import { formatMoment } from './moment.ts';
import { ProgressBar } from './progress.ts';
import { type HistorySession, withHistory } from './session.ts';
import { WindowFileWriter } from './window-file-io.ts';
import { readLateMs, readWindow, windowFlags, windowScopeFlags } from './window-flags.ts';
import { type ScannedWindow, scanWindow } from './window-scan.ts';

export const exportCommand: CommandSpec = {
  name: 'export',
  summary:
    'Writes a window of the past to a file: the captured records as they lie in Kafka, byte for byte. mirrorstream import puts them into ' +
    'a topic again, here or elsewhere. The file holds what production’s clients sent, and as much of the answers as was captured: keep ' +
    'it as you keep a dump of the database.',
  flags: [
    ...windowFlags,
    { name: 'output', short: 'o', placeholder: 'FILE', description: 'the file to write; it must not exist' },
    ...windowScopeFlags,
  ],
  examples: [
    {
      command: 'mirrorstream export --from -1h --output incident.mswindow',
      does: 'the last hour of the stack that runs here',
    },
  ],
};

export async function exportWindow(argv: readonly string[]): Promise<number> {
  const flags = parseCommandLine(exportCommand, argv);
  if (flags.has('help')) {
    process.stdout.write(helpText(exportCommand));
    return exitCodes.ok;
  }
  const window = readWindow(exportCommand, flags, Date.now());
  if (window === null) throw badFlag(exportCommand, '--from', 'is missing', 'For example --from -15m.');
  const path = flags.last('output');
  if (path === undefined) throw badFlag(exportCommand, '--output', 'is missing', 'Name the file to write.');
  if (existsSync(path)) throw badFlag(exportCommand, '--output', 'names a file that exists', 'Choose another name.');
  const lateMs = readLateMs(exportCommand, flags);
  const scope = await stackScope(exportCommand, flags, 'anySource');
  const watch = new InterruptionWatch((code) => process.exit(code));
  try {
    await withHistory(scope, 'source', async (session) => {
      const bar = new ProgressBar();
      const { source } = scope;
      const startedAtMs = performance.now();
      const onProgress = (done: number, total: number): void =>
        bar.show({
          what: 'looking through the window',
          done,
          total,
          unit: 'records',
          doneBefore: 0,
          elapsedMs: performance.now() - startedAtMs,
        });
      const scanning = scanWindow(session.client, session.admin, { source, window, lateMs, onProgress });
      const found = await watch.unlessInterrupted(scanning);
      const sizeBytes = await write(session, scope, found, window, path, bar, watch);
      bar.end();
      process.stdout.write(
        `${path}: ${formatCount(found.transactions)} transactions of ${formatMoment(window.fromMs)} to ` +
          `${formatMoment(window.toMs)}, ${formatBytes(sizeBytes)}\n`,
      );
    });
    return exitCodes.ok;
  } catch (error) {
    if (watch.current?.kind !== 'signal') throw error;
    process.stderr.write('stopped; nothing was written\n');
    return exitCodes.stopped;
  } finally {
    watch.close();
  }
}

async function write(
  { client }: HistorySession,
  { source }: StackScope,
  found: ScannedWindow,
  window: { readonly fromMs: number; readonly toMs: number },
  path: string,
  bar: ProgressBar,
  watch: InterruptionWatch,
): Promise<number> {
  const ranges = [...found.ranges].map(([partition, { from, to }]) => ({ partition, from, to }));
  const total = ranges.reduce((sum, { from, to }) => sum + Number(to - from), 0);
  const next = new Map(ranges.map(({ partition, from }) => [partition, from]));
  const { transactions, captureGaps, incarnations } = found;
  const writer = new WindowFileWriter(path, {
    schema: 'mirrorstream.window/1',
    source,
    window,
    exportedAtMs: Date.now(),
    partitions: ranges.length,
    transactions,
    captureGaps,
    incarnations,
  });
  const startedAtMs = performance.now();
  let done = 0;
  try {
    const reading = client.readRange(envelopesTopic(source), ranges, ({ partition, records }) => {
      for (const record of records) {
        if (record.offset !== next.get(partition)) throw cutMeanwhile(partition);
        next.set(partition, record.offset + 1n);
        writer.add(partition, record);
      }
      done += records.length;
      const elapsedMs = performance.now() - startedAtMs;
      bar.show({ what: 'export', done, total, unit: 'records', doneBefore: 0, elapsedMs });
    });
    await watch.unlessInterrupted(reading);
    for (const { partition, to, from } of ranges)
      if (from < to && next.get(partition) !== to) throw cutMeanwhile(partition);
    return writer.finish();
  } catch (error) {
    writer.giveUp();
    throw error;
  }
}

function cutMeanwhile(partition: number): MirrorstreamError {
  return new MirrorstreamError('badInput', `records of partition ${partition} were deleted while they were exported`, {
    stage: 'export',
    hint: 'Retention has reached the window: raise the topic’s retention.ms, or export a later window. Nothing was written.',
  });
}
