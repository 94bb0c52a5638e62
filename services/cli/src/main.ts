// The `mirrorstream` command: picks the subcommand. A service runs in this process, loaded only when it is asked for.
import { readFileSync } from 'node:fs';
import { exitCodeOf, exitCodes, MirrorstreamError, nearestWord } from '@mirrorstream/domain';
import { helpText } from './help.ts';
import { printError } from './print-error.ts';

type Main = (argv: readonly string[]) => Promise<number>;

/** The command is the composition root: nothing imports a service, this loads it by path. */
const commands: Readonly<Record<string, () => Promise<Main>>> = {
  up: async () => endingProcess((await import('./up/command.ts')).up),
  status: async () => endingProcess((await import('./status/status.ts')).status),
  capture: async () => endingProcess((await import('./capture/command.ts')).capture),
  mirror: async () => endingProcess((await import('./mirror/command.ts')).mirror),
  findings: async () => endingProcess((await import('./findings/command.ts')).findings),
  replay: async () => endingProcess((await import('./history/replay.ts')).replay),
  runs: async () => endingProcess((await import('./history/runs.ts')).runs),
  'dead-letter': async () => endingProcess((await import('./dead-letter/command.ts')).deadLetter),
  report: async () => endingProcess((await import('./report/command.ts')).report),
  inspect: async () => endingProcess((await import('./inspect/command.ts')).inspect),
  rerun: async () => endingProcess((await import('./rerun/command.ts')).rerun),
  export: async () => endingProcess((await import('./history/export.ts')).exportWindow),
  import: async () => endingProcess((await import('./history/import.ts')).importWindow),
  seed: async () => endingProcess((await import('./seed/command.ts')).seed),
  'capture-proxy': () => serviceMain('capture-proxy'),
  replayer: async () => endingProcess(await serviceMain('replayer')),
  comparer: async () => endingProcess(await serviceMain('comparer')),
};

/** Resolves with the exit code; never rejects. */
export async function main(argv: readonly string[]): Promise<number> {
  try {
    const [command, ...rest] = argv;
    if (command === undefined || command === 'help' || command === '--help' || command === '-h') {
      return await help(rest[0]);
    }
    if (command === '--version' || command === '-v' || command === 'version') {
      process.stdout.write(`mirrorstream ${version()}\n`);
      return exitCodes.ok;
    }
    const load = Object.hasOwn(commands, command) ? commands[command] : undefined;
    if (load === undefined) throw unknownCommand(command);
    return await (await load())(rest);
  } catch (error) {
    printError(error);
    return exitCodeOf(error);
  }
}

async function help(command: string | undefined): Promise<number> {
  if (command === undefined) {
    process.stdout.write(helpText);
    return exitCodes.ok;
  }
  const load = Object.hasOwn(commands, command) ? commands[command] : undefined;
  if (load === undefined) throw unknownCommand(command);
  return (await load())(['--help']);
}

async function serviceMain(service: string): Promise<Main> {
  const path = new URL(`../../${service}/src/main.ts`, import.meta.url).href;
  const loaded = (await import(path)) as { readonly main: Main };
  return loaded.main;
}

/** A start that was given up half-way may leave something that keeps the process going: end it when the work is done. */
function endingProcess(run: Main): Main {
  return async (argv) => {
    let code: number;
    try {
      code = await run(argv);
    } catch (error) {
      printError(error);
      code = exitCodeOf(error);
    }
    await Promise.all([process.stdout, process.stderr].map((stream) => new Promise((done) => stream.write('', done))));
    return process.exit(code);
  };
}

function version(): string {
  const manifest = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}

function unknownCommand(command: string): MirrorstreamError {
  const meant = nearestWord(command, [...Object.keys(commands), 'help']);
  return new MirrorstreamError('badInput', `unknown command ${JSON.stringify(command.slice(0, 40))}`, {
    stage: 'command line',
    hint: meant === undefined ? 'See mirrorstream help.' : `Did you mean ${meant}?`,
  });
}
