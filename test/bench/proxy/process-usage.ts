// CPU time and memory of a contender's processes, by thread, from Linux's /proc.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { descendantsOf } from '@mirrorstream/local';
import type { CpuUs } from './result.ts';

/** The process and all it started: a proxy may have worker processes. */
export const processesOf = (pid: number): readonly number[] => [pid, ...descendantsOf(pid)];

/** Of all pids together. A pid that is gone counts nothing. */
export function cpuTime(pids: readonly number[]): CpuUs {
  let forwarding = 0;
  let capture = 0;
  let rest = 0;
  for (const pid of pids) {
    for (const { thread, name, us } of threadTimes(pid)) {
      if (thread === pid) forwarding += us;
      else if (name === captureThreadName) capture += us;
      else rest += us;
    }
  }
  return { forwarding, capture, rest };
}

/** The name that the capture proxy gives its worker, which Node gives the thread. */
const captureThreadName = 'capture';

function threadTimes(pid: number): { thread: number; name: string; us: number }[] {
  return threadsOf(pid).flatMap((thread) => {
    const at = `/proc/${pid}/task/${thread}`;
    try {
      return [{ thread: Number(thread), name: readFileSync(`${at}/comm`, 'utf8').trim(), us: threadUs(at) }];
    } catch {
      return []; // It has ended meanwhile.
    }
  });
}

function threadsOf(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

/** schedstat: nanoseconds on the CPU. */
function threadUs(at: string): number {
  try {
    return Number(readFileSync(`${at}/schedstat`, 'utf8').split(' ')[0]) / 1000;
  } catch {
    return statTicksUs(at);
  }
}

/** Of one process, threads that have ended included, to 10 ms: right for one whose threads come and go. */
export function wholeCpuUs(pid: number): number {
  try {
    return statTicksUs(`/proc/${pid}`);
  } catch {
    return 0;
  }
}

/** utime and stime in ticks of 10 ms (proc(5), stat). */
function statTicksUs(at: string): number {
  const fields = readFileSync(`${at}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

/** Resident memory of all pids together, now and at most since the last call of `forgetPeak`. */
export function memoryMb(pids: readonly number[]): { readonly now: number; readonly peak: number } {
  let now = 0;
  let peak = 0;
  for (const pid of pids) {
    const status = statusOf(pid);
    now += kilobytes(status, 'VmRSS') / 1024;
    peak += kilobytes(status, 'VmHWM') / 1024;
  }
  return { now, peak };
}

/** 5: the peak begins anew with what is resident now (proc(5), clear_refs). Needs to be the processes' user or root. */
export function forgetPeak(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      writeFileSync(`/proc/${pid}/clear_refs`, '5');
    } catch {
      // Then the peak is that since the process began.
    }
  }
}

function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return '';
  }
}

const kilobytes = (status: string, field: string): number =>
  Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);
