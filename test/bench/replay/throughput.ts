// How fast `asap` plays: on a local mirror beside pgbench on the same server, and on a target that costs next to nothing.
import { join } from 'node:path';
import { runPgbench, runTransactions } from '../proxy/pgbench.ts';
import { type Load, turnsOf } from '../proxy/plan.ts';
import { spawnReady } from '../proxy/starting.ts';
import type { Settings } from './flags.ts';
import { type LoggedLoad, logStatements, playLog } from './pgreplay.ts';
import { type ReplayRun, replayOnce } from './replay-run.ts';
import type { RateSample, ThroughputCell } from './result.ts';
import { type Captured, capture, resetTables, type Stage } from './stage.ts';

type Say = (line: string) => void;

const asap = ['--pacing', 'asap'];

type Turn = Omit<RateSample, 'round'>;

/** Captured once; each round plays it on the mirror and on the stub, and has pgbench's own turn on the mirror. */
export async function measureThroughput(
  stage: Stage,
  load: Load,
  settings: Settings,
  say: Say,
): Promise<ThroughputCell> {
  await resetTables(stage.source, stage.mirror);
  const isSelect = load.workload === 'select';
  const each = Math.ceil(settings.transactions[isSelect ? 'select' : 'tpcb'] / load.clients);
  const take = () => capture(stage, stage.source.port, (port) => runTransactions(port, load, each));
  const { pgreplay } = settings;
  const { result: captured, log } =
    pgreplay === null ? { result: await take(), log: null } : await logStatements(stage, take);
  const turns = [
    () => pgbenchTurn(stage, load, settings),
    () => mirrorTurn(stage, captured, settings),
    ...(pgreplay === null || log === null ? [] : [() => pgreplayTurn(stage, pgreplay, log)]),
    ...(isSelect ? [() => stubTurn(stage, captured, settings)] : []),
  ];
  const samples: RateSample[] = [];
  for (let round = 1; round <= settings.rounds; round++) {
    for (const turn of turnsOf(turns, round)) {
      const sample = { ...(await turn()), round };
      samples.push(sample);
      say(`round ${round}/${settings.rounds}  ${lineOf(sample)}`);
    }
  }
  return { load, samples };
}

async function pgbenchTurn({ mirror, directory }: Stage, load: Load, { seconds }: Settings): Promise<Turn> {
  const { perSecond } = await runPgbench({ port: mirror.port, load, seconds, directory });
  return { contender: 'pgbench', perSecond, replay: null };
}

async function mirrorTurn(stage: Stage, captured: Captured, { profileDirectory }: Settings): Promise<Turn> {
  await resetTables(stage.mirror);
  const run = await replayOnce(stage, { captured, targetPort: stage.mirror.port, flags: asap, profileDirectory });
  return turnOf('mirror', run);
}

async function pgreplayTurn({ mirror }: Stage, binary: string, log: LoggedLoad): Promise<Turn> {
  await resetTables(mirror);
  const { perSecond, cpuUs, transactions } = await playLog(binary, log, mirror);
  return { contender: 'pgreplay-go', perSecond, replay: null, peer: { cpuUs, transactions } };
}

const stubTurn = (stage: Stage, captured: Captured, { profileDirectory }: Settings): Promise<Turn> =>
  withStub(0, async (targetPort) =>
    turnOf('no cost', await replayOnce(stage, { captured, targetPort, flags: asap, profileDirectory })),
  );

/** Runs a target that answers at once, or after a time. */
export async function withStub<T>(delayMs: number, work: (port: number) => Promise<T>): Promise<T> {
  const stub = await spawnReady('stub', process.execPath, [
    join(import.meta.dirname, 'stub-target.ts'),
    String(delayMs),
  ]);
  try {
    return await work(Number(stub.ready['port']));
  } finally {
    await stub.process.stop();
  }
}

function turnOf(contender: Turn['contender'], run: ReplayRun): Turn {
  const { played, scheduleErrorsUs, ...figures } = run;
  return { contender, perSecond: figures.perSecond, replay: figures };
}

function lineOf({ contender, perSecond, replay, peer }: Turn): string {
  const rate = `${contender.padEnd(8)} ${Math.round(perSecond)} tx/s`;
  if (peer !== undefined) return `${rate}  CPU ${peer.cpuUs.toFixed(1)} µs/tx  ${peer.transactions} transactions`;
  if (replay === null) return rate;
  const cpu = `CPU ${replay.cpuMainUs.toFixed(1)} + ${replay.cpuRestUs.toFixed(1)} µs/tx`;
  return `${rate}  ${cpu}  ${replay.differing} statements differ, ${replay.notReplayed} transactions not replayed`;
}
