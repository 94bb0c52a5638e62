// Looks at processes from outside: alive or not, and who started whom.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** Whether a process exists and still runs; a zombie, which only waits to be reaped, does not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it exists and belongs to somebody else.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  if (process.platform !== 'linux') return true;
  const stat = procStat(pid);
  return stat !== undefined && stat.state !== 'Z' && stat.state !== 'X';
}

/** When a process started, in the kernel's ticks since boot: with the pid it names a process beyond reuse. Linux only. */
export function startTicks(pid: number): string | undefined {
  return process.platform === 'linux' ? procStat(pid)?.startTicks : undefined;
}

/** All living descendants of a process, children before grandchildren, whatever session or group they moved to. */
export function descendantsOf(pid: number): number[] {
  const childrenByParent = new Map<number, number[]>();
  for (const [child, parent] of parentTable()) {
    const siblings = childrenByParent.get(parent);
    if (siblings === undefined) childrenByParent.set(parent, [child]);
    else siblings.push(child);
  }
  const found = [...(childrenByParent.get(pid) ?? [])];
  for (let i = 0; i < found.length; i++) found.push(...(childrenByParent.get(found[i] as number) ?? []));
  return found;
}

function parentTable(): [child: number, parent: number][] {
  if (process.platform === 'linux') {
    const rows: [number, number][] = [];
    for (const entry of readdirSync('/proc')) {
      if (!/^\d+$/.test(entry)) continue;
      const stat = procStat(Number(entry));
      if (stat !== undefined && stat.state !== 'Z') rows.push([Number(entry), stat.parent]);
    }
    return rows;
  }
  const table = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' });
  return table
    .trim()
    .split('\n')
    .map((line) => {
      const [child, parent] = line.trim().split(/\s+/).map(Number);
      return [child ?? 0, parent ?? 0];
    });
}

function procStat(pid: number): { state: string; parent: number; startTicks: string } | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // proc(5): `pid (comm) state ppid …`, starttime is field 22; comm may hold spaces and parentheses.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0] ?? '', parent: Number(fields[1]), startTicks: fields[19] ?? '' };
}
