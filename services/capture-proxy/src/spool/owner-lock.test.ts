// A spool folder has one owner: a second one waits, and a dead one's lock is taken over.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { temporaryDirectory } from '@mirrorstream/testkit';
import { leaseMs, OwnerLock } from './owner-lock.ts';
import { livenessOf, ownIdentity } from './process-identity.ts';

const identityOf = (pid: number): Promise<string> =>
  readFile(`/proc/${pid}/stat`, 'utf8').then((text) => {
    const [boot, namespace] = (ownIdentity() as string).split('/');
    return `${boot}/${namespace}/${pid}/${text.slice(text.lastIndexOf(')') + 2).split(' ')[19]}`;
  });

it('is refused while its holder lives, and taken over when the holder is dead', async () => {
  const folder = await temporaryDirectory('lock');
  const holder = spawn('sleep', ['60']);
  const identity = await identityOf(holder.pid as number);
  await writeFile(join(folder, 'owner'), identity);
  assert.equal(livenessOf(identity), 'alive');
  assert.equal(await new OwnerLock(folder).take(), false);
  holder.kill('SIGKILL');
  await new Promise((resolve) => holder.once('exit', resolve));
  assert.equal(livenessOf(identity), 'dead');
  const lock = new OwnerLock(folder);
  assert.equal(await lock.take(), true);
  assert.equal(await readFile(join(folder, 'owner'), 'utf8'), ownIdentity());
  await lock.release();
  await assert.rejects(readFile(join(folder, 'owner')));
});

it('passes from one worker of a process to the next', async () => {
  const folder = await temporaryDirectory('lock');
  assert.equal(await new OwnerLock(folder).take(), true);
  const next = new OwnerLock(folder);
  assert.equal(await next.take(), true);
  await next.release();
});

it('of a holder that cannot be looked up counts for as long as it is renewed', async () => {
  const folder = await temporaryDirectory('lock');
  const path = join(folder, 'owner');
  await writeFile(path, 'another-boot/4026531836/1/100');
  assert.equal(await new OwnerLock(folder).take(), false);
  const long = new Date(Date.now() - leaseMs - 1_000);
  await utimes(path, long, long);
  const lock = new OwnerLock(folder);
  assert.equal(await lock.take(), true);
  await lock.release();
});

it('knows a process from a later one with the same pid', () => {
  const own = ownIdentity() as string;
  assert.equal(livenessOf(own), 'self');
  assert.equal(livenessOf(own.replace(/\d+$/, '1')), 'dead');
  assert.equal(livenessOf(undefined), 'unknown');
});
