// `mirrorstream import`: an exported window into a topic of its own, whole or not at all.
import {
  checkName,
  envelopesTopic,
  exitCodes,
  type ImportSnapshot,
  importKey,
  MirrorstreamError,
} from '@mirrorstream/domain';
import type { Admin, OutgoingRecord, Producer } from '@mirrorstream/kafka';
import { ensureSourceTopics } from '@mirrorstream/service-kit';
import { badFlag, type CommandSpec, helpText, parseCommandLine } from '../command-line.ts';
import { scopeFlags, stackScope } from '../stack-scope.ts';
import { InterruptionWatch } from '../up/interruption.ts';
import { formatCount } from '../view/text.ts';
import { formatMoment } from './moment.ts';
import { ProgressBar } from './progress.ts';
import { eraseSnapshots, writeSnapshot } from './run-store.ts';
import { type HistorySession, withHistory } from './session.ts';
import type { FileEnd, FileHeader, FileRecord } from './window-file.ts';
import { readWindowFile } from './window-file-io.ts';

export const importCommand: CommandSpec = {
  name: 'import',
  summary:
    'Puts a window that mirrorstream export wrote into a topic of its own, with as many partitions and the times it had, where nothing is ' +
    'deleted by age; mirrorstream replay --source-name plays it from there. The file is checked to its end before anything is written; ' +
    'if it cannot be imported whole, the topic is taken away again.',
  flags: [
    { name: 'input', short: 'i', placeholder: 'FILE', description: 'the file to read' },
    { name: 'replace', description: 'take away first what an earlier import has put there' },
    ...scopeFlags.map((flag) =>
      flag.name === 'source-name'
        ? { ...flag, defaultText: 'as in the file', description: 'name of the source that is made: no other has it' }
        : flag,
    ),
  ],
  examples: [
    {
      command: 'mirrorstream import --input incident.mswindow --source-name incident --brokers kafka-test:9092',
      does: 'on another cluster, under another name',
    },
    {
      command:
        'mirrorstream replay --mirror candidate --target-env PG18_URL --from 2026-11-20T14:00:00Z --to 2026-11-20T15:00:00Z ' +
        '--source-name incident --brokers kafka-test:9092',
      does: 'then play it',
    },
  ],
};

const maxPartitionBytes = 512 * 1024;
const maxRequestBytes = 4 * 1024 * 1024;

interface Import {
  readonly path: string;
  readonly source: string;
  readonly header: FileHeader;
  readonly end: FileEnd;
  readonly bar: ProgressBar;
  readonly watch: InterruptionWatch;
}

export async function importWindow(argv: readonly string[]): Promise<number> {
  const flags = parseCommandLine(importCommand, argv);
  if (flags.has('help')) {
    process.stdout.write(helpText(importCommand));
    return exitCodes.ok;
  }
  const path = flags.last('input');
  if (path === undefined) throw badFlag(importCommand, '--input', 'is missing', 'Name the file to read.');
  const scope = await stackScope(importCommand, flags, 'anySource');
  const watch = new InterruptionWatch((code) => process.exit(code));
  const bar = new ProgressBar();
  try {
    const { header, end } = await watch.unlessInterrupted(checkFile(path, bar));
    const source = checkName('source', flags.last('source-name') ?? header.source);
    await withHistory({ ...scope, source }, 'nothing', async (session) => {
      await makeRoom(session, source, flags.has('replace'));
      await importWhole(session, { path, source, header, end, bar, watch });
    });
    bar.end();
    const { window, transactions } = header;
    process.stdout.write(
      `source ${source}: ${formatCount(transactions)} transactions, to be played with --source-name ${source} ` +
        `--from ${formatMoment(window.fromMs)} --to ${formatMoment(window.toMs)}\n`,
    );
    return exitCodes.ok;
  } catch (error) {
    bar.end();
    if (watch.current?.kind !== 'signal') throw error;
    process.stderr.write('stopped; nothing was imported\n');
    return exitCodes.stopped;
  } finally {
    watch.close();
  }
}

