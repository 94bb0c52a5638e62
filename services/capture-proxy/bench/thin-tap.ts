// The thin tap alone, for the benchmark: forwarding, ring, and a worker that finds the frames, with nothing behind it. What the
// capture proxy costs beyond this is assembling, encoding and publishing.
// Usage: node thin-tap.ts SOURCE_PORT; says where it listens in one JSON line.
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { FrameEvent, FrameSplitter } from '@mirrorstream/pg-wire';
import { startProxy } from '../src/forward/proxy.ts';
import { createRingMemory, RecordKind, RingConsumer, RingProducer } from '../src/ring.ts';
import { RingTap } from '../src/ring-tap.ts';

const ringBytes = 64 * 1024 * 1024;
const pollMs = 2;

if (isMainThread) await forward(Number(process.argv[2]));
else findFrames(workerData as SharedArrayBuffer);

async function forward(sourcePort: number): Promise<void> {
  const memory = createRingMemory(ringBytes);
  new Worker(new URL(import.meta.url), { name: 'frames', workerData: memory });
  const proxy = await startProxy({
    listen: { host: '127.0.0.1', port: 0 },
    sources: [{ host: '127.0.0.1', port: sourcePort }],
    tap: new RingTap(new RingProducer(memory), { idle: () => 'yes' as const }),
    counts: { bytes: 0, sessionsTotal: 0, sessionsOpen: 0 },
  });
  process.stdout.write(`${JSON.stringify({ port: proxy.listening.port })}\n`);
  process.on('SIGTERM', () => process.exit(0));
}

function findFrames(memory: SharedArrayBuffer): void {
  const ring = new RingConsumer(memory);
  const sessions = new Map<number, { readonly client: FrameSplitter; readonly server: FrameSplitter }>();
  const handler = {
    record(kind: RecordKind, id: number, _monoUs: number, bytes: Uint8Array, start: number, end: number): void {
      const session = sessions.get(id);
      if (session === undefined) return;
      const splitter = kind === RecordKind.client ? session.client : session.server;
      splitter.feed(bytes, start, end);
      while (splitter.next() !== FrameEvent.needMore);
    },
    mark(kind: RecordKind, id: number): void {
      if (kind === RecordKind.opened) {
        sessions.set(id, { client: new FrameSplitter({ phase: 'startup' }), server: new FrameSplitter() });
      } else if (kind === RecordKind.closed) sessions.delete(id);
    },
  };
  const poll = (): void => {
    while (ring.drain(handler) > 0);
    setTimeout(poll, pollMs);
  };
  poll();
}
