// What more replayers bring where the target's latency is the limit: each has so many connections and no more.
import { runTransactions } from '../proxy/pgbench.ts';
import type { Load } from '../proxy/plan.ts';
import { replayOnce } from './replay-run.ts';
import type { ScaleSample } from './result.ts';
import { capture, resetTables, type Stage } from './stage.ts';
import { withStub } from './throughput.ts';

type Say = (line: string) => void;

const counts = [1, 2, 4] as const;
const delayMs = 20;
const connections = 16;
/** Many short sessions, so that the partitions of each replayer have about as many. */
const load: Load = { workload: 'select', protocol: 'simple', clients: 240 };
/** Enough that the compilers of four processes, which share two cores, have warmed up long before the end. */
const transactionsEach = 100;
/** Sessions are spread over partitions by chance: later, some replayers have fewer sessions left than connections. */
const countUntil = 0.75;

export async function measureScale(stage: Stage, say: Say): Promise<ScaleSample[]> {
  await resetTables(stage.source);
  const captured = await capture(stage, stage.source.port, (port) => runTransactions(port, load, transactionsEach));
  const samples: ScaleSample[] = [];
  const flags = ['--pacing', 'asap', '--max-connections', String(connections), '--connect-give-up-ms', '600000'];
  for (const replayers of counts) {
    const run = await withStub(delayMs, (targetPort) =>
      replayOnce(stage, { captured, targetPort, flags, replayers, countUntil }),
    );
    const { perSecond, wholePerSecond, transactions, notReplayed } = run;
    samples.push({ replayers, delayMs, connections, perSecond, wholePerSecond, transactions, notReplayed });
    say(`${replayers} replayers: ${Math.round(perSecond)} tx/s, ${notReplayed} not replayed`);
  }
  return samples;
}
