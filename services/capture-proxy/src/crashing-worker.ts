// A capture worker for tests: tells a broadcast channel what it takes out of the ring, and dies when it is told to.
import { BroadcastChannel, parentPort, workerData } from 'node:worker_threads';
import type { WorkerSettings } from './capture/worker-protocol.ts';
import { RecordKind, RingConsumer } from './ring.ts';

const settings = workerData as WorkerSettings;
const channel = new BroadcastChannel(settings.source);
const consumer = new RingConsumer(settings.ringMemory);
const names = Object.entries(RecordKind);
const nameOf = (kind: number): string => names.find(([, value]) => value === kind)?.[0] ?? '?';

parentPort?.on('message', ({ kind }: { kind: string }) => {
  if (kind !== 'stop') return;
  parentPort?.postMessage({ kind: 'stopped', complete: true });
  process.exit(0);
});

setInterval(() => {
  consumer.drain({
    record: (kind, session, _us, bytes, start, end) => {
      const text = Buffer.from(bytes.subarray(start, end)).toString();
      channel.postMessage(`${session} ${nameOf(kind)} ${text}`);
      if (text === 'crash') throw new Error('told to crash');
    },
    mark: (kind, session, _us, count) => channel.postMessage(`${session} ${nameOf(kind)} ${count}`),
  });
}, 1);
