// What one lane costs in memory: many sessions that each played a transaction and keep their connection, in one process.
//
// `node --expose-gc lane-memory.ts PORT LANES`, with a server on 127.0.0.1:PORT that answers any query; prints bytes per lane as JSON.
import {
  AnswerStorage,
  BatchEncoder,
  decodeEnvelopeBatch,
  type Envelope,
  TransactionOutcome,
} from '@mirrorstream/envelope';
import { connectTarget, parseTargetUrl } from '@mirrorstream/pg-target';
import { createPacing, type LaneOptions } from '@mirrorstream/replay';
import { Alarm } from '../src/alarm.ts';
import { nowUs } from '../src/clock.ts';
import { LaneRunner, type RunnerSurroundings } from '../src/lane-runner.ts';

const address = parseTargetUrl(`postgres://postgres@127.0.0.1:${process.argv[2]}/postgres`, 'the command line');
const lanes = Number(process.argv[3] ?? '200');
const encoder = new BatchEncoder({ source: 'bench', captureNode: 'bench', incarnation: 'i', worker: 0, partition: 0 });
const runners: LaneRunner[] = [];

const options: Omit<LaneOptions, 'sessionId'> = {
  pacing: createPacing({ mode: 'asap', speed: 1, replayDelayMs: 0 }),
  ...{ rawCapBytes: 64 * 1024, segmentWaitMs: 1000, unansweredWaitMs: 5000, exchangeTimeoutMs: 600_000 },
  ...{ idleMs: 3_600_000, replayCancels: false, duplicateWindow: 64 },
};

function envelopeOf(sessionId: string): Envelope {
  const text = 'SELECT abalance FROM pgbench_accounts WHERE aid = 1';
  const request = Buffer.from(`Q\0\0\0${String.fromCharCode(text.length + 5)}${text}\0`, 'latin1');
  const noAnswer = {
    storage: AnswerStorage.NONE,
    observations: [],
    raw: new Uint8Array(0),
    sizeBytes: 0,
    status: 'I',
  } as const;
  const times = { sentUs: 0, firstReplyUs: 1, doneUs: 2, afterSeq: 0, doneSeq: 1, cancelledAfterUs: 0 };
  encoder.reset();
  encoder.add({
    ...{ kind: 'envelope', sessionId, sessionSeq: 1, part: 0, lastPart: true, startedAtUs: 1, startedMonoUs: 1 },
    ...{ samplingDraw: 0, outcome: TransactionOutcome.COMMITTED, writes: false, dependsOnSession: [], redactions: 0 },
    context: {
      ...{ database: 'postgres', user: 'postgres', protocolVersion: 196_608 },
      ...{ startupParameters: [], settings: [], statements: [] },
    },
    exchanges: [{ index: 0, continues: false, request, segments: [], ...times, answer: noAnswer }],
  });
  const record = decodeEnvelopeBatch(encoder.take()).records[0]?.record;
  if (record?.case !== 'envelope') throw new Error('no envelope came back');
  return record.value;
}

/** Connects each at once: the gate's queue is no part of a lane. */
const gate: Pick<RunnerSurroundings['gate'], 'request'> = {
  request: ({ sessionId, handlers, onOpen, onFailed }) => {
    const { user, database } = { user: 'postgres', database: 'postgres' };
    const session = { sessionMark: sessionId, applicationName: 'bench', connectTimeoutMs: 30_000 };
    connectTarget({ address, user, database, startupParameters: [], ...session }, handlers).then(
      (connection) => onOpen(connection, false),
      () => onFailed('targetUnreachable'),
    );
    return { release: () => undefined, handOn: () => undefined };
  },
};

function openLane(index: number): Promise<void> {
  const sessionId = `session-${index}`;
  return new Promise((resolve, reject) => {
    const surroundings = { gate, connector: { loginOf: () => undefined }, alarm, nowUs, queued: () => undefined };
    const runner = new LaneRunner({ ...options, sessionId }, surroundings as unknown as RunnerSurroundings, {
      onResult: () => resolve(),
      onDuplicate: () => undefined,
      onBroken: reject,
      onCancel: () => undefined,
      onEnded: () => reject(new Error('a lane ended')),
    });
    runners.push(runner);
    runner.feed({ kind: 'envelope', place: { offset: 0n, index }, envelope: envelopeOf(sessionId), sizeBytes: 0 });
  });
}

const alarm = new Alarm<LaneRunner>(nowUs, (runner) => runner.feed({ kind: 'timer' }));

async function settledMemory(): Promise<NodeJS.MemoryUsage> {
  for (let i = 0; i < 4; i++) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return process.memoryUsage();
}

async function openLanes(count: number): Promise<void> {
  // A few at a time: a server's backlog of connections is short.
  for (let i = 0; i < count; i += 20)
    await Promise.all(Array.from({ length: Math.min(20, count - i) }, () => openLane(runners.length)));
}

await openLanes(50); // Code, caches and pools are there then.
const before = await settledMemory();
await openLanes(lanes);
const after = await settledMemory();
const each = (pick: (usage: NodeJS.MemoryUsage) => number): number => Math.round((pick(after) - pick(before)) / lanes);
const heapBytes = each(({ heapUsed }) => heapUsed);
const externalBytes = each(({ external }) => external);
process.stdout.write(`${JSON.stringify({ lanes, heapBytes, externalBytes, rssBytes: each(({ rss }) => rss) })}\n`);
process.exit(0);
