// `npm run fuzz`: draws cases for as long as asked, keeps the smallest form of one that fails, and says how to run it again.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { Coverage } from './coverage.ts';
import { caseSeed } from './dice.ts';
import { type FuzzCase, readCase, writeCase } from './fuzz-case.ts';
import { complaint, shrink } from './shrink.ts';
import { drawCase, type TargetName, targetNames, targets } from './targets.ts';

const usage = `npm run fuzz -- [--seed N] [--for 60s] [--target frames|decoders|capture|all] [--no-coverage] [--replay FILE]

  --seed N        the same seed draws the same cases (with --no-coverage: without, cases that reach new code breed others)
  --for TIME      how long: 30s, 20m, 1h
  --replay FILE   runs one kept case and nothing else
`;
const corpus = join(import.meta.dirname, 'corpus');
const batchCases = 200;
const reportEveryMs = 5_000;
const maxPool = 500;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

interface Options {
  readonly seed: number;
  readonly forMs: number;
  readonly targets: readonly TargetName[];
  readonly coverage: boolean;
}

function readOptions(): Options | { readonly replay: string } | null {
  const { values } = parseArgs({
    allowNegative: true,
    options: {
      seed: { type: 'string', default: '1' },
      for: { type: 'string', default: '60s' },
      target: { type: 'string', default: 'all' },
      coverage: { type: 'boolean', default: true },
      replay: { type: 'string' },
      help: { type: 'boolean' },
    },
  });
  if (values.help === true) return null;
  if (values.replay !== undefined) return { replay: values.replay };
  const time = /^(\d+)(s|m|h)$/.exec(values.for);
  const target = targetNames.filter((name) => values.target === 'all' || values.target === name);
  if (!/^\d+$/.test(values.seed) || time === null || target.length === 0) return null;
  const unitMs = { s: 1_000, m: 60_000, h: 3_600_000 }[time[2] as 's' | 'm' | 'h'];
  return { seed: Number(values.seed), forMs: Number(time[1]) * unitMs, targets: target, coverage: values.coverage };
}

function failureOf(fuzzCase: FuzzCase, names: readonly TargetName[]): { name: TargetName; said: string } | null {
  for (const name of names) {
    const said = complaint(targets[name], fuzzCase);
    if (said !== null) return { name, said };
  }
  return null;
}

function keep(fuzzCase: FuzzCase, name: TargetName, seed: number): void {
  const small = shrink(targets[name], fuzzCase);
  const said = complaint(targets[name], small) ?? '';
  const file = join(corpus, `${name}-${seed.toString(16)}.json`);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, writeCase(small, said));
  say(`${name}: ${said}`);
  say(`kept as ${relative(process.cwd(), file)}; run it again with`);
  say(`  npm run fuzz -- --replay ${relative(process.cwd(), file)}`);
}

async function fuzz(options: Options): Promise<number> {
  const coverage = options.coverage ? await Coverage.start() : null;
  const pool: FuzzCase[] = [];
  const startedMs = performance.now();
  let reportedMs = startedMs;
  let cases = 0;
  let slowestMs = 0;
  const report = (): void => {
    const seconds = (performance.now() - startedMs) / 1_000;
    const heapMb = Math.round(process.memoryUsage().heapUsed / 2 ** 20);
    const reached = coverage === null ? '' : `, ${coverage.size} blocks reached, ${pool.length} cases breed`;
    say(
      `${Math.round(seconds)} s, ${cases} cases, ${Math.round(cases / seconds)}/s${reached}, slowest ${Math.round(slowestMs)} ms, heap ${heapMb} MB`,
    );
  };
  say(`seed ${options.seed}, ${options.targets.join(', ')}`);
  while (performance.now() - startedMs < options.forMs) {
    const batch: FuzzCase[] = [];
    for (let i = 0; i < batchCases; i++) {
      const seed = caseSeed(options.seed, cases);
      const fuzzCase = drawCase(seed, pool);
      const begunMs = performance.now();
      const failure = failureOf(fuzzCase, options.targets);
      slowestMs = Math.max(slowestMs, performance.now() - begunMs);
      cases += 1;
      if (failure !== null) {
        coverage?.stop();
        report();
        keep(fuzzCase, failure.name, seed);
        return 1;
      }
      batch.push(fuzzCase);
    }
    if (coverage !== null) await breed(batch, coverage, options.targets, pool);
    if (performance.now() - reportedMs > reportEveryMs) {
      reportedMs = performance.now();
      report();
    }
  }
  coverage?.stop();
  report();
  return 0;
}

/** Keeps the cases of the batch that ran code no case before it did. */
async function breed(
  batch: readonly FuzzCase[],
  coverage: Coverage,
  names: readonly TargetName[],
  pool: FuzzCase[],
): Promise<void> {
  const wanted = await coverage.news();
  for (const fuzzCase of batch) {
    if (wanted.size === 0 || pool.length === maxPool) return;
    for (const name of names) targets[name](fuzzCase);
    if (await coverage.reached(wanted)) pool.push(fuzzCase);
  }
}

function replay(file: string): number {
  const failure = failureOf(readCase(readFileSync(file, 'utf8')), targetNames);
  say(failure === null ? 'the case keeps every promise' : `${failure.name}: ${failure.said}`);
  return failure === null ? 0 : 1;
}

const options = readOptions();
if (options === null) {
  process.stderr.write(usage);
  process.exitCode = 2;
} else process.exitCode = 'replay' in options ? replay(options.replay) : await fuzz(options);
