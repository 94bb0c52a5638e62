// Entry of the capture worker thread: the worker, its way to Kafka, and its end.
import { parentPort, workerData } from 'node:worker_threads';
import { captureControl, settingsInForce } from '@mirrorstream/domain';
import { connectKafka } from '@mirrorstream/kafka';
import { ControlFollower, createLogger } from '@mirrorstream/service-kit';
import { createMonoClock } from '../forward/mono-clock.ts';
import { occasionally } from '../occasionally.ts';
import { CaptureWorker } from './capture-worker.ts';
import { KafkaLink } from './kafka-link.ts';
import { SpoolAccess } from './spool-access.ts';
import { writeNumbers } from './worker-numbers.ts';
import type { FromWorker, ToWorker, WorkerSettings } from './worker-protocol.ts';

const idleReportMs = 20;
const numbersEveryMs = 1_000;

const settings = workerData as WorkerSettings;
const alone = settings.workers === 1;
const logger = createLogger('capture-proxy', settings.logLevel).child(alone ? {} : { worker: settings.worker });
const complain = occasionally(10_000, (details, message) => logger.error(details, message));
const worker = new CaptureWorker({
  settings,
  nowUs: createMonoClock(),
  random: Math.random,
  onAvailability: (available, error) => {
    if (available) logger.info({}, 'Kafka takes records');
    else
      logger.warn(
        { error: error?.message },
        'Kafka does not take records: they wait, and are dropped when the buffer is full',
      );
  },
  onBug: (error) => complain({ err: error }, 'capture has a bug: the session it showed in has a gap, the others go on'),
});
const spool = new SpoolAccess({ settings, worker, logger });
const client = connectKafka(settings.kafka, logger);
const link = new KafkaLink({ client, worker, settings, spool, logger });

const tell = (message: FromWorker): void => parentPort?.postMessage(message);

const control = new ControlFollower({
  client,
  subject: captureControl(settings.source),
  logger,
  onChange: ({ control, revision }) => {
    const inForce = settingsInForce(settings.flags, control);
    tell({ kind: 'control', settings: { ...inForce, revision: revision === null ? null : String(revision) } });
  },
});

parentPort?.on('message', (message: ToWorker) => {
  switch (message.kind) {
    case 'settings':
      worker.use(message.settings);
      return;
    case 'drain':
      setInterval(() => tell({ kind: 'idle', sessions: worker.idleSessions() }), idleReportMs).unref();
      return;
    case 'stop':
      void stop(message.deadlineMs);
      return;
    default:
      message satisfies never;
  }
});

worker.start();
spool.open();
link.open();
control.open();
setInterval(() => writeNumbers(settings.numberMemory, worker.numbers(spool)), numbersEveryMs).unref();

async function stop(deadlineMs: number): Promise<void> {
  const until = performance.now() + deadlineMs;
  control.close();
  // Some of the time is for the last snapshot.
  await worker.stop(deadlineMs * 0.8);
  await spool.close();
  if (worker.leftOnDisk)
    logger.warn({}, 'what Kafka did not take lies in the spool: the next start with this --node delivers it');
  const complete = await link.close(Math.max(500, until - performance.now()));
  tell({ kind: 'stopped', complete });
  parentPort?.close();
}
