// On what a benchmark ran: the commit and the machine.
import { execFileSync } from 'node:child_process';
import { cpus, release, totalmem } from 'node:os';

/** With a mark when the tree has changes that no commit has. */
export function commit(root: string): string {
  const git = (...args: string[]): string => execFileSync('git', ['-C', root, ...args], { encoding: 'utf8' }).trim();
  const changed = git('status', '--porcelain', '--untracked-files=no', '--', 'libs', 'services') !== '';
  return `${git('rev-parse', '--short', 'HEAD')}${changed ? ' and changes not committed' : ''}`;
}

export function machine(): Readonly<Record<string, string | number>> {
  const processor = cpus();
  return {
    cpu: `${processor.length} × ${processor[0]?.model ?? 'unknown'}`,
    memoryGb: Math.round(totalmem() / 1024 ** 3),
    system: `${process.platform} ${release()}`,
  };
}
