// A whole proxy but for its listening socket: forwarding, capture, metrics and the drain. One per process.

import type { Socket } from 'node:net';
import { hostname } from 'node:os';
import { connectKafka, type KafkaConnectionOptions } from '@mirrorstream/kafka';
import type { ServiceKit } from '@mirrorstream/service-kit';
import { CaptureThread } from './capture-thread.ts';
import type { CaptureProxyConfig } from './config.ts';
import { ConnectionTelemetry } from './connection-telemetry.ts';
import { type Drain, startDrain } from './drain.ts';
import type { RouteElsewhere } from './forward/cancel-routes.ts';
import type { Route } from './forward/connect-source.ts';
import type { Forwarding } from './forward/leg.ts';
import { createProxy, type ForwardingProxy, type ProxyOptions } from './forward/proxy.ts';
import type { ForwardCounts, Tap } from './forward/tap.ts';
import { startTls } from './forward/tls/start-tls.ts';
import { registerMetrics } from './metrics.ts';

/** After the sessions have ended: for what waits for Kafka. */
export const publishDeadlineMs = 15_000;
/** A start waits so long for the control topic, lest what was switched off captures for a moment. Kafka may be away. */
const controlDeadlineMs = 2_000;

/** Which of how many processes this is. One alone is worker 0 of 1. */
export interface WorkerPlace {
  readonly worker: number;
  readonly workers: number;
}

export interface ProxySurroundings extends Pick<ServiceKit, 'logger' | 'metrics'> {
  readonly place: WorkerPlace;
  /** A CancelRequest went by; its session may be another worker's. */
  readonly onCancel?: (key: Uint8Array, monoUs: number) => void;
  /** Asks the other workers which server a cancel is for. */
  readonly routeElsewhere?: RouteElsewhere;
}

export interface CapturingProxy {
  readonly forwarding: Forwarding;
  accept(socket: Socket): void;
  /** Client connections open now. */
  connections(): number;
  /** A CancelRequest that went through another worker. */
  cancelPassed(key: Uint8Array, monoUs: number): void;
  /** The server of the session that a CancelRequest with this key is for; null: it is none of this process. */
  routeOf(key: Uint8Array): Route | null;
  /** Lets open transactions end, then publishes what was captured. Whoever accepts has stopped doing so. */
  stop(deadlineMs: number): Promise<void>;
  /** While stopping: open transactions get no more time. */
  hasten(): void;
}

/** Rejects with `badInput` for options that cannot work: told before anything is listened to. */
export async function startCapturingProxy(
  config: CaptureProxyConfig,
  around: ProxySurroundings,
): Promise<CapturingProxy> {
  const { logger } = around;
  if (config.kafka !== null) await connectKafka(config.kafka).close();
  const connections = new ConnectionTelemetry(logger);
  const connectionOptions = await startConnections(config, connections);
  const counts: ForwardCounts = { bytes: 0, sessionsTotal: 0, sessionsOpen: 0 };
  const capture = config.kafka === null ? null : startCapture(config, config.kafka, around, counts);
  const proxy = await proxyOr(() => capture?.stop(0), {
    sources: config.sources,
    tap: capture === null ? null : tapTelling(capture.tap, around.onCancel),
    counts,
    forwarding: config.forwarding,
    ...connectionOptions,
    ...(around.routeElsewhere === undefined ? {} : { routeElsewhere: around.routeElsewhere }),
  });
  if (capture !== null && !(await capture.controlKnown(controlDeadlineMs)))
    logger.warn({ ...config.settings }, 'the control topic did not answer in time: the flags hold until it does');
  connections.registerMetrics(around.metrics);
  registerMetrics(around.metrics, counts, capture);
  let drain: Drain | null = null;
  return {
    forwarding: proxy.forwarding,
    accept: (socket) => proxy.accept(socket),
    connections: () => proxy.connections(),
    cancelPassed: (key, monoUs) => capture?.cancelPassed(key, monoUs),
    routeOf: (key) => proxy.routeOf(key),
    stop: (deadlineMs) => {
      drain ??= startDrain(proxy, config.drainDeadlineMs);
      return stop(drain, around, capture, deadlineMs);
    },
    hasten: () => drain?.hasten(),
  };
}

/** A proxy that cannot be made leaves nothing running. */
async function proxyOr(undo: () => Promise<unknown> | undefined, options: ProxyOptions): Promise<ForwardingProxy> {
  try {
    return createProxy(options);
  } catch (error) {
    await undo();
    throw error;
  }
}

/** Reads what TLS needs, so that a file that cannot be used is told before anything is listened to. */
async function startConnections(
  { connections: { maxSessions, ...config } }: CaptureProxyConfig,
  telemetry: ConnectionTelemetry,
): Promise<Omit<ProxyOptions, 'sources' | 'tap' | 'counts' | 'forwarding'>> {
  const { clientTls, sourceTls } = await startTls(config, telemetry);
  return {
    ...config,
    clientTls,
    sourceTls,
    ...(maxSessions === null ? {} : { maxSessions }),
    onEvent: (event) => telemetry.onEvent(event),
  };
}

/** The tap, and whoever wants to hear of cancels besides. */
function tapTelling(tap: Tap, onCancel: ProxySurroundings['onCancel']): Tap {
  if (onCancel === undefined) return tap;
  return {
    open: (startup, monoUs) => tap.open(startup, monoUs),
    cancel: (key, monoUs) => {
      tap.cancel(key, monoUs);
      onCancel(key, monoUs);
    },
  };
}

function startCapture(
  config: CaptureProxyConfig,
  kafka: KafkaConnectionOptions,
  { logger, place }: ProxySurroundings,
  counts: ForwardCounts,
): CaptureThread {
  return new CaptureThread({
    settings: {
      source: config.sourceName,
      captureNode: config.node,
      server: {
        addresses: [...config.sources],
        seenFrom: hostname(),
        ...(config.systemIdentifier === null ? {} : { systemIdentifier: config.systemIdentifier }),
      },
      ...place,
      partitions: config.partitions,
      limits: config.limits,
      bounds: config.bounds,
      publishBufferBytes: config.publishBufferBytes,
      assemblyBytes: config.assemblyBytes,
      spool: config.spool,
      kafka,
      flags: config.settings,
      logLevel: config.logLevel,
    },
    ringBytes: config.ringBytes,
    counts,
    onSettings: (settings) => logger.info({ ...settings }, 'the control topic says what is captured'),
    onWorkerDied: (error) =>
      logger.error({ error: error.message }, 'the capture worker died; forwarding goes on, capture starts anew'),
  });
}

async function stop(
  drain: Drain,
  { logger }: ProxySurroundings,
  capture: CaptureThread | null,
  deadlineMs: number,
): Promise<void> {
  const until = performance.now() + deadlineMs;
  capture?.drain();
  const cut = await drain.done;
  if (cut > 0) logger.warn({ sessions: cut }, 'sessions with open transactions were closed at the drain deadline');
  if (capture === null) return;
  const complete = await capture.stop(Math.max(1_000, until - performance.now()));
  if (!complete) logger.error({}, 'not all that was captured could be published: the next start counts what Kafka has');
}
