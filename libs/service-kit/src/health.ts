// The health endpoint: is the process alive (/live), is it ready (/ready), and its numbers (/metrics). Off unless asked for; loaded only
// then. On loopback unless an address says otherwise: it has no authentication.
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
  const match = /^(?:(?:\[([0-9a-fA-F:]+)\]|([^:\s]+)):)?(\d{1,5})$/.exec(address);
  if (match === null) {
    throw new MirrorstreamError('badInput', '--health is neither PORT nor HOST:PORT', {
      stage: 'health',
      hint: 'Write for instance 9464, which is 127.0.0.1:9464.',
    });
  }
  const { fastify } = await import('fastify');
  const server = fastify({ logger: false, forceCloseConnections: true });
  for (const path of ['/live', '/healthz']) server.get(path, () => ({ status: 'ok' }));
  for (const path of ['/ready', '/readyz']) {
    server.get(path, (_request, reply) => {
      const ready = source.isReady();
      return reply.code(ready ? 200 : 503).send({ status: ready ? 'ready' : 'notReady' });
    });
  }
  server.get('/metrics', (_request, reply) =>
    reply.type('text/plain; version=0.0.4; charset=utf-8').send(source.metrics.prometheusText()),
  );
  try {
    await server.listen({ host: match[1] ?? match[2] ?? '127.0.0.1', port: Number(match[3]) });
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
