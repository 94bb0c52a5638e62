// The page a person reads: what was measured, whether the targets are met, and on what.
import { table } from '../table.ts';
import { titleOf, unitOf } from './plan.ts';
import type { Arrival, BenchResult, Cell } from './result.ts';
import { median, type Ratio } from './statistics.ts';
import { type Row, summariseCell } from './summary.ts';
import { judge, type Verdict } from './targets.ts';

export function markdown(result: BenchResult): string {
  const { rounds, seconds, megabytes } = result.settings;
  const cells = result.cells.map((cell) => cellText(cell, result.contenders));
  return `# Capture proxy beside others, ${result.startedAt.slice(0, 16).replace('T', ' ')} UTC

${rounds} rounds of ${seconds} s; large results are ${megabytes} MB, read or written once a round.

## Targets

${table(['target', 'load', 'measured', ''], judge(result.cells).map(verdictRow))}

${cells.join('\n\n')}

## How to read this

- Figures are medians of the rounds. The order of the contenders is rotated from round to round, so that all meet the same weather;
  ratios are taken round by round, and the range behind one is that over the rounds. Spread: largest minus smallest round, as a share
  of the median. "Added" is over the direct connection's latency.
- A turn during which others took more than 8 % of the machine's CPU is taken again, twice at most, and the quietest counts.
- CPU time is that of the contender's processes alone. "forwarding": the thread each began with, which is the capture proxy's forwarding
  thread; "worker": the capture proxy's worker thread, Kafka client included; "rest": all other threads.
- The load, PostgreSQL and the Kafka broker share the cores with the contender. The broker's CPU has a column of its own: a Kafka
  elsewhere would give it back. The second PostgreSQL server, which PgDog mirrors to, has none.
- What PgDog mirrors is counted on that server, by the traces the statements leave there; of a COPY that arrives in part, that part.
- pgbench asks some questions of its own before it starts (and prepares its statements), which are captured as well: that many more than
  were sent. "Dropped" is the capture proxy's own count, and would show a loss that those hide.
- Pools are in session mode. "Kafka away": nobody answers at the brokers' address. Memory is resident, before the first turn and at most.

## On what

${facts(result)}
`;
}

const verdictRow = ({ target, load, measured, met, isWithinNoise }: Verdict): string[] => {
  const word = met === null ? '–' : met ? 'met' : '**missed**';
  return [target, load, measured, isWithinNoise ? `${word}, but not in every round` : word];
};

function cellText(cell: Cell, order: readonly string[]): string {
  const unit = unitOf(cell.load);
  const { rows } = summariseCell(cell, order);
  const columns = unit === 'MB' ? largeColumns : transactionColumns;
  const header = columns.map(([name]) => name);
  const body = rows.map((row) => columns.map(([, show]) => show(row)));
  const arrivals = cell.arrivals.map((arrival) => `- ${arrivalText(arrival)}`);
  return [
    `## ${titleOf(cell.load)}`,
    table(header, body),
    ...(arrivals.length === 0 ? [] : [arrivals.join('\n')]),
  ].join('\n\n');
}

type Column = readonly [name: string, show: (row: Row) => string];

const whole = (value: number): string => Math.round(value).toLocaleString('en');
const ratioText = (ratio: Ratio | null): string =>
  ratio === null ? '–' : `${ratio.median.toFixed(2)} (${ratio.min.toFixed(2)}–${ratio.max.toFixed(2)})`;
const hasProcess = ({ rssPeakMb }: Row): boolean => rssPeakMb > 0;
const total = ({ forwardingUs, captureUs, restUs }: Row): number => forwardingUs + captureUs + restUs;
const orDash = (row: Row, text: string): string => (hasProcess(row) ? text : '–');
const latencies = (latency: Row['latency']): string =>
  latency === null ? '–' : [latency.p50Us, latency.p99Us, latency.p999Us].map(whole).join(' / ');

const nameColumn: Column = ['', (row) => row.contender];
const ratioColumns: readonly Column[] = [
  ['of direct', (row) => ratioText(row.ofDirect)],
  ['of pgbouncer', (row) => ratioText(row.ofPgbouncer)],
];
const lastColumns: readonly Column[] = [
  ['memory MB', (row) => orDash(row, `${whole(row.rssBeforeMb)} → ${whole(row.rssPeakMb)}`)],
  ['spread', (row) => `${whole(row.spread * 100)} %`],
];

const transactionColumns: readonly Column[] = [
  nameColumn,
  ['tps', (row) => whole(row.perSecond)],
  ...ratioColumns,
  ['p50 / p99 / p99.9 µs', (row) => latencies(row.latency)],
  ['added µs', (row) => (hasProcess(row) ? latencies(row.addedLatency) : '–')],
  ['CPU µs/tx', (row) => orDash(row, total(row).toFixed(1))],
  [
    'forwarding + worker + rest',
    (row) => orDash(row, [row.forwardingUs, row.captureUs, row.restUs].map((us) => us.toFixed(1)).join(' + ')),
  ],
  ['Kafka broker', (row) => row.brokerUs.toFixed(1)],
  ...lastColumns,
];

const largeColumns: readonly Column[] = [
  nameColumn,
  ['MB/s', (row) => whole(row.perSecond)],
  ...ratioColumns,
  ['CPU ms/MB', (row) => orDash(row, (total(row) / 1000).toFixed(2))],
  [
    'forwarding + worker + rest',
    (row) => orDash(row, [row.forwardingUs, row.captureUs, row.restUs].map((us) => (us / 1000).toFixed(2)).join(' + ')),
  ],
  ['Kafka broker', (row) => (row.brokerUs / 1000).toFixed(2)],
  ...lastColumns,
];

/** pgbench asks questions of its own before it starts: those arrive too, so more than was sent may arrive. */
function arrivalText({ contender, sent, arrived, dropped }: Arrival): string {
  const share = Math.min(1, arrived / Math.max(1, sent));
  const where = dropped === null ? 'reached its mirror' : `captured, ${dropped.toLocaleString('en')} dropped`;
  return `${contender}: ${sent.toLocaleString('en')} transactions sent, ${arrived.toLocaleString('en')} (${percent(share)}) ${where}`;
}

/** Never rounded up to 100 %. */
const percent = (share: number): string => `${share === 1 ? 100 : Math.floor(share * 1000) / 10} %`;

function facts(result: BenchResult): string {
  const all = { ...result.machine, ...result.versions, commit: result.commit };
  const lines = Object.entries(all).map(([name, value]) => `- ${name}: ${value}`);
  const missing = Object.entries(result.missing).map(([name, reason]) => `- ${name} is missing: ${reason}`);
  const load = `- load average before the start: ${result.loadAverageBefore.map((value) => value.toFixed(2)).join(', ')}`;
  return [...lines, ...missing, load, `- ${foreignText(result)}`].join('\n');
}

/** Above some per cent, the figures are somebody else's too. */
function foreignText({ cells }: BenchResult): string {
  const shares = cells.flatMap(({ samples }) => samples.map((sample) => sample.foreignShare));
  const most = Math.max(0, ...shares);
  return `CPU taken by others while it measured: ${percent(median(shares))} of the machine (median of the turns that count; at most ${percent(most)})`;
}
