// CPU time of a process and its threads, from Linux's /proc.
import { readdirSync, readFileSync } from 'node:fs';

export interface CpuTime {
  /** Microseconds on a CPU, of the thread the process began with and of all others together. */
  readonly mainUs: number;
  readonly otherUs: number;
}

/** Of all pids together. A pid that is gone counts nothing. */
export function cpuTime(pids: readonly number[]): CpuTime {
  let mainUs = 0;
  let otherUs = 0;
  for (const pid of pids) {
    for (const [thread, us] of threadTimes(pid)) {
      if (thread === pid) mainUs += us;
      else otherUs += us;
    }
  }
  return { mainUs, otherUs };
}

export function totalUs(pids: readonly number[]): number {
  const { mainUs, otherUs } = cpuTime(pids);
  return mainUs + otherUs;
}

function threadTimes(pid: number): [thread: number, us: number][] {
  try {
    return readdirSync(`/proc/${pid}/task`).map((thread) => [Number(thread), threadUs(pid, thread)]);
  } catch {
    return [];
  }
}

/** schedstat: nanoseconds on the CPU. Without it, utime and stime of stat in ticks of 10 ms (proc(5)). */
function threadUs(pid: number, thread: string): number {
  const at = `/proc/${pid}/task/${thread}`;
  try {
    return Number(readFileSync(`${at}/schedstat`, 'utf8').split(' ')[0]) / 1000;
  } catch {
    const fields = readFileSync(`${at}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10_000;
  }
}
