// A process that starts a stack, prints the pids, and waits to be killed. Arguments: a folder for the data.
import { join } from 'node:path';
import { descendantsOf, spawnTied, startKafkaBroker, startPostgres } from '@mirrorstream/local';

const dir = process.argv[2];
if (dir === undefined) throw new Error('usage: stack-parent.ts FOLDER');

const [kafka, source, candidate, service] = await Promise.all([
  startKafkaBroker({ dataDir: join(dir, 'kafka') }),
  startPostgres({ major: 17, name: 'source', dataDir: join(dir, 'source') }),
  startPostgres({ major: 18, name: 'candidate', dataDir: join(dir, 'candidate') }),
  // A service that ignores SIGTERM and has a child of its own.
  spawnTied({
    name: 'stubborn service',
    command: process.execPath,
    args: [
      '-e',
      `process.on('SIGTERM', () => {});
       require('node:child_process').spawn('sleep', ['600']);
       setInterval(() => {}, 1000);`,
    ],
    orphanGraceMs: 500,
  }),
]);

const family = (): number[] => descendantsOf(process.pid);
// The backends and the grandchild come a moment after their parents answer.
while (descendantsOf(service.pid).length === 0) await new Promise((wake) => setTimeout(wake, 20));
process.stdout.write(
  `${JSON.stringify({ servers: [kafka.pid, source.pid, candidate.pid, service.pid], all: family() })}\n`,
);
