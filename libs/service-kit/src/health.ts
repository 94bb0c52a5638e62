// The health endpoint: is the process alive, is it ready, and its numbers. Off unless asked for; loaded only then.
import type { AddressInfo } from 'node:net';
import { MirrorstreamError } from '@mirrorstream/domain';
import type { MetricRegistry } from './metrics.ts';

export interface HealthSource {
  readonly isReady: () => boolean;
  readonly metrics: MetricRegistry;
}

export interface HealthServer {
  readonly port: number;
  stop(): Promise<void>;
}

/** Throws `badInput` for an address that is none, `portTaken`. */
export async function startHealthServer(
  address: string | undefined,
  source: HealthSource,
): Promise<HealthServer | undefined> {
  if (address === undefined) return undefined;
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:\s]+)):(\d{1,5})$/.exec(address);
  if (match === null) {
    throw new MirrorstreamError('badInput', '--health is not HOST:PORT', {
      stage: 'health',
      hint: 'Write for instance 127.0.0.1:9464.',
    });
  }
  const { fastify } = await import('fastify');
  const server = fastify({ logger: false, forceCloseConnections: true });
  server.get('/healthz', () => ({ status: 'ok' }));
  server.get('/readyz', (_request, reply) => {
    const ready = source.isReady();
    return reply.code(ready ? 200 : 503).send({ status: ready ? 'ready' : 'starting' });
  });
  server.get('/metrics', (_request, reply) =>
    reply.type('text/plain; version=0.0.4; charset=utf-8').send(source.metrics.prometheusText()),
  );
  try {
    await server.listen({ host: (match[1] ?? match[2]) as string, port: Number(match[3]) });
  } catch (cause) {
    const taken = (cause as NodeJS.ErrnoException).code === 'EADDRINUSE';
    const code = taken ? 'portTaken' : 'badInput';
    throw new MirrorstreamError(code, `the health endpoint cannot listen on ${address}`, {
      stage: 'health',
      hint: 'Choose another address with --health.',
      cause,
    });
  }
  const bound = server.server.address() as AddressInfo;
  return { port: bound.port, stop: () => server.close() };
}
