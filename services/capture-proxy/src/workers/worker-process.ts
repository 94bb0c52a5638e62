// Entry of a worker process: a whole proxy that is handed its clients by the supervisor. Dies with the supervisor, in order.
import type { Socket } from 'node:net';
import { exitCodes, MirrorstreamError } from '@mirrorstream/domain';
import { createLogger, MetricRegistry } from '@mirrorstream/service-kit';
import { type CapturingProxy, publishDeadlineMs, startCapturingProxy, type WorkerPlace } from '../capturing-proxy.ts';
import type { CaptureProxyConfig } from '../config.ts';
import type { Route } from '../forward/connect-source.ts';
import type { FromWorkerProcess, ToldError, ToWorkerProcess } from './messages.ts';

/** The supervisor gives the next client to whom it takes to have the fewest: it need not know to the millisecond. */
const tellLeftEveryMs = 20;
const tellMetricsEveryMs = 1_000;

type State =
  | { readonly kind: 'waiting' | 'starting' | 'stopping' }
  | { readonly kind: 'running'; readonly proxy: CapturingProxy; readonly config: CaptureProxyConfig };

let state: State = { kind: 'waiting' };
let given = 0;
let left = 0;
let questions = 0;
/** Cancels that wait to hear from the supervisor where their session is. It answers each. */
const asking = new Map<number, (route: Route | null) => void>();
let hasten: () => void = () => undefined;

// The supervisor decides: a terminal and systemd signal every process of the group.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
process.on('disconnect', () => void stop(null));
process.on('message', (message: ToWorkerProcess, socket: Socket | undefined) => {
  switch (message.kind) {
    case 'start':
      void start(message.config, message.place);
      return;
    case 'client':
      take(socket);
      return;
    case 'cancel':
      if (state.kind === 'running') state.proxy.cancelPassed(message.key, message.monoUs);
      return;
    case 'whose':
      tell({
        kind: 'route',
        question: message.question,
        route: state.kind === 'running' ? state.proxy.routeOf(message.key) : null,
      });
      return;
    case 'route':
      asking.get(message.question)?.(message.route);
      asking.delete(message.question);
      return;
    case 'stop':
      void stop(message.deadlineMs);
      return;
    case 'hasten':
      hasten();
      return;
    default:
      message satisfies never;
  }
});

async function start(config: CaptureProxyConfig, place: WorkerPlace): Promise<void> {
  state = { kind: 'starting' };
  const metrics = new MetricRegistry();
  const logger = createLogger('capture-proxy', config.logLevel).child({ worker: place.worker });
  const onBug = (err: unknown): void => {
    logger.fatal({ err }, 'an error nobody handled: this worker process ends');
    process.exit(exitCodes.componentFailed);
  };
  process.on('uncaughtException', onBug).on('unhandledRejection', onBug);
  try {
    const proxy = await startCapturingProxy(config, {
      logger,
      metrics,
      place,
      onCancel: (key, monoUs) => tell({ kind: 'cancel', key: Uint8Array.from(key), monoUs }),
      routeElsewhere,
    });
    state = { kind: 'running', proxy, config };
    hasten = () => proxy.hasten();
    setInterval(() => tellLeft(proxy), tellLeftEveryMs).unref();
    setInterval(() => tell({ kind: 'metrics', families: metrics.families() }), tellMetricsEveryMs).unref();
    tell({ kind: 'ready', forwarding: proxy.forwarding });
  } catch (error) {
    tell({ kind: 'failed', error: toldError(error) }, () => process.exit(exitCodes.componentFailed));
  }
}

/** The supervisor sends clients to workers that are ready, and none any more when it stops: others come by mistake. */
function take(socket: Socket | undefined): void {
  if (socket === undefined) return; // it was closed on the way
  given += 1;
  if (state.kind !== 'running') {
    socket.destroy();
    return;
  }
  // Passing a socket on loses this property of it.
  socket.allowHalfOpen = true;
  state.proxy.accept(socket);
}

function tellLeft(proxy: CapturingProxy): void {
  const gone = given - proxy.connections();
  if (gone === left) return;
  tell({ kind: 'left', clients: gone - left });
  left = gone;
}

/** `null`: the supervisor is gone; what it would have said is known. */
async function stop(deadlineMs: number | null): Promise<void> {
  if (state.kind !== 'running') {
    if (state.kind !== 'stopping') process.exit(0);
    return;
  }
  const { proxy, config } = state;
  state = { kind: 'stopping' };
  await proxy.stop(deadlineMs ?? config.drainDeadlineMs + publishDeadlineMs);
  process.exit(0);
}

function routeElsewhere(key: Uint8Array): Promise<Route | null> {
  return new Promise((resolve) => {
    questions += 1;
    asking.set(questions, resolve);
    tell({ kind: 'whose', question: questions, key: Uint8Array.from(key) });
  });
}

function tell(message: FromWorkerProcess, told: () => void = () => undefined): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => told());
}

function toldError(error: unknown): ToldError {
  if (error instanceof MirrorstreamError) return { code: error.code, message: error.message, hint: error.hint };
  return {
    code: 'internal',
    message: error instanceof Error ? (error.stack ?? error.message) : String(error),
    hint: undefined,
  };
}
