// `npm run bench -- compare`: what stage one and stage two cost on one core, and the memory of many statement shapes.
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { wholeNumber } from '../flag-values.ts';
import { commit, machine } from '../surroundings.ts';

const root = resolve(import.meta.dirname, '..', '..', '..');
const run = promisify(execFile);

/** `atLeast`: exchanges judged per second; null: no target. */
const workloads = [
  { name: 'matches', what: 'all equal, 200 statement shapes', atLeast: 50_000 },
  { name: 'differences', what: '1 % differ (20 rows, three columns)', atLeast: 20_000 },
  { name: 'allDiffer', what: 'all differ', atLeast: null },
  { name: 'literals', what: 'all equal, every text another one', atLeast: null },
  { name: 'shapes', what: '100 000 statement shapes, once each', atLeast: null },
] as const;

interface Judging {
  readonly perSecond: number;
  readonly exchanges: number;
  readonly different: number;
  readonly heapGrowthBytes: number;
  readonly peakRssBytes: number;
  readonly cacheEntries: number;
}

const usage = `usage: npm run bench -- compare [--seconds N] [--json] [--write]

  --seconds N  of each workload (default 5)
  --json       the record instead of the page
  --write      keep page and record in test/bench/results
`;

export async function runCompareBench(argv: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      seconds: { type: 'string', default: '5' },
      json: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const seconds = wholeNumber('seconds', values.seconds, 1, 60);
  const { stdout: stageOne } = await run(process.execPath, [join(root, 'libs/compare/bench/digest.ts')]);
  const judged: Record<string, Judging> = {};
  for (const { name } of workloads) {
    const script = join(root, 'services/comparer/bench/judging.ts');
    const { stdout } = await run(process.execPath, ['--expose-gc', script, name, String(seconds)]);
    judged[name] = JSON.parse(stdout) as Judging;
  }
  const record = {
    ...{ schema: 'mirrorstream.bench.compare/1', at: new Date().toISOString(), commit: commit(root) },
    ...{ node: process.version, machine: machine(), stageOne: stageOne.trim().split('\n'), judged },
  };
  const page = pageOf(record);
  process.stdout.write(values.json ? `${JSON.stringify(record, null, 2)}\n` : page);
  if (values.write) await keep(record.at, page, record);
  return workloads.every(({ name, atLeast }) => atLeast === null || (judged[name]?.perSecond ?? 0) >= atLeast) ? 0 : 1;
}

interface BenchRecord {
  readonly at: string;
  readonly commit: string;
  readonly node: string;
  readonly machine: Readonly<Record<string, string | number>>;
  readonly stageOne: readonly string[];
  readonly judged: Readonly<Record<string, Judging>>;
}

function pageOf({ at, commit: revision, node, machine: on, stageOne, judged }: BenchRecord): string {
  const megabytes = (bytes: number): string => (bytes / 1024 ** 2).toFixed(0);
  const rows = workloads.map(({ name, what, atLeast }) => {
    const found = judged[name];
    if (found === undefined) return `| ${name} | ${what} | | | | |`;
    const target = atLeast === null ? '' : `${found.perSecond >= atLeast ? 'met' : 'missed'}: ${atLeast}`;
    return `| ${name} | ${what} | ${found.perSecond} | ${target} | ${megabytes(found.heapGrowthBytes)} | ${found.cacheEntries} |`;
  });
  return [
    `# Comparing, ${at.slice(0, 16).replace('T', ' ')}`,
    '',
    `Commit ${revision}, Node ${node}, ${Object.values(on).join(', ')}. One process, one core.`,
    '',
    '## Stage one: the digester',
    ...stageOne.map((line) => `- ${line}`),
    '',
    '## Stage two: from a results record to encoded verdicts, without Kafka',
    '',
    '| workload | what | exchanges/s | target | heap kept, MB | texts cached |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

async function keep(at: string, page: string, record: unknown): Promise<void> {
  const folder = join(root, 'test/bench/results');
  const name = `compare-${at.slice(0, 16).replace('T', '-').replace(':', '')}`;
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, `${name}.md`), page);
  await writeFile(join(folder, `${name}.json`), `${JSON.stringify(record, null, 2)}\n`);
}
