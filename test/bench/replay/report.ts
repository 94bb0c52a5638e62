// The page a person reads: what was measured, whether the targets are met, and on what.
import { titleOf } from '../proxy/plan.ts';
import { median } from '../proxy/statistics.ts';
import { table } from '../table.ts';
import type { BenchResult, RateSample, ScheduleSample, ThroughputCell } from './result.ts';
import { cpuPerStatementUs, judge, ofPgbench, samplesOf } from './targets.ts';

const word = (met: boolean | null): string => (met === null ? '–' : met ? 'met' : '**missed**');

export function markdown(result: BenchResult): string {
  const { rounds, seconds } = result.settings;
  const verdicts = judge(result).map(({ target, load, measured, met }) => [target, load, measured, word(met)]);
  return `# Replay, ${result.startedAt.slice(0, 16).replace('T', ' ')} UTC

${rounds} rounds; turns of pgbench take ${seconds} s.

## Targets

${table(['target', 'load', 'measured', ''], verdicts)}

${sections(result).join('\n\n')}

## How to read this

- pgbench's traffic was captured once through the proxy, and lies in Kafka when the replayer starts: one process, \`asap\`, as many sessions
  as pgbench had clients. The mirror's tables are made anew before each replay, so that it answers what the source answered.
- Figures are medians of the rounds; ratios are taken round by round. Rate and CPU are those between a quarter and 95 % of the
  transactions (with several replayers 75 %): before it compilers warm up, after it sessions run out.
- pgreplay-go (where its binary is given) plays what the source has logged of the same load, from a file, to the same mirror. Its rate is
  that of its whole run, reading and connecting included, its CPU that of the process; transactions are those the mirror counts. It compares nothing.
- "no cost": a target that answers each exchange at once, in a process of its own.
- Schedule: of each transaction's first exchange, the moment it was to be sent against the moment it was. Drift compares with production's own
  moments instead: by how much the distance grew from the first tenth of the transactions to the last.
- Catching up: from the first transaction to the last, start of the process's compilers included.
- CPU is the replayer's alone: of the thread it began with, which does nearly everything, and of all others (compression, garbage
  collection). Kafka, PostgreSQL and the benchmark share the cores with it.

## On what

${facts(result)}
`;
}

function sections(result: BenchResult): string[] {
  return [
    ...result.throughput.map(throughputText),
    ...(result.schedule.length > 0 ? [scheduleText(result)] : []),
    ...(result.catchUp !== null ? [catchUpText(result.catchUp)] : []),
    ...(result.scale.length > 0 ? [scaleText(result)] : []),
    ...(result.laneMemory !== null ? [memoryText(result.laneMemory)] : []),
  ];
}

const whole = (value: number): string => Math.round(value).toLocaleString('en');

function scheduleText({ schedule }: BenchResult): string {
  const header = ['speed', 'seconds captured', 'transactions', 'error p50 µs', 'p99 µs', 'most µs', 'drift µs'];
  const rows = schedule.map((it) =>
    [it.speed, it.seconds, it.transactions, it.p50Us, it.p99Us, it.maxUs, it.driftUs].map(whole),
  );
  return [`## Schedule: planned against sent\n\n${table(header, rows)}`, ...schedule.flatMap(byMinuteText)].join(
    '\n\n',
  );
}

function byMinuteText({ speed, driftByMinuteUs }: ScheduleSample): string[] {
  if (driftByMinuteUs.length === 0) return [];
  return [`Drift by minute against the first, at speed ${speed}: ${driftByMinuteUs.map(whole).join(', ')} µs.`];
}

function catchUpText(sample: NonNullable<BenchResult['catchUp']>): string {
  const { pausedSeconds, capturedPerSecond, perSecond, caughtUpAfterSeconds } = sample;
  const caughtUp =
    caughtUpAfterSeconds === null
      ? ''
      : ` The traffic went on all the while; ${caughtUpAfterSeconds.toFixed(1)} s after its start the replayer was less than a second behind, for good.`;
  const factor = (perSecond / capturedPerSecond).toFixed(1);
  return `## Catching up

After ${pausedSeconds} s away, with ${whole(capturedPerSecond)} transactions captured a second: ${whole(perSecond)} transactions/s, ${factor} × as fast as they came.${caughtUp}`;
}

