// A capture worker that dies takes nothing with it but its own view: forwarding goes on, and a new one is told of every open session.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { BroadcastChannel } from 'node:worker_threads';
import { defaultCaptureLimits } from '@mirrorstream/capture';
import { waitFor } from '@mirrorstream/testkit';
import { defaultCaptureBounds } from './bound-flags.ts';
import { CaptureThread } from './capture-thread.ts';

it('starts a new worker when one dies, and announces the open sessions to it', { timeout: 30_000 }, async () => {
  const source = 'capture-thread-test';
  const channel = new BroadcastChannel(source);
  const seen: string[] = [];
  channel.onmessage = (event) => seen.push(String((event as { data: unknown }).data));
  const died: string[] = [];
  const thread = new CaptureThread({
    settings: {
      source,
      captureNode: 'n',
      server: { addresses: [], seenFrom: 'here' },
      worker: 0,
      workers: 1,
      partitions: 1,
      limits: defaultCaptureLimits,
      bounds: defaultCaptureBounds,
      flags: { capture: 'on', sampling: 1, answers: 'full', answerCapBytes: 0 },
      publishBufferBytes: 1024 * 1024,
      assemblyBytes: 8 * 1024 * 1024,
      spool: null,
      kafka: { brokers: [], clientId: 'none' },
      logLevel: 'silent',
    },
    ringBytes: 256 * 1024,
    counts: { bytes: 0, sessionsTotal: 0, sessionsOpen: 0 },
    onWorkerDied: (error) => died.push(error.message),
    entry: new URL('./crashing-worker.ts', import.meta.url),
  });
  const first = thread.tap.open(Buffer.from('startup'), 1);
  first.client(Buffer.from('crash'), 2);
  await waitFor(() => died.length > 0, { what: 'the worker to die' });
  first.server(Buffer.from('unseen'), 3);
  const second = thread.tap.open(Buffer.from('startup'), 4);
  await waitFor(() => seen.includes('2 opened 0'), { what: 'a new worker to be told' });
  second.client(Buffer.from('hello'), 5);
  await waitFor(() => seen.includes('2 client hello'), { what: 'the new worker to take records' });
  assert.deepEqual(died, ['told to crash']);
  assert.deepEqual(seen, [
    '1 opened 0',
    '1 client startup',
    '1 client crash',
    '1 opened 0',
    '1 client startup',
    '1 missedClient 0',
    '1 missedServer 6',
    '2 opened 0',
    '2 client startup',
    '2 missedClient 0',
    '2 missedServer 0',
    '2 client hello',
  ]);
  assert.equal(await thread.stop(5_000), true);
  channel.close();
});
