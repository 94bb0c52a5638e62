// Tells an error to the person at the terminal: what, and what to do. A stack only for what is a bug.
import { MirrorstreamError } from '@mirrorstream/domain';

export function printError(error: unknown): void {
  if (error instanceof MirrorstreamError && error.code !== 'internal') {
    const hint = error.hint === undefined ? '' : `\n  ${error.hint}`;
    process.stderr.write(`mirrorstream: ${error.message}${hint}\n`);
    return;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`mirrorstream: a bug: ${text}\n`);
}
