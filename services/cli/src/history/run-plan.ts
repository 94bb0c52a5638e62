// Which run is meant: a new one over a window, a repetition of one, or one that goes on; and whether its records are still there.
import {
  envelopesTopic,
  MirrorstreamError,
  type RunSnapshot,
  replayerGroup,
  runInFlight,
  transactionOutcomes,
} from '@mirrorstream/domain';
import { decodeEnvelopeBatch, recordInWindow } from '@mirrorstream/envelope';
import type { Admin, KafkaClient } from '@mirrorstream/kafka';
import { badFlag } from '../command-line.ts';
import { pause, type StackScope } from '../stack-scope.ts';
import { formatMoment } from './moment.ts';
import { type ReplayRequest, replayCommand } from './replay-request.ts';
import type { RunStore } from './run-store.ts';
import { scanWindow } from './window-scan.ts';

export interface PlanParts {
  readonly client: KafkaClient;
  readonly admin: Admin;
  readonly store: RunStore;
  readonly scope: StackScope;
  readonly onProgress: (done: number, total: number) => void;
}

/** A process that plays a run says so each second; after this it is taken for dead. */
const aliveForMs = 5_000;

/** The run to play, ready to be written: `running`, begun once more. Throws `badInput`. */
export async function planRun(request: ReplayRequest, parts: PlanParts): Promise<RunSnapshot> {
  const { store, scope } = parts;
  const { mirror } = request.target;
  refuseHalfImported(store, scope.source);
  const name = request.run ?? newName(store, mirror, request.repeat);
  const existing = store.run(mirror, name);
  if (existing !== undefined) return goOn(request, existing, parts);
  const planned = request.repeat === null ? await newRun(request, name, parts) : await repetition(request, name, parts);
  return begun(planned, planned.beginsAtUs);
}

function begun(run: RunSnapshot, beginsAtUs: string): RunSnapshot {
  const { detail: _, ...rest } = run;
  const nowMs = Date.now();
  return {
    ...rest,
    state: 'running',
    atMs: nowMs,
    startedAtMs: nowMs,
    endedAtMs: null,
    starts: run.starts + 1,
    beginsAtUs,
  };
}

async function newRun(request: ReplayRequest, run: string, parts: PlanParts): Promise<RunSnapshot> {
  const { client, admin, scope, onProgress } = parts;
  const { window, settings, lateMs } = request;
  if (window === null) {
    const hint =
      request.run === null
        ? 'For example --from -15m.'
        : 'Give --from to make it; mirrorstream runs lists those that exist.';
    throw badFlag(
      replayCommand,
      '--from',
      request.run === null ? 'is missing' : `is missing, and there is no run ${run} to go on with`,
      hint,
    );
  }
  const found = await scanWindow(client, admin, { source: scope.source, window, lateMs, onProgress });
  const nowMs = Date.now();
  return {
    kind: 'run',
    environment: scope.environment,
    mirror: request.target.mirror,
    run,
    source: scope.source,
    atMs: nowMs,
    state: 'stopped',
    window,
    settings,
    plannedAtMs: nowMs,
    startedAtMs: nowMs,
    starts: 0,
    endedAtMs: null,
    captured: found.transactions,
    captureGaps: found.captureGaps,
    ranges: Object.fromEntries(
      [...found.ranges].map(([partition, { from, to, transactions }]) => [
        partition,
        { from: String(from), to: String(to), transactions },
      ]),
    ),
    beginsAtUs: String(found.firstStartedAtUs ?? BigInt(Math.trunc(window.fromMs)) * 1000n),
    captures: [...found.captures],
    outcomes: noOutcomes(),
  };
}

/** The same offsets: what was played then, to the transaction. */
async function repetition(request: ReplayRequest, run: string, parts: PlanParts): Promise<RunSnapshot> {
  const { mirror } = request.target;
  const of = parts.store.run(mirror, request.repeat ?? '');
  if (of === undefined)
    throw badFlag(replayCommand, '--repeat', `names no run of mirror ${mirror}`, 'mirrorstream runs lists them.');
  checkSource(of, parts.scope);
  await refuseCut(of, parts, new Map());
  const first = Object.values(of.ranges).every(({ from, to }) => from === to)
    ? null
    : await firstMoment(of, parts, new Map());
  const nowMs = Date.now();
  return {
    ...of,
    run,
    state: 'stopped',
    plannedAtMs: nowMs,
    starts: 0,
    outcomes: noOutcomes(),
    beginsAtUs: first ?? of.beginsAtUs,
  };
}

async function goOn(request: ReplayRequest, run: RunSnapshot, parts: PlanParts): Promise<RunSnapshot> {
  const { given, repeat, target } = request;
  if (repeat !== null)
    throw badFlag(
      replayCommand,
      '--run',
      `names a run that exists already (${run.state})`,
      'Give the repetition a new name.',
    );
  if (given.length > 0)
    throw badFlag(
      replayCommand,
      `--${given[0]}`,
      `does not go with --run ${run.run}, which exists already`,
      'A run keeps its window and its settings. Leave them out to go on with it, or choose another name.',
    );
  checkSource(run, parts.scope);
  if (run.state === 'finished')
    throw badFlag(
      replayCommand,
      '--run',
      `names a run that is finished`,
      `mirrorstream runs show ${run.run} --mirror ${target.mirror} prints its report; --repeat ${run.run} plays it once more.`,
    );
  if (run.state === 'running') await refuseAlive(run, parts.store);
  const committed = await committedOffsets(run, parts.admin);
  if (run.state === 'failed') refuseAllRead(run, committed);
  await refuseCut(run, parts, committed);
  return begun(run, (await firstMoment(run, parts, committed)) ?? run.beginsAtUs);
}