function scaleText({ scale }: BenchResult): string {
  const header = ['replayers', 'connections each', 'tx/s', 'to the last transaction', 'not replayed'];
  const rows = scale.map((it) =>
    [it.replayers, it.connections, it.perSecond, it.wholePerSecond, it.notReplayed].map(whole),
  );
  return `## Replayers on a target that answers after ${scale[0]?.delayMs} ms\n\n${table(header, rows)}`;
}

function memoryText({ lanes, heapBytes, rssBytes }: NonNullable<BenchResult['laneMemory']>): string {
  const [heap, resident] = [heapBytes, rssBytes].map((bytes) => (bytes / 1024).toFixed(1));
  return `## Memory

A lane with its connection, after one transaction: ${heap} KB of heap, ${resident} KB resident (mean of ${lanes}).`;
}

function throughputText(cell: ThroughputCell): string {
  const contenders = (['pgbench', 'mirror', 'pgreplay-go', 'no cost'] as const).filter(
    (name) => samplesOf(cell, name).length > 0,
  );
  const header = [
    '',
    'tx/s',
    'of pgbench',
    'CPU µs/tx',
    'main + rest',
    'CPU µs/statement',
    'differ',
    'not replayed',
    'MB',
  ];
  return [
    `## ${titleOf(cell.load)}`,
    table(
      header,
      contenders.map((name) => row(cell, name)),
    ),
  ].join('\n\n');
}

function row(cell: ThroughputCell, contender: RateSample['contender']): string[] {
  const samples = samplesOf(cell, contender);
  const rate = Math.round(median(samples.map(({ perSecond }) => perSecond))).toLocaleString('en');
  const runs = samples.flatMap(({ replay }) => (replay === null ? [] : [replay]));
  const peers = samples.flatMap(({ peer }) => (peer === undefined ? [] : [peer]));
  if (runs.length === 0) {
    const cpu = peers.length === 0 ? '–' : median(peers.map(({ cpuUs }) => cpuUs)).toFixed(1);
    const share = peers.length === 0 ? '–' : (ofPgbench(cell, contender)?.median.toFixed(2) ?? '–');
    return [contender, rate, share, cpu, ...new Array<string>(5).fill('–')];
  }
  const of = (pick: (run: (typeof runs)[number]) => number): number => median(runs.map(pick));
  const [main, rest] = [of(({ cpuMainUs }) => cpuMainUs), of(({ cpuRestUs }) => cpuRestUs)];
  return [
    contender,
    rate,
    ofPgbench(cell, contender)?.median.toFixed(2) ?? '–',
    (main + rest).toFixed(1),
    `${main.toFixed(1)} + ${rest.toFixed(1)}`,
    cpuPerStatementUs(cell, contender).toFixed(1),
    String(of(({ differing }) => differing)),
    String(of(({ notReplayed }) => notReplayed)),
    Math.round(of(({ rssPeakMb }) => rssPeakMb)).toLocaleString('en'),
  ];
}

function facts(result: BenchResult): string {
  const all = { ...result.machine, ...result.versions, commit: result.commit };
  const lines = Object.entries(all).map(([name, value]) => `- ${name}: ${value}`);
  const load = `- load average before the start: ${result.loadAverageBefore.map((value) => value.toFixed(2)).join(', ')}`;
  return [...lines, load, `- ${foreignText(result)}`].join('\n');
}

/** Above some per cent, the figures are somebody else's too. */
function foreignText({ foreignShares }: BenchResult): string {
  const percent = (share: number): string => `${Math.round(share * 1000) / 10} %`;
  if (foreignShares.length === 0) return 'CPU taken by others while it measured: not looked at';
  const [usual, most] = [median(foreignShares), Math.max(...foreignShares)];
  return `CPU taken by others while it measured: ${percent(usual)} of the machine (median of the parts; at most ${percent(most)})`;
}
