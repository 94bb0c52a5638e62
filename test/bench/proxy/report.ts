// The benchmark's result: one record for machines, one table for people.
import { percentile } from './pgbench.ts';

export interface Sample {
  readonly contender: string;
  readonly round: number;
  readonly tps: number;
  readonly transactions: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** CPU of the contender's processes per transaction: its first thread, and all its others. */
  readonly mainUsPerTransaction: number;
  readonly otherUsPerTransaction: number;
  /** CPU of the Kafka broker meanwhile. It runs on the same cores here. */
  readonly brokerUsPerTransaction: number;
}

export interface CaptureOutcome {
  readonly contender: string;
  readonly sent: number;
  readonly captured: number;
  readonly dropped: number;
}

export interface BenchResult {
  readonly bench: 'proxy';
  readonly startedAt: string;
  readonly commit: string;
  readonly load: string;
  readonly machine: Readonly<Record<string, string | number>>;
  readonly versions: Readonly<Record<string, string>>;
  readonly loadAverageBefore: readonly number[];
  readonly samples: readonly Sample[];
  readonly capture: readonly CaptureOutcome[];
}

interface Summary {
  readonly contender: string;
  readonly tps: number;
  /** Largest minus smallest round, as a share of the median: how noisy it was. */
  readonly spread: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly mainUs: number;
  readonly otherUs: number;
  readonly brokerUs: number;
}

const median = (values: readonly number[]): number => percentile(Float64Array.from(values).sort(), 0.5);

/** Medians over the rounds (0 is the warm-up), in the order in which the contenders first appear. */
function summarise(samples: readonly Sample[]): Summary[] {
  const names = [...new Set(samples.map(({ contender }) => contender))];
  return names.map((contender) => {
    const own = samples.filter((sample) => sample.contender === contender && sample.round > 0);
    const of = (pick: (sample: Sample) => number): number => median(own.map(pick));
    const rates = own.map(({ tps }) => tps);
    const tps = median(rates);
    return {
      contender,
      tps,
      spread: (Math.max(...rates) - Math.min(...rates)) / tps,
      p50Us: of((sample) => sample.p50Us),
      p99Us: of((sample) => sample.p99Us),
      mainUs: of((sample) => sample.mainUsPerTransaction),
      otherUs: of((sample) => sample.otherUsPerTransaction),
      brokerUs: of((sample) => sample.brokerUsPerTransaction),
    };
  });
}

const columns = [
  '',
  'tps',
  'of direct',
  'of pgbouncer',
  'p50 µs',
  'p99 µs',
  'CPU µs/tx',
  'forwarding + rest',
  'Kafka broker',
  'spread',
];

export function markdown(result: BenchResult): string {
  const summaries = summarise(result.samples);
  const tpsOf = (name: string): number | undefined => summaries.find(({ contender }) => contender === name)?.tps;
  const ratio = (tps: number, base: number | undefined): string => (base === undefined ? '–' : (tps / base).toFixed(2));
  const rows = summaries.map((row) => [
    row.contender,
    Math.round(row.tps).toLocaleString('en'),
    ratio(row.tps, tpsOf('direct')),
    ratio(row.tps, tpsOf('pgbouncer')),
    Math.round(row.p50Us).toString(),
    Math.round(row.p99Us).toString(),
    row.mainUs + row.otherUs === 0 ? '–' : (row.mainUs + row.otherUs).toFixed(1),
    row.mainUs + row.otherUs === 0 ? '–' : `${row.mainUs.toFixed(1)} + ${row.otherUs.toFixed(1)}`,
    row.brokerUs.toFixed(1),
    `${Math.round(row.spread * 100)} %`,
  ]);
  const table = [columns, columns.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
  const facts = { ...result.machine, ...result.versions, commit: result.commit, load: result.load };
  const captured = result.capture.map(
    ({ contender, sent, captured, dropped }) =>
      `- ${contender}: ${sent.toLocaleString('en')} transactions sent, ${captured.toLocaleString('en')} captured, ${dropped} dropped`,
  );
  return `# Capture proxy beside others, ${result.startedAt.slice(0, 10)}

Medians of the rounds; the order of the contenders is rotated from round to round, so that all meet the same weather. CPU time is
that of the contender's process alone: its first thread (the capture proxy's forwarding thread) and all its others (its capture
worker, Kafka client included). PostgreSQL, pgbench and the Kafka broker share the cores with it: the broker's own CPU per transaction
is in a column of its own, and is what a Kafka elsewhere would give back. "Kafka away": nobody answers at the brokers' address.
Spread: largest minus smallest round, as a share of the median.

${table}

Captured (pgbench asks a few questions of its own before it starts, so captured may exceed sent):

${captured.join('\n')}

${Object.entries(facts)
  .map(([name, value]) => `- ${name}: ${value}`)
  .join('\n')}
- load average before the start: ${result.loadAverageBefore.map((value) => value.toFixed(2)).join(', ')}
`;
}
