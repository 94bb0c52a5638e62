// A soak's result for people.
import type { Progress, SoakResult } from './soak.ts';

const mib = 1024 * 1024;
const clock = (ms: number): string => {
  const seconds = Math.floor(ms / 1000);
  return `${String(Math.floor(seconds / 60)).padStart(2, '0')}:${String(seconds % 60).padStart(2, '0')}`;
};
const list = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ') || 'none';

export function progressLine(now: Progress, before: Progress | null, forMs: number): string {
  const tps = before === null ? 0 : ((now.transactions - before.transactions) * 1000) / (now.atMs - before.atMs);
  const parts = [
    `${clock(now.atMs)} of ${clock(forMs)}`,
    `${Math.round(tps)} tps`,
    `${now.transactions} transactions`,
    `connections ${now.open} of ${now.connections}`,
    `memory ${Math.round(now.residentBytes / mib)} MiB`,
  ];
  return [...parts, ...(now.fault === null ? [] : [now.fault])].join(' · ');
}

export function markdown(result: SoakResult, around: Readonly<Record<string, string>>): string {
  const { account, memory, load } = result;
  const size = (bytes: number): string => `${(bytes / mib).toFixed(1)} MiB`;
  const rows: readonly (readonly [string, string])[] = [
    ...Object.entries(around),
    ['duration', `${clock(result.forMs)}, ${result.clients} clients, seed ${result.seed}`],
    ['proxy', `${result.workers} worker(s), spool ${result.spool ? 'on' : 'off'}`],
    [
      'faults',
      list(
        Object.fromEntries(
          Map.groupBy(result.faults, ({ kind }) => kind)
            .entries()
            .map(([kind, of]) => [kind, of.length]),
        ),
      ),
    ],
    ['turns', list(load.turns)],
    ['errors the server gave', list(load.errors)],
    ['clients left', list(load.left)],
    [
      'transactions',
      `${account.seen} seen, ${account.captured} captured, ${account.dropped} dropped (${list(result.dropped)})`,
    ],
    ['rate', `${Math.round((account.seen * 1000) / result.forMs)} transactions/s`],
    ['bytes on both legs', `${size(result.upBytes)} to the server, ${size(result.downBytes)} to clients`],
    [
      'connections',
      `${account.connections}, of them ${account.clean} ended in order (compared to the byte), ${account.withGaps} of those with gaps`,
    ],
    [
      'held by a worker that died',
      `${account.touched}, of them ${account.rejoined} captured in full again; at least ${account.lost} transactions lost untold`,
    ],
    ['memory, middle third', `p50 ${size(memory.middle.p50)}, p95 ${size(memory.middle.p95)}`],
    [
      'memory, last third',
      `p50 ${size(memory.last.p50)}, p95 ${size(memory.last.p95)}${memory.judged ? '' : ' (too short to judge)'}`,
    ],
  ];
  const table = rows.map(([name, value]) => `| ${name} | ${value} |`).join('\n');
  const verdict =
    result.violations.length === 0
      ? 'Passed.'
      : `**Violated:**\n\n${result.violations.map((it) => `- ${it}`).join('\n')}`;
  return `# Soak of the capture proxy\n\n| | |\n|---|---|\n${table}\n\n${verdict}\n`;
}