/** To its last byte, before anything is written. */
async function checkFile(
  path: string,
  bar: ProgressBar,
): Promise<{ readonly header: FileHeader; readonly end: FileEnd }> {
  let header: FileHeader | null = null;
  const onProgress = progressOf(bar, 'checking the file');
  const end = await readWindowFile(path, {
    onHeader: (found) => {
      header = found;
    },
    onRecord: () => {},
    onProgress,
  });
  return { header: header as unknown as FileHeader, end };
}

/** The name must be free: what is there may be a production's. Only what an import has made is taken away. */
async function makeRoom({ admin, producer, store }: HistorySession, source: string, replace: boolean): Promise<void> {
  const topic = envelopesTopic(source);
  if (!(await admin.partitionCounts([topic])).has(topic)) return;
  const earlier = store.import(source);
  if (earlier === undefined || !replace) {
    const what = earlier === undefined ? 'and was not made by an import' : 'made by an import';
    throw new MirrorstreamError('badInput', `topic ${topic} exists already, ${what}`, {
      stage: 'import',
      hint:
        earlier === undefined ? 'Choose another --source-name.' : 'Choose another --source-name, or give --replace.',
    });
  }
  await admin.deleteTopics([topic]);
  await eraseSnapshots(producer, [importKey(source)]);
}

async function importWhole(session: HistorySession, of: Import): Promise<void> {
  const { admin, producer } = session;
  const { source, header, watch } = of;
  const { window, transactions, partitions } = header;
  const record: ImportSnapshot = {
    kind: 'import',
    source,
    atMs: Date.now(),
    state: 'importing',
    importedFrom: { source: header.source, window, transactions },
  };
  await writeSnapshot(producer, record);
  try {
    await watch.unlessInterrupted(ensureSourceTopics(admin, source, { partitions, retentionMs: -1 }));
    await watch.unlessInterrupted(send(producer, of));
    await checkArrived(admin, of);
    await writeSnapshot(producer, { ...record, state: 'complete', atMs: Date.now() });
  } catch (error) {
    await admin.deleteTopics([envelopesTopic(source)]);
    await eraseSnapshots(producer, [importKey(source)]);
    throw error;
  }
}

async function send(producer: Producer, { path, source, bar, watch }: Import): Promise<void> {
  const topic = envelopesTopic(source);
  let waiting: OutgoingRecord[] = [];
  let waitingBytes = 0;
  const byPartition = new Map<number, number>();
  const flush = async (): Promise<void> => {
    if (waiting.length > 0) await producer.send(waiting);
    waiting = [];
    waitingBytes = 0;
    byPartition.clear();
  };
  const onRecord = async ({ partition, key, value, headers, timestampMs }: FileRecord): Promise<void> => {
    const sizeBytes = (key?.length ?? 0) + (value?.length ?? 0);
    const there = byPartition.get(partition) ?? 0;
    if (there + sizeBytes > maxPartitionBytes || waitingBytes + sizeBytes > maxRequestBytes) {
      await flush();
      if (watch.current !== undefined) throw new MirrorstreamError('internal', 'interrupted', { stage: 'import' });
    }
    waiting.push({ topic, partition, key, value, headers, timestampMs });
    waitingBytes += sizeBytes;
    byPartition.set(partition, (byPartition.get(partition) ?? 0) + sizeBytes);
  };
  await readWindowFile(path, { onHeader: () => {}, onRecord, onProgress: progressOf(bar, 'import') });
  await flush();
}

/** A request whose answer was lost may have been carried out twice. */
async function checkArrived(admin: Admin, { source, end }: Import): Promise<void> {
  for (const { partition, low, high } of await admin.offsets(envelopesTopic(source))) {
    const wanted = end.records[partition] ?? 0;
    if (Number(high - low) === wanted) continue;
    throw new MirrorstreamError(
      'kafkaUnavailable',
      `partition ${partition} holds ${high - low} records after the import, the file has ${wanted}`,
      { stage: 'import', retryable: true, hint: 'What was written is taken away again: import once more.' },
    );
  }
}

function progressOf(bar: ProgressBar, what: string): (done: number, total: number) => void {
  const startedAtMs = performance.now();
  return (done, total) =>
    bar.show({ what, done, total, unit: 'bytes', doneBefore: 0, elapsedMs: performance.now() - startedAtMs });
}
