// Test material: made-up histories of several capture workers, with what really happened beside what they publish.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  type CaptureRecordSchema,
  type EnvelopeBatch,
  EnvelopeBatchSchema,
} from './gen/mirrorstream/v1/envelope_pb.ts';

type Random = () => number;

export interface SimulatedWorker {
  readonly node: string;
  readonly clock: string;
  /** Of its host's wall clock, µs. */
  readonly errorUs: number;
}

/** What really happened, by the numbers of the events: no two are equal. */
export interface TrueExchange {
  readonly name: string;
  readonly turn: number;
  readonly sentEvent: number;
  doneEvent: number;
}

export interface History {
  /** What each worker publishes in each partition, in order. */
  readonly streams: EnvelopeBatch[][];
  readonly truth: ReadonlyMap<string, TrueExchange>;
}

interface HistoryOptions {
  readonly random: Random;
  readonly workers: readonly SimulatedWorker[];
  readonly partitions: readonly number[];
  readonly sessions: number;
  readonly exchanges: number;
}

interface Sent {
  readonly real: TrueExchange;
  readonly sentUs: number;
  readonly afterSeq: number;
  doneUs: number;
  doneSeq: number;
}

const epochUs = 1_700_000_000_000_000;
const monoBaseUs = 5_000_000;

class SimulatedSession {
  readonly id: string;
  readonly partition: number;
  seq = 1;
  part = 0;
  turn = 0;
  /** In the order of the session: answered, waiting to be published; then unanswered. */
  held: Sent[] = [];
  unanswered: Sent[] = [];

  constructor(id: string, partition: number) {
    this.id = id;
    this.partition = partition;
  }
}

class Worker {
  readonly sessions: SimulatedSession[];
  readonly streams: ReadonlyMap<number, EnvelopeBatch[]>;
  doneSeq = 0;
  readonly #worker: SimulatedWorker;

  constructor(worker: SimulatedWorker, partitions: readonly number[], sessions: SimulatedSession[]) {
    this.#worker = worker;
    this.sessions = sessions;
    this.streams = new Map(partitions.map((partition) => [partition, []]));
  }

  publish(session: SimulatedSession, exchanges: readonly Sent[], ends: boolean): void {
    const startedUs = Math.min(...exchanges.map(({ sentUs }) => sentUs));
    const value = {
      sessionId: session.id,
      sessionSeq: BigInt(session.seq),
      part: session.part,
      lastPart: ends,
      ...this.#times(startedUs),
      exchanges: exchanges.map(({ real, sentUs, doneUs, afterSeq, doneSeq }) => ({
        request: Buffer.from(real.name),
        sentUs: BigInt(sentUs - startedUs),
        doneUs: BigInt(doneSeq === 0 ? 0 : doneUs - startedUs),
        afterSeq: BigInt(afterSeq),
        doneSeq: BigInt(doneSeq),
      })),
    };
    session.part = ends ? 0 : session.part + 1;
    if (ends) session.seq += 1;
    this.#push(session.partition, { record: { case: 'envelope', value } });
  }

  heartbeat(nowUs: number, last: boolean): void {
    const held = this.sessions.flatMap((session) => session.held.map(({ doneUs }) => doneUs));
    const upToUs = Math.min(nowUs, ...held) - 1;
    const { startedAtUs: atUs, startedMonoUs: monoUs } = this.#times(upToUs);
    for (const partition of this.streams.keys())
      this.#push(partition, { record: { case: 'heartbeat', value: { atUs, monoUs, last } } });
  }

  #times(us: number): { startedAtUs: bigint; startedMonoUs: bigint } {
    return { startedAtUs: BigInt(epochUs + us + this.#worker.errorUs), startedMonoUs: BigInt(monoBaseUs + us) };
  }

  #push(partition: number, record: MessageInitShape<typeof CaptureRecordSchema>): void {
    const { node } = this.#worker;
    const batch = create(EnvelopeBatchSchema, { captureNode: node, incarnation: node, partition, records: [record] });
    this.streams.get(partition)?.push(batch);
  }
}

/** Sessions send, sometimes ahead of their answers; the server answers each in order; transactions end, are cut or are cut off. */
export function simulate({ random, workers, partitions, sessions, exchanges }: HistoryOptions): History {
  const below = (limit: number): number => Math.floor(random() * limit);
  const all = workers.map((worker) => new Worker(worker, partitions, []));
  for (let i = 0; i < sessions; i++) {
    const owner = all[i % all.length] as Worker;
    owner.sessions.push(new SimulatedSession(`session-${i}`, partitions[below(partitions.length)] as number));
  }
  const truth = new Map<string, TrueExchange>();
  let nowUs = 0;
  let event = 0;
  while (truth.size < exchanges) {
    nowUs += below(8);
    event += 1;
    const worker = all[below(all.length)] as Worker;
    const session = worker.sessions[below(worker.sessions.length)] as SimulatedSession;
    const choice = random();
    if (choice < 0.45 && session.unanswered.length < 3) {
      session.turn += 1;
      const real = {
        name: `${session.id}/${session.turn}`,
        turn: session.turn,
        sentEvent: event,
        doneEvent: Number.POSITIVE_INFINITY,
      };
      truth.set(real.name, real);
      session.unanswered.push({ real, sentUs: nowUs, afterSeq: worker.doneSeq, doneUs: 0, doneSeq: 0 });
    } else if (choice < 0.9 && session.unanswered.length > 0) {
      answer(worker, session, nowUs, event);
      if (random() < 0.5) publishHeld(worker, session, random() < 0.7);
    } else if (choice > 0.96) worker.heartbeat(nowUs, false);
  }
  for (const worker of all) {
    for (const session of worker.sessions) {
      publishHeld(worker, session, true);
      for (const lost of session.unanswered) worker.publish(session, [lost], true);
    }
    worker.heartbeat(nowUs + 1, true);
  }
  return { streams: all.flatMap(({ streams }) => [...streams.values()]), truth };
}

function answer(worker: Worker, session: SimulatedSession, nowUs: number, event: number): void {
  const sent = session.unanswered.shift() as Sent;
  worker.doneSeq += 1;
  sent.doneUs = nowUs;
  sent.doneSeq = worker.doneSeq;
  sent.real.doneEvent = event;
  session.held.push(sent);
}

function publishHeld(worker: Worker, session: SimulatedSession, ends: boolean): void {
  if (session.held.length === 0) return;
  const held = session.held;
  session.held = [];
  worker.publish(session, held, ends);
}

/** The streams in one of the many orders in which a reader may get them. */
export function* deliveries(streams: readonly EnvelopeBatch[][], random: Random): Generator<EnvelopeBatch> {
  const left = streams.map((stream) => [...stream]).filter((stream) => stream.length > 0);
  while (left.length > 0) {
    const at = Math.floor(random() * left.length);
    const stream = left[at] as EnvelopeBatch[];
    yield stream.shift() as EnvelopeBatch;
    if (stream.length === 0) left.splice(at, 1);
  }
}