function checkSource(run: RunSnapshot, scope: StackScope): void {
  if (run.source === scope.source) return;
  throw badFlag(replayCommand, '--source-name', `is not the source of run ${run.run}`, `It plays ${run.source}.`);
}

function refuseHalfImported(store: RunStore, source: string): void {
  if (store.import(source)?.state !== 'importing') return;
  throw new MirrorstreamError('badInput', `the import of ${source} has not come to its end: its window is incomplete`, {
    stage: 'replay',
    hint: 'Wait for it; if it was interrupted, import the file again with --replace.',
  });
}

/** The record of a process that was killed says `running` for ever: whoever lives writes it again. */
async function refuseAlive(run: RunSnapshot, store: RunStore): Promise<void> {
  const until = performance.now() + aliveForMs;
  while (performance.now() < until) {
    await pause(100);
    if (store.run(run.mirror, run.run)?.atMs === run.atMs) continue;
    throw new MirrorstreamError('badInput', `run ${run.run} is being played by another process`, {
      stage: 'replay',
      hint: 'Stop that one first, or give this one another name.',
    });
  }
}

export async function committedOffsets(run: RunSnapshot, admin: Admin): Promise<ReadonlyMap<number, bigint>> {
  const group = replayerGroup(run.environment, run.mirror, run.run);
  const found = await admin.committed(group, envelopesTopic(run.source));
  return new Map(found.flatMap(({ partition, offset }) => (offset === null ? [] : [[partition, offset] as const])));
}

/** What is still to be played must be there. */
async function refuseCut(
  run: RunSnapshot,
  { admin }: PlanParts,
  committed: ReadonlyMap<number, bigint>,
): Promise<void> {
  const topic = envelopesTopic(run.source);
  for (const { partition, low } of await admin.offsets(topic)) {
    const range = run.ranges[partition];
    if (range === undefined) continue;
    const next = committed.get(partition) ?? BigInt(range.from);
    if (next >= low || next >= BigInt(range.to)) continue;
    throw new MirrorstreamError(
      'badInput',
      `retention has cut into run ${run.run}: partition ${partition} of ${topic} is left from offset ${low} on, the run needs ${next}`,
      {
        stage: 'replay',
        hint: 'Make a new run over a later window, or import an export of this one. mirrorstream runs show says how far it came.',
      },
    );
  }
}

/** What is missing was not there to be read: going on cannot bring it. */
function refuseAllRead(run: RunSnapshot, committed: ReadonlyMap<number, bigint>): void {
  const left = Object.entries(run.ranges).some(
    ([partition, { from, to }]) => from !== to && (committed.get(Number(partition)) ?? 0n) < BigInt(to),
  );
  if (left || runInFlight(run) === 0) return;
  throw new MirrorstreamError(
    'badInput',
    `run ${run.run} has read all that is left of its window: ${run.detail ?? ''}`,
    {
      stage: 'replay',
      hint: `mirrorstream runs show ${run.run} --mirror ${run.mirror} prints its report. Make a new run over what is left.`,
    },
  );
}

/** When the first transaction that is still to be played began: from there the pace counts. Null: nothing is left. */
async function firstMoment(
  run: RunSnapshot,
  { client }: PlanParts,
  committed: ReadonlyMap<number, bigint>,
): Promise<string | null> {
  const ranges = Object.entries(run.ranges).flatMap(([number, { from, to }]) => {
    const next = committed.get(Number(number)) ?? BigInt(from);
    return next < BigInt(to) ? [{ partition: Number(number), from: next, to: next + 1n }] : [];
  });
  let firstUs: bigint | null = null;
  const note = (us: bigint): void => {
    if (firstUs === null || us < firstUs) firstUs = us;
  };
  await client.readRange(envelopesTopic(run.source), ranges, ({ records }) => {
    for (const { value, timestampMs } of records) {
      try {
        for (const captured of decodeEnvelopeBatch(value ?? new Uint8Array(0)).records)
          if (captured.record.case === 'envelope' && recordInWindow(captured, run.window))
            note(captured.record.value.startedAtUs);
      } catch {
        note(BigInt(timestampMs) * 1000n);
      }
    }
  });
  return firstUs === null ? null : String(firstUs);
}

function newName(store: RunStore, mirror: string, repeat: string | null): string {
  const stem =
    repeat ??
    `run-${formatMoment(Date.now())
      .replace(/\.\d+|[-:Z]/g, '')
      .replace('T', '-')
      .toLowerCase()}`;
  for (let number = repeat === null ? 1 : 2; ; number++) {
    const name = number === 1 ? stem : `${stem}-${number}`;
    if (store.run(mirror, name) === undefined) return name;
  }
}

function noOutcomes(): RunSnapshot['outcomes'] {
  return Object.fromEntries(transactionOutcomes.map((name) => [name, 0])) as RunSnapshot['outcomes'];
}
