// Installs what package-lock.json names, if it is not there yet. Plain JavaScript for Node 18 and newer: it runs before anything is
// installed, as `prestart` and `pretest`. Everything it says goes to standard error: `npm start -- --json` owns standard output.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const modules = join(root, 'node_modules');
const stampFile = join(modules, '.mirrorstream-installed');
const lockDir = join(root, '.mirrorstream', 'install.lock');
const minimumNode = 24;
const progressEveryMs = process.stderr.isTTY ? 1000 : 10_000;
const lockWaitMs = 20 * 60_000;

function say(line) {
  process.stderr.write(`mirrorstream: ${line}\n`);
}

function fail(line, hint, code = 1) {
  say(line);
  if (hint) say(hint);
  process.exit(code);
}

const lockText = readFileSync(join(root, 'package-lock.json'), 'utf8');
const stamp = `${createHash('sha256').update(lockText).digest('hex')} ${process.platform}-${process.arch}\n`;

function readOrEmpty(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** Somebody ran npm by hand: its own record of what lies in node_modules agrees with the lock file. */
function installedByHand() {
  const record = readOrEmpty(join(modules, '.package-lock.json'));
  if (record === '') return false;
  const present = JSON.parse(record).packages;
  for (const [path, wanted] of Object.entries(JSON.parse(lockText).packages)) {
    if (!path.startsWith('node_modules/')) continue;
    const found = present[path];
    if (found === undefined) {
      if ((wanted.optional || wanted.devOptional || wanted.peer) && !fitsHere(wanted)) continue;
      return false;
    }
    if (found.version !== wanted.version || found.link !== wanted.link) return false;
    if (found.integrity !== wanted.integrity || !existsSync(join(root, path))) return false;
  }
  return true;
}

/** Whether npm would install an optional package on this system. */
function fitsHere({ os, cpu, libc }) {
  const allows = (list, value) => list === undefined || list.includes(value);
  // Which C library this is npm finds out; a package that names one is left to it.
  return (
    (os !== undefined || cpu !== undefined) &&
    libc === undefined &&
    allows(os, process.platform) &&
    allows(cpu, process.arch)
  );
}

function outsideNodeModules(path) {
  return path !== undefined && path !== '' && !resolve(path).startsWith(modules);
}

/** PATH without this project's node_modules: `npm ci` deletes them, and must not run on the Node it deletes. */
function cleanPath() {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return folders
    .filter((folder) => outsideNodeModules(folder) && !folder.includes(join('node_modules', '.bin')))
    .join(delimiter);
}

function npmCommand(path) {
  const { npm_execpath: npmScript, npm_node_execpath: npmNode } = process.env;
  if (npmScript?.endsWith('.js') && existsSync(npmScript)) {
    const node = [npmNode, process.execPath].find((candidate) => outsideNodeModules(candidate)) ?? 'node';
    return { command: node, args: [npmScript] };
  }
  if (spawnSync('npm', ['--version'], { env: { ...process.env, PATH: path }, stdio: 'ignore' }).error) {
    fail('npm was not found.', 'Install Node 18 or newer with npm, then start again.');
  }
  return { command: 'npm', args: [] };
}

/** Packages lying in node_modules now: a folder, or a folder in a scope. */
function countPackages() {
  try {
    return readdirSync(modules).reduce((sum, name) => {
      if (name.startsWith('.')) return sum;
      return sum + (name.startsWith('@') ? readdirSync(join(modules, name)).length : 1);
    }, 0);
  } catch {
    return 0; // npm is moving folders about.
  }
}

function showProgress(startedAtMs) {
  const expected = Object.entries(JSON.parse(lockText).packages).filter(
    ([path, entry]) => path.lastIndexOf('node_modules/') === 0 && !entry.optional,
  ).length;
  const timer = setInterval(() => {
    const seconds = Math.round((Date.now() - startedAtMs) / 1000);
    const text = `mirrorstream: installing, ${seconds} s, ${countPackages()} of about ${expected} packages`;
    process.stderr.write(process.stderr.isTTY ? `\r${text} ` : `${text}\n`);
  }, progressEveryMs);
  return () => {
    clearInterval(timer);
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  };
}

const failures = [
  [
    /ENOSPC|no space left/i,
    'The disk is full.',
    `Make room on the disk of ${root} and of npm's cache (npm config get cache).`,
  ],
  [
    /EACCES|EPERM|EROFS/,
    'A file or folder may not be written.',
    `Check who owns ${root} and npm's cache; do not mix sudo and plain npm.`,
  ],
  [
    /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET_TIMEOUT/,
    'The package registry cannot be reached.',
    'Check the network, and the proxy and registry settings of npm (npm config list); then start again.',
  ],
  [
    /E40[13]|ENEEDAUTH/,
    'The package registry refused access.',
    'Check the registry settings of npm (npm config list).',
  ],
  [
    /E404|ETARGET/,
    'The package registry does not have a package this project needs.',
    'Check which registry npm uses (npm config get registry).',
  ],
  [/EINTEGRITY/, 'A package is not what package-lock.json says.', 'Run `npm cache clean --force`, then start again.'],
  [
    /EUSAGE|npm ci.*can only install/,
    'package.json and package-lock.json disagree.',
    'Run `npm install` after a change of package.json.',
  ],
];

/**
 * A lock file made where the registry lacked packages of other systems does not name them, and `npm ci` then refuses it on every
 * system. `npm install --no-save` takes the same versions and leaves the lock file alone.
 */
function installArguments() {
  const { packages } = JSON.parse(lockText);
  const named = new Set(
    Object.keys(packages).map((path) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)),
  );
  const isComplete = Object.values(packages).every((entry) =>
    Object.keys(entry.optionalDependencies ?? {}).every((name) => named.has(name)),
  );
  return isComplete ? ['ci'] : ['install', '--no-save'];
}

