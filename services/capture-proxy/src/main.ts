// The capture proxy: forwards between clients and the source, and publishes what went by. Composition root of the service.
import type { RunningService, ServiceKit } from '@mirrorstream/service-kit';
import { runService } from '@mirrorstream/service-kit';
import { publishDeadlineMs, startCapturingProxy } from './capturing-proxy.ts';
import { type CaptureProxyConfig, flags, parseConfig } from './config.ts';
import { startListener } from './forward/listener.ts';
import { startWorkers } from './workers/supervisor.ts';

/** Runs until told to stop; resolves with the exit code. */
export function main(argv: readonly string[]): Promise<number> {
  return runService(
    {
      name: 'capture-proxy',
      summary: 'Forwards every byte between clients and a PostgreSQL server, and publishes each transaction to Kafka.',
      flags,
      parse: parseConfig,
      start: (config, kit) => (config.workers === 1 ? startAlone(config, kit) : startWorkers(config, kit)),
      stopDeadlineMs: (config) => config.drainDeadlineMs + publishDeadlineMs,
    },
    argv,
  );
}

/** One process does it all. */
async function startAlone(config: CaptureProxyConfig, kit: ServiceKit): Promise<RunningService> {
  const { logger, metrics } = kit;
  const proxy = await startCapturingProxy(config, { logger, metrics, place: { worker: 0, workers: 1 } });
  const listener = await startListener(config.listen, (socket) => proxy.accept(socket)).catch(
    async (error: unknown) => {
      await proxy.stop(0);
      throw error;
    },
  );
  const listen = `${listener.listening.host}:${listener.listening.port}`;
  logger.info({ listen, forwarding: proxy.forwarding, capture: config.settings.capture }, 'forwarding');
  kit.ready({ listen });
  return {
    stop: async (deadlineMs) => {
      listener.close();
      await proxy.stop(deadlineMs);
    },
    hasten: () => proxy.hasten(),
  };
}
