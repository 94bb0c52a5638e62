// One load, played by all contenders in turn, round after round.
import { cpus } from 'node:os';
import type { Arrived } from './arrivals.ts';
import type { Settings } from './flags.ts';
import { foreignShare, readLoad } from './foreign-load.ts';
import { runLarge } from './large-results.ts';
import { type LoadResult, runPgbench } from './pgbench.ts';
import { isLarge, type Load, titleOf, turnsOf, unitOf } from './plan.ts';
import { cpuTime, forgetPeak, memoryMb, processesOf, wholeCpuUs } from './process-usage.ts';
import type { Arrival, Cell, CpuUs, Sample } from './result.ts';
import type { Stage } from './stage.ts';
import type { Contender } from './starting.ts';

type Say = (line: string) => void;

/** Compilers, caches and connections warm up so long: counted as sent, measured as nothing. */
const warmUpSeconds = 1;

/** CPU of the machine that others may take while a turn is measured, and how often it is taken again otherwise. */
const disturbedShare = 0.08;
const maxRepeats = 2;

/** The server's processes that end with their sessions are nobody's until the server has waited for them. */
const reapedAfterMs = 50;

type Turn = Omit<Sample, 'contender' | 'round' | 'rssBeforeMb'>;

export async function measureCell(stage: Stage, load: Load, settings: Settings, say: Say): Promise<Cell> {
  const sent = new Map<string, number>();
  const play = async (contender: Contender, seconds: number): Promise<LoadResult> => {
    stage.stopRequested.throwIfAborted();
    const result = await playOnce(stage, load, contender, { ...settings, seconds });
    const transactions = unitOf(load) === 'MB' ? 1 : result.units;
    sent.set(contender.name, (sent.get(contender.name) ?? 0) + transactions);
    return result;
  };
  const before = await readArrivals(stage, load, new Map());
  say(`${titleOf(load)}: warming up`);
  const atRest = new Map(stage.contenders.map((one) => [one.name, memoryMb(pidsOf(one)).now]));
  for (const contender of stage.contenders) await play(contender, warmUpSeconds);
  const samples: Sample[] = [];
  for (let round = 1; round <= settings.rounds; round++) {
    for (const contender of turnsOf(stage.contenders, round)) {
      const measured = await undisturbed(() => measureTurn(stage, contender, () => play(contender, settings.seconds)));
      samples.push({ contender: contender.name, round, ...measured, rssBeforeMb: atRest.get(contender.name) ?? 0 });
      const rate = `${Math.round(measured.perSecond)} ${unitOf(load) === 'MB' ? 'MB/s' : 'tps'}`;
      say(`${titleOf(load)}  round ${round}/${settings.rounds}  ${contender.name.padEnd(26)} ${rate}`);
    }
  }
  const expected = new Map([...sent].map(([name, count]) => [name, count + (before.get(name)?.transactions ?? 0)]));
  return { load, samples, arrivals: arrivalsOf(before, await readArrivals(stage, load, expected), sent) };
}

const pidsOf = ({ pid }: Contender): readonly number[] => (pid === null ? [] : processesOf(pid));

async function playOnce(
  { sourcePort, directory, copyFile }: Stage,
  load: Load,
  { name, port }: Contender,
  { seconds, megabytes }: { readonly seconds: number; readonly megabytes: number },
): Promise<LoadResult> {
  try {
    if (isLarge(load.workload)) return await runLarge({ port, sourcePort, load, megabytes, copyFile });
    return await runPgbench({ port, load, seconds, directory });
  } catch (error) {
    throw new Error(`${name}, ${titleOf(load)}: ${(error as Error).message}`, { cause: error });
  }
}

/** Somebody else's work is no part of the result: a turn that others disturbed is taken again, and the quietest counts. */
async function undisturbed(take: () => Promise<Turn>): Promise<Turn> {
  let quietest = await take();
  for (let again = 0; again < maxRepeats && quietest.foreignShare > disturbedShare; again++) {
    const next = await take();
    if (next.foreignShare < quietest.foreignShare) quietest = next;
  }
  return quietest;
}

async function measureTurn({ brokerPid }: Stage, contender: Contender, play: () => Promise<LoadResult>): Promise<Turn> {
  const pids = pidsOf(contender);
  forgetPeak(pids);
  const loadBefore = readLoad();
  const before = cpuTime(pids);
  const brokerBefore = wholeCpuUs(brokerPid);
  const result = await play();
  const after = cpuTime(pids);
  const brokerUs = wholeCpuUs(brokerPid) - brokerBefore;
  const perUnit = (us: number): number => us / Math.max(1, result.units);
  const cpuUs: CpuUs = {
    forwarding: perUnit(after.forwarding - before.forwarding),
    capture: perUnit(after.capture - before.capture),
    rest: perUnit(after.rest - before.rest),
  };
  await new Promise((resolve) => setTimeout(resolve, reapedAfterMs));
  const foreign = foreignShare(loadBefore, readLoad(), cpus().length);
  return { ...result, cpuUs, brokerUs: perUnit(brokerUs), foreignShare: foreign, rssPeakMb: memoryMb(pids).peak };
}

/** All at once: who has to wait waits beside the others. */
async function readArrivals(
  { arrivals }: Stage,
  { workload }: Load,
  expected: ReadonlyMap<string, number>,
): Promise<ReadonlyMap<string, Arrived>> {
  const read = [...arrivals].map(
    async ([name, counter]) => [name, await counter.upTo(expected.get(name) ?? 0, workload)] as const,
  );
  return new Map(await Promise.all(read));
}

function arrivalsOf(
  before: ReadonlyMap<string, Arrived>,
  after: ReadonlyMap<string, Arrived>,
  sent: ReadonlyMap<string, number>,
): Arrival[] {
  return [...after].map(([contender, { transactions, dropped }]) => {
    const base = before.get(contender);
    return {
      contender,
      sent: sent.get(contender) ?? 0,
      arrived: transactions - (base?.transactions ?? 0),
      dropped: dropped === null ? null : dropped - (base?.dropped ?? 0),
    };
  });
}
