#!/usr/bin/env node
// Starts the command under a Node that can run it: this one, or the one the project brings. Plain JavaScript for any old Node.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import module from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const neededMajor = 24;
const repositoryRoot = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
const majorOf = (version) => Number.parseInt(version.replace(/^v/, ''), 10);

/** Stripping the types of all modules costs 0.3 s at each start; with the cache next to nothing. Children inherit the variable. */
function useCompileCache() {
  if (process.env.NODE_DISABLE_COMPILE_CACHE) return;
  const folder = process.env.NODE_COMPILE_CACHE ?? join(repositoryRoot, 'node_modules', '.cache', 'mirrorstream');
  process.env.NODE_COMPILE_CACHE = folder;
  if (typeof module.enableCompileCache === 'function') module.enableCompileCache(folder);
}

/** The project's own Node, if it is there and new enough. */
function newerNode() {
  const path = join(repositoryRoot, 'node_modules', '.bin', 'node');
  if (!existsSync(path)) return undefined;
  const answer = spawnSync(path, ['--version'], { encoding: 'utf8' });
  return answer.status === 0 && majorOf(answer.stdout) >= neededMajor ? path : undefined;
}

/** Runs the same command under another Node: same streams, signals passed on, its exit code ours. */
function runUnder(node) {
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    // The channel carries nothing: its end tells the child that this process is gone, even if it was killed.
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, MIRRORSTREAM_TIED_TO_PARENT: '1' },
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    process.stderr.write(`mirrorstream: cannot start ${node}: ${error.message}\n`);
    process.exitCode = 3;
  });
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.removeAllListeners(name);
    process.kill(process.pid, signal);
  });
}

async function run() {
  if (process.env.MIRRORSTREAM_TIED_TO_PARENT && process.channel) {
    delete process.env.MIRRORSTREAM_TIED_TO_PARENT;
    process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
    process.channel.unref();
  }
  useCompileCache();
  const { main } = await import('../src/main.ts');
  process.exitCode = await main(process.argv.slice(2));
}

if (majorOf(process.version) >= neededMajor) await run();
else {
  const node = newerNode();
  if (node === undefined) {
    process.stderr.write(
      `mirrorstream: needs Node ${neededMajor}, this is ${process.version}, and the project's own Node is not installed.\n` +
        `  Run npm install in ${repositoryRoot} (it brings Node ${neededMajor}), or install Node ${neededMajor} or newer.\n`,
    );
    process.exitCode = 3;
  } else runUnder(node);
}
