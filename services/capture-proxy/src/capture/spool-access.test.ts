// The way to the spool: what workers that are started no more left is the first worker's to deliver, unless they still live.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { temporaryDirectory, waitFor } from '@mirrorstream/testkit';
import { ownIdentity } from '../spool/process-identity.ts';
import { SpoolAccess } from './spool-access.ts';

const quiet = { debug() {}, info() {}, warn() {}, error() {} };

function accessOf(directory: string, worker: number, workers: number): SpoolAccess {
  return new SpoolAccess({
    settings: {
      spool: { directory, maxBytes: 1024 * 1024 },
      source: 's',
      captureNode: 'n',
      worker,
      workers,
      incarnation: `new-${worker}`,
      publishBufferBytes: 1024 * 1024,
    },
    worker: {
      useSpool() {},
      snapshot: () => assert.fail('nothing is spooled'),
      unreadable() {},
      otherSpoolBytes: () => 0,
    },
    logger: quiet,
  });
}

it('gives the first worker what a worker left that is started no more, once that one has ended', async () => {
  const directory = await temporaryDirectory('spool');
  const old = join(directory, 's', 'n', '1');
  await mkdir(join(old, 'old-1'), { recursive: true });
  const holder = spawn('sleep', ['60']);
  const stat = await readFile(`/proc/${holder.pid}/stat`, 'utf8');
  const [boot, namespace] = (ownIdentity() as string).split('/');
  const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  await writeFile(join(old, 'owner'), `${boot}/${namespace}/${holder.pid}/${ticks}`);
  const access = accessOf(directory, 0, 1);
  access.open();
  await waitFor(() => access.state === 'open', { what: 'the spool to be open' });
  assert.deepEqual(await access.left(), []);
  assert.deepEqual([await access.isBlocked(0), await access.isBlocked(1)], [false, true]);
  holder.kill('SIGKILL');
  await new Promise((resolve) => holder.once('exit', resolve));
  assert.deepEqual(
    (await access.left()).map(({ worker, incarnation }) => [worker, incarnation]),
    [[1, 'old-1']],
  );
  assert.equal(await access.isBlocked(1), false);
  await access.close();
});

it('leaves the folder of a worker that is still started to that one', async () => {
  const directory = await temporaryDirectory('spool');
  await mkdir(join(directory, 's', 'n', '1', 'old-1'), { recursive: true });
  const access = accessOf(directory, 0, 2);
  access.open();
  await waitFor(() => access.state === 'open', { what: 'the spool to be open' });
  assert.deepEqual(await access.left(), []);
  await access.close();
});