function runNpm() {
  const path = cleanPath();
  const verb = installArguments();
  const { command, args } = npmCommand(path);
  const startedAtMs = Date.now();
  say(
    `installing packages into ${modules} (npm ${verb.join(' ')}); this happens once, and after package-lock.json has changed.`,
  );
  const child = spawn(command, [...args, ...verb, '--loglevel=notice', '--no-audit', '--no-fund'], {
    cwd: root,
    env: { ...process.env, PATH: path, npm_config_progress: 'false' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let tail = '';
  const stopProgress = showProgress(startedAtMs);
  for (const stream of [child.stdout, child.stderr]) {
    let rest = '';
    stream.setEncoding('utf8');
    stream.on('data', (chunk) => {
      tail = (tail + chunk).slice(-20_000);
      const lines = (rest + chunk).split('\n');
      rest = lines.pop();
      // Engine warnings are about the Node that npm runs on; the project brings its own.
      for (const line of lines) if (!line.startsWith('npm warn EBADENGINE')) process.stderr.write(`${line}\n`);
    });
  }
  // Ctrl-C reaches npm too (same terminal); wait for it, so that the lock is released in order.
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
  return new Promise((settle) => {
    child.on('error', (error) => settle({ code: 1, tail: String(error) }));
    child.on('close', (code, signal) => settle({ code: code ?? (signal === 'SIGINT' ? 130 : 143), tail }));
  }).then((result) => {
    stopProgress();
    return { ...result, seconds: Math.round((Date.now() - startedAtMs) / 1000) };
  });
}

/** Two starts at once must not both delete and refill node_modules. Returns false when somebody else has done it meanwhile. */
async function lock() {
  mkdirSync(dirname(lockDir), { recursive: true });
  const startedAtMs = Date.now();
  for (let told = false; ; told = true) {
    try {
      mkdirSync(lockDir);
      writeFileSync(join(lockDir, 'pid'), String(process.pid));
      return readOrEmpty(stampFile) !== stamp;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const holder = Number(readOrEmpty(join(lockDir, 'pid')));
    if (holder > 0 && !isAlive(holder)) rmSync(lockDir, { recursive: true, force: true });
    else if (Date.now() - startedAtMs > lockWaitMs) {
      fail(`another installation (pid ${holder}) does not end.`, `If there is none, delete ${lockDir}.`);
    } else {
      if (!told) say(`waiting for another installation (pid ${holder || 'unknown'}) …`);
      await new Promise((wake) => setTimeout(wake, 500));
    }
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** npm can be told not to run install scripts; the package `node` gets its program in one. */
function checkNode() {
  const node = join(modules, '.bin', process.platform === 'win32' ? 'node.cmd' : 'node');
  const found = spawnSync(node, ['--version'], { encoding: 'utf8' });
  const version = /^v(\d+)\./.exec(found.stdout ?? '')?.[1];
  if (Number(version) >= minimumNode) return;
  fail(
    `node_modules/.bin/node is ${version ? `Node ${version}` : 'not usable'}; Node ${minimumNode} or newer is needed.`,
    'npm may have blocked the install script of the package `node`: run `npm rebuild node`, or install Node 24 yourself.',
  );
}

async function main() {
  if (readOrEmpty(stampFile) === stamp) return;
  try {
    if (!(await lock())) return;
    process.on('exit', () => rmSync(lockDir, { recursive: true, force: true }));
  } catch (error) {
    fail(`cannot write to ${root} (${error.code}).`, 'Check who owns the folder and whether its disk is full.');
  }
  if (!installedByHand()) {
    const { code, tail, seconds } = await runNpm();
    if (code !== 0) {
      const known = failures.find(([pattern]) => pattern.test(tail));
      fail(
        `npm failed after ${seconds} s (exit code ${code}). ${known?.[1] ?? ''}`.trim(),
        known?.[2] ?? 'Its messages are above.',
        code,
      );
    }
    say(`installed in ${seconds} s.`);
  }
  checkNode();
  writeFileSync(stampFile, stamp);
}

await main();
