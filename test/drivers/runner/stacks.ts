// The nine drivers: how each is built, and where it differs from the others.
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Stack } from './stack.ts';
import { type Build, driversDir, type Tool } from './toolchain.ts';

const noBinaryCopy = 'it has no encoder for binary COPY';
const noRowLimit = 'it never executes a portal with a row limit';
const eachOfItsOwn = { sqlState: '23505', survivors: ['1', '2'] };

const pip: readonly string[] = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps'];
const python: Tool = { command: 'python3', args: ['--version'], minimum: '3.10' };

/** A virtual environment with exactly what requirements.txt names. */
export function pythonBuild(name: string): Build {
  const requirements = join(driversDir, name, 'requirements.txt');
  return {
    name,
    tools: [python],
    inputs: [`${name}/requirements.txt`],
    steps: (dir) => [
      { kind: 'fetch', command: 'python3', args: ['-m', 'venv', dir] },
      { kind: 'fetch', command: join(dir, 'bin', 'python'), args: [...pip, '--requirement', requirements] },
    ],
  };
}

function pythonStack(name: string, own: Pick<Stack, 'lacks' | 'outcomes'>): Stack {
  return {
    name,
    folder: name,
    build: pythonBuild(name),
    program: (dir) => ({
      command: join(dir, 'bin', 'python'),
      args: [join(driversDir, name, 'driver.py')],
      env: { PYTHONIOENCODING: 'utf-8', PYTHONDONTWRITEBYTECODE: '1' },
    }),
    ...own,
  };
}

const manifest = join(driversDir, 'rust', 'Cargo.toml');

/** Both binaries of the one crate. */
const rustBuild: Build = {
  name: 'rust',
  tools: [{ command: 'cargo', args: ['--version'], minimum: '1.94' }],
  inputs: ['rust/Cargo.*', 'rust/src/*.rs'],
  isIncremental: true,
  steps: (dir) => [
    { kind: 'fetch', command: 'cargo', args: ['fetch', '--quiet', '--locked', '--manifest-path', manifest] },
    {
      kind: 'compile',
      command: 'cargo',
      args: ['build', '--quiet', '--locked', '--offline', '--manifest-path', manifest, '--target-dir', dir],
    },
  ],
};

const rustStack = (name: string, binary: string, own: Pick<Stack, 'lacks' | 'outcomes'>): Stack => ({
  name,
  folder: 'rust',
  build: rustBuild,
  program: (dir) => ({ command: join(dir, 'debug', binary), args: [] }),
  ...own,
});

const nodePostgres: Stack = {
  name: 'node-postgres',
  folder: 'node-postgres',
  build: {
    name: 'node-postgres',
    tools: [{ command: 'npm', args: ['--version'], minimum: '8.0' }],
    inputs: ['node-postgres/*.js', 'node-postgres/*.json'],
    steps: (dir) => {
      // A module finds its packages from where it lies.
      for (const file of ['package.json', 'package-lock.json', 'driver.js'])
        copyFileSync(join(driversDir, 'node-postgres', file), join(dir, file));
      return [{ kind: 'fetch', command: 'npm', args: ['ci', '--no-audit', '--no-fund', '--loglevel=error'], cwd: dir }];
    },
  },
  program: (dir) => ({ command: process.execPath, args: ['--no-deprecation', join(dir, 'driver.js')] }),
  lacks: { copyBinary: noBinaryCopy },
  outcomes: { pipelineError: eachOfItsOwn },
};

const postgresJs: Stack = {
  name: 'postgres.js',
  folder: 'postgres.js',
  build: { name: 'postgres.js', tools: [], inputs: ['postgres.js/driver.ts'], steps: () => [] },
  program: () => ({ command: process.execPath, args: [join(driversDir, 'postgres.js', 'driver.ts')] }),
  lacks: { copyBinary: noBinaryCopy },
  outcomes: {
    pipelineError: eachOfItsOwn,
    // It does not tell that the server refused a COPY.
    copy: { out: '1\teins\n2\tzwei\\tTab ✓\n3\t\\N\n', failed: 'untold' },
  },
};

const goFolder = join(driversDir, 'pgx');
const goEnv = { GOTOOLCHAIN: 'local', GOWORK: 'off' };

const pgx: Stack = {
  name: 'pgx',
  folder: 'pgx',
  build: {
    name: 'pgx',
    tools: [{ command: 'go', args: ['version'], minimum: '1.25' }],
    inputs: ['pgx/go.*', 'pgx/*.go'],
    isIncremental: true,
    steps: (dir) => [
      { kind: 'fetch', command: 'go', args: ['mod', 'download'], cwd: goFolder, env: goEnv },
      {
        kind: 'compile',
        command: 'go',
        args: ['build', '-mod=readonly', '-buildvcs=false', '-o', join(dir, 'pgx'), '.'],
        cwd: goFolder,
        env: { ...goEnv, CGO_ENABLED: '0' },
      },
    ],
  },
  program: (dir) => ({ command: join(dir, 'pgx'), args: [] }),
  lacks: { cursor: noRowLimit },
  outcomes: {},
};

const pgjdbc: Stack = {
  name: 'pgjdbc',
  folder: 'pgjdbc',
  build: {
    name: 'pgjdbc',
    // A runtime without the compiler cannot run a source file.
    tools: [
      { command: 'javac', args: ['-version'], minimum: '17.0' },
      { command: 'mvn', args: ['--version'], minimum: '3.6' },
    ],
    inputs: ['pgjdbc/pom.xml', 'pgjdbc/*.java'],
    steps: (dir) => [
      {
        kind: 'fetch',
        command: 'mvn',
        args: [
          ...['-B', '-q', '-f', join(driversDir, 'pgjdbc', 'pom.xml'), 'dependency:copy-dependencies'],
          ...['-DincludeScope=runtime', `-DoutputDirectory=${join(dir, 'jars')}`],
        ],
      },
      {
        kind: 'compile',
        command: 'javac',
        args: [
          ...['-encoding', 'UTF-8', '-cp', join(dir, 'jars', '*'), '-d', join(dir, 'classes')],
          join(driversDir, 'pgjdbc', 'PgJdbc.java'),
        ],
      },
    ],
  },
  program: (dir) => ({
    command: 'java',
    args: [
      ...['-XX:TieredStopAtLevel=1', '-Duser.timezone=UTC', '-Dfile.encoding=UTF-8'],
      ...['-cp', `${join(dir, 'classes')}:${join(dir, 'jars', '*')}`, 'PgJdbc'],
    ],
  }),
  lacks: { copyBinary: noBinaryCopy },
  outcomes: {},
};

/** Those that take longest to build last. */
export const stacks: readonly Stack[] = [
  nodePostgres,
  postgresJs,
  pythonStack('psycopg', { lacks: {}, outcomes: {} }),
  pythonStack('asyncpg', {
    lacks: {},
    // What it was told is the cancellation of its task; the envelopes show the server's answer.
    outcomes: { cancel: { sqlState: 'CancelledError', after: ['1'] } },
  }),
  pythonStack('sqlalchemy', { lacks: { copyBinary: noBinaryCopy }, outcomes: {} }),
  pgjdbc,
  pgx,
  rustStack('tokio-postgres', 'tokio_postgres_driver', { lacks: {}, outcomes: { pipelineError: eachOfItsOwn } }),
  rustStack('sqlx', 'sqlx_driver', {
    lacks: { copyBinary: noBinaryCopy, cancel: 'it has no cancel request', cursor: noRowLimit },
    outcomes: {},
  }),
];
