// Tests of the claim on a data folder.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type DataDir, dataDirLayout, startTicks } from '@mirrorstream/local';
import { RunClaim, readRunFile } from './run-file.ts';

const about = { source: 'source', environment: 'default', mirrors: ['candidate'] };

async function withFolder(work: (layout: DataDir) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'mirrorstream-run-'));
  try {
    await work(dataDirLayout(folder));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

test('a second claim on the same folder is refused while the first one is held', async () => {
  await withFolder(async (layout) => {
    const claim = await RunClaim.take(layout, about, 0);
    await assert.rejects(RunClaim.take(layout, about, 0), /a stack is running on .* already \(pid \d+\)/);
    await claim.release();
    const again = await RunClaim.take(layout, about, 0);
    await again.release();
    assert.deepEqual(await readdir(layout.root), []);
  });
});

test('what the stack tells about itself can be read while it runs', async () => {
  await withFolder(async (layout) => {
    const claim = await RunClaim.take(layout, about, 5);
    claim.addProcess('kafka', process.pid);
    claim.update({ kafka: { brokers: ['127.0.0.1:1'] } });
    claim.update({ addresses: { proxy: '127.0.0.1:2' } });
    await claim.release();
    await RunClaim.take(layout, about, 5);
    const found = await readRunFile(layout);
    assert.equal(found?.running, true);
    assert.deepEqual(found?.run.mirrors, ['candidate']);
  });
});

test('a claim left by a killed process is taken over once its children have ended', async () => {
  await withFolder(async (layout) => {
    const child = spawn(process.execPath, ['-e', 'process.stdin.resume()'], { stdio: ['pipe', 'ignore', 'ignore'] });
    await once(child, 'spawn');
    const pid = child.pid ?? 0;
    const ended = { pid: 2 ** 22 + 1, startTicks: '1' };
    const processes = [{ name: 'kafka', pid, startTicks: startTicks(pid) ?? null }];
    await writeFile(
      layout.runFile,
      JSON.stringify({ ...ended, startedAtMs: 0, addresses: {}, kafka: null, processes, ...about }),
    );
    const taking = RunClaim.take(layout, about, 0);
    const first = await Promise.race([
      taking.then(() => 'taken'),
      new Promise((resolve) => setTimeout(resolve, 200, 'waiting')),
    ]);
    assert.equal(first, 'waiting');
    child.stdin?.end();
    await once(child, 'exit');
    await taking;
    assert.equal((JSON.parse(await readFile(layout.runFile, 'utf8')) as { pid: number }).pid, process.pid);
  });
});

test('a file that is no run file claims nothing', async () => {
  await withFolder(async (layout) => {
    await writeFile(layout.runFile, '{"pid": 1');
    assert.equal(await readRunFile(layout), undefined);
    await RunClaim.take(layout, about, 0);
  });
});
