// How much of the machine somebody else used while a turn was measured: a noisy neighbour must show in the result.
import { readFileSync } from 'node:fs';
import { descendantsOf } from '@mirrorstream/local';

interface Reading {
  readonly atMs: number;
  /** Of all cores, since boot: what was not idle. */
  readonly busyMs: number;
  /** Of this process and all it started. */
  readonly ownMs: number;
}

/** The kernel counts in ticks of 10 ms (proc(5): USER_HZ). */
const tickMs = 10;

export function readLoad(): Reading {
  return { atMs: performance.now(), busyMs: busyMs(), ownMs: ownMs() };
}

/** Between two readings, from 0 to 1. */
export function foreignShare(before: Reading, after: Reading, cores: number): number {
  const foreignMs = after.busyMs - before.busyMs - (after.ownMs - before.ownMs);
  return Math.min(1, Math.max(0, foreignMs / ((after.atMs - before.atMs) * cores)));
}

/** First line of stat: cpu user nice system idle iowait irq softirq steal …. Time in interrupts is mostly our own packets'. */
function busyMs(): number {
  try {
    const [user = 0, nice = 0, system = 0, , , , , steal = 0] = (
      readFileSync('/proc/stat', 'utf8').split('\n')[0] ?? ''
    )
      .replace(/^cpu\s+/, '')
      .split(' ')
      .map(Number);
    return (user + nice + system + steal) * tickMs;
  } catch {
    return 0;
  }
}

/** Living descendants with the dead ones that they or we have waited for. */
const ownMs = (): number =>
  [process.pid, ...descendantsOf(process.pid)].reduce((sum, pid) => sum + withWaitedForMs(pid), 0);

/** Fields 14–17 of stat: utime stime cutime cstime. */
function withWaitedForMs(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ');
    return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0) * tickMs;
  } catch {
    return 0;
  }
}
