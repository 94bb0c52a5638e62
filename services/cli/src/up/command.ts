// `mirrorstream up`: reads the command line. What is needed to run is loaded only when there is something to run.
import { exitCodes } from '@mirrorstream/domain';
import { defaultDataDir } from '@mirrorstream/local';
import { helpText, parseCommandLine } from '../command-line.ts';
import { readConfigFile } from '../config-file.ts';
import { upCommand } from './flags.ts';
import { planStack } from './stack-plan.ts';

export async function up(argv: readonly string[]): Promise<number> {
  const flags = parseCommandLine(upCommand, argv);
  if (flags.has('help')) {
    process.stdout.write(helpText(upCommand));
    return exitCodes.ok;
  }
  const fileName = flags.last('file');
  const file = fileName === undefined ? null : await readConfigFile(fileName);
  const plan = planStack(flags, file, { env: process.env, defaultDataDir });
  const { runStack } = await import('./up.ts');
  return runStack(plan);
}
