// The capture proxy: forwards between clients and the source, and publishes what went by. Composition root of the service.
import { connectKafka } from '@mirrorstream/kafka';
import type { RunningService, ServiceKit } from '@mirrorstream/service-kit';
import { runService } from '@mirrorstream/service-kit';
import { CaptureThread } from './capture-thread.ts';
import { type CaptureProxyConfig, flags, parseConfig } from './config.ts';
import { drainSessions } from './drain.ts';
import { type RunningProxy, startProxy } from './forward/proxy.ts';
import type { ForwardCounts } from './forward/tap.ts';
import { occasionally } from './occasionally.ts';

/** After the sessions have ended: for what waits for Kafka. */
const publishDeadlineMs = 15_000;

/** Runs until told to stop; resolves with the exit code. */
export function main(argv: readonly string[]): Promise<number> {
  return runService(
    {
      name: 'capture-proxy',
      summary: 'Forwards every byte between clients and a PostgreSQL server, and publishes each transaction to Kafka.',
      flags,
      parse: parseConfig,
      start,
      stopDeadlineMs: (config) => config.drainDeadlineMs + publishDeadlineMs,
    },
    argv,
  );
}

async function start(config: CaptureProxyConfig, kit: ServiceKit): Promise<RunningService> {
  const { logger } = kit;
  if (config.capture) await connectKafka(config.kafka).close(); // options that cannot work are told before anything is listened to
  const counts = { bytes: 0, sessionsTotal: 0, sessionsOpen: 0 };
  const capture = config.capture ? startCapture(config, kit, counts) : null;
  const warn = occasionally(10_000, (details, message) => logger.warn(details, message));
  const proxy = await startProxy({
    listen: config.listen,
    source: config.source,
    tap: capture?.tap ?? null,
    counts,
    forwarding: config.forwarding,
    onSourceUnreachable: (code) =>
      warn({ code, source: config.source }, 'the source is unreachable: clients are told so'),
    onOpaque: () => warn({}, 'a connection did not begin like PostgreSQL 3 in plain text: it passes uncaptured'),
  }).catch(async (error: unknown) => {
    await capture?.stop(0);
    throw error;
  });
  registerMetrics(kit.metrics, counts, capture);
  const listen = `${proxy.listening.host}:${proxy.listening.port}`;
  logger.info({ listen, forwarding: proxy.forwarding, capture: config.capture }, 'forwarding');
  kit.ready({ listen });
  return { stop: (deadlineMs) => stop(config, kit, proxy, capture, deadlineMs) };
}

function startCapture(config: CaptureProxyConfig, { logger }: ServiceKit, counts: ForwardCounts): CaptureThread {
  return new CaptureThread({
    settings: {
      source: config.sourceName,
      captureNode: config.node,
      partitions: config.partitions,
      limits: config.limits,
      publishBufferBytes: config.publishBufferBytes,
      kafka: config.kafka,
      logLevel: config.logLevel,
    },
    ringBytes: config.ringBytes,
    counts,
    onWorkerDied: (error) =>
      logger.error({ error: error.message }, 'the capture worker died; forwarding goes on, capture starts anew'),
  });
}

/** The forwarding thread's numbers. What was captured is in the snapshots. */
function registerMetrics(
  metrics: ServiceKit['metrics'],
  counts: Readonly<ForwardCounts>,
  capture: CaptureThread | null,
): void {
  const prefix = 'mirrorstream_capture_proxy';
  const counter = (name: string, help: string, read: () => number): void => {
    metrics.register({ name: `${prefix}_${name}`, help, kind: 'counter', read });
  };
  counter('forwarded_bytes_total', 'Bytes forwarded, both directions.', () => counts.bytes);
  counter('sessions_total', 'Sessions that reached the source.', () => counts.sessionsTotal);
  metrics.register({
    name: `${prefix}_sessions_open`,
    help: 'Sessions open now.',
    kind: 'gauge',
    read: () => counts.sessionsOpen,
  });
  if (capture === null) return;
  counter(
    'ring_dropped_bytes_total',
    'Bytes not captured because the ring was full.',
    () => capture.tap.counts.droppedBytes,
  );
  counter('ring_overflows_total', 'How often the ring ran full.', () => capture.tap.counts.overflows);
}

/** Stops accepting, lets open transactions end, publishes what was captured. */
async function stop(
  config: CaptureProxyConfig,
  { logger }: ServiceKit,
  proxy: RunningProxy,
  capture: CaptureThread | null,
  deadlineMs: number,
): Promise<void> {
  const until = performance.now() + deadlineMs;
  proxy.stopAccepting();
  capture?.drain();
  const cut = await drainSessions(proxy, config.drainDeadlineMs);
  if (cut > 0) logger.warn({ sessions: cut }, 'sessions with open transactions were closed at the drain deadline');
  if (capture === null) return;
  const complete = await capture.stop(Math.max(1_000, until - performance.now()));
  if (!complete) logger.error({}, 'not all that was captured could be published: the next start counts what Kafka has');
}
