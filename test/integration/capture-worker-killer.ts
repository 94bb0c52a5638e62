// Loaded into a proxy by a test (NODE_OPTIONS): on SIGUSR2 the capture worker is terminated, wherever it happens to be.
import { isMainThread, type Worker } from 'node:worker_threads';

if (isMainThread) {
  let newest: Worker | null = null;
  process.on('worker', (worker) => {
    newest = worker;
  });
  process.on('SIGUSR2', () => void newest?.terminate());
}
