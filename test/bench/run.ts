// `npm run bench -- NAME [flags]`: runs one benchmark of this folder.
import { runCompareBench } from './compare/bench.ts';
import { runProxyBench } from './proxy/bench.ts';
import { runReplayBench } from './replay/bench.ts';

const benches: Readonly<Record<string, { readonly summary: string; run(argv: readonly string[]): Promise<number> }>> = {
  proxy: {
    summary: 'capture proxy beside a direct connection, a plain pipe, pgbouncer, HAProxy and PgDog',
    run: runProxyBench,
  },
  compare: {
    summary: 'digests of answers and judging of differences, on one core, and the memory of many statement shapes',
    run: runCompareBench,
  },
  replay: {
    summary: "captured traffic on a local mirror and on a target that costs nothing, beside pgbench's own rate",
    run: runReplayBench,
  },
};

const [name, ...argv] = process.argv.slice(2);
const bench = name === undefined ? undefined : benches[name];
if (bench === undefined) {
  const list = Object.entries(benches).map(([key, { summary }]) => `  ${key}  ${summary}`);
  process.stderr.write(`usage: npm run bench -- NAME [flags]\n${list.join('\n')}\n`);
  process.exitCode = name === undefined || name === '--help' ? 0 : 2;
} else {
  process.exitCode = await bench.run(argv);
}
