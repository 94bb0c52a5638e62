// Who takes part: what stands between the load and the server in each turn, by name, and how it is started.
import { join } from 'node:path';
import { freePort } from '@mirrorstream/local';
import { haproxy, pgbouncer } from './peers.ts';
import { pgdog } from './pgdog.ts';
import { type Contender, type Entry, type Surroundings, spawnReady, started } from './starting.ts';

/** Everyone there is, in the order of the tables. */
export const entries: readonly Entry[] = [
  { name: 'direct', start: async (around) => directConnection(around) },
  { name: 'pgbouncer', start: pgbouncer },
  { name: 'haproxy', start: haproxy },
  { name: 'node pipe', start: plainPipe },
  { name: 'pgdog', start: (around) => pgdog(around, 'pgdog', null) },
  {
    name: 'pgdog mirroring',
    needsMirror: true,
    start: (around) => pgdog(around, 'pgdog mirroring', around.mirrorPort),
  },
  { name: 'thin tap', start: thinTap },
  captureProxy('mirrorstream capture off', { flags: ['--capture', 'off'], publishes: false }),
  captureProxy('mirrorstream', {}),
  captureProxy('mirrorstream digest', { flags: ['--answers', 'digest'] }),
  captureProxy('mirrorstream 2 workers', { flags: ['--workers', '2'] }),
  // Nobody listens there: what does an outage of Kafka cost production?
  captureProxy('mirrorstream Kafka away', { publishes: false, kafkaAway: true }),
];

/** How the server is called in a contender's topics. */
const sourceNameOf = (contender: string): string =>
  contender
    .toLowerCase()
    .replaceAll(' ', '-')
    .replaceAll(/[^a-z0-9-]/g, '');

function directConnection({ sourcePort }: Surroundings): Contender {
  return { name: 'direct', port: sourcePort, pid: null, version: '', sourceName: null, stop: async () => undefined };
}

/** The yardstick: what Node does when it does nothing but pipe. */
async function plainPipe({ sourcePort }: Surroundings): Promise<Contender> {
  const script = join(import.meta.dirname, 'pipe-proxy.ts');
  const child = await spawnReady('node pipe', process.execPath, [script, String(sourcePort)]);
  return started('node pipe', Number(child.ready['port']), child.process, `Node ${process.version}`);
}

/** The capture proxy's own forwarding and ring, with a worker that only finds frames: what the tap itself costs. */
async function thinTap({ root, sourcePort }: Surroundings): Promise<Contender> {
  const script = join(root, 'services/capture-proxy/bench/thin-tap.ts');
  const child = await spawnReady('thin tap', process.execPath, [script, String(sourcePort)]);
  return started('thin tap', Number(child.ready['port']), child.process, '');
}

interface CaptureProxyEntry {
  readonly flags?: readonly string[];
  /** Whether anything of it can be in Kafka. */
  readonly publishes?: boolean;
  readonly kafkaAway?: boolean;
}

/** The capture proxy as it is run in production, publishing to a real broker. */
function captureProxy(name: string, { flags = [], publishes = true, kafkaAway = false }: CaptureProxyEntry): Entry {
  return {
    name,
    start: async (around) => {
      const brokers = kafkaAway ? `127.0.0.1:${await freePort()}` : around.brokers;
      const child = await spawnReady(name, process.execPath, [
        join(around.root, 'services/cli/bin/mirrorstream.js'),
        'capture-proxy',
        ...['--listen', '127.0.0.1:0', '--source', `127.0.0.1:${around.sourcePort}`, '--brokers', brokers],
        ...['--source-name', sourceNameOf(name), '--node', 'bench', ...flags],
      ]);
      const listen = String(child.ready['listen']);
      const port = Number(listen.slice(listen.lastIndexOf(':') + 1));
      return { ...started(name, port, child.process, ''), sourceName: publishes ? sourceNameOf(name) : null };
    },
  };
}
