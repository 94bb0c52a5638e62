// Test material: a made-up production of several capture workers, and replayers that play it to a made-up mirror in any interleaving.
import {
  AnswerStorage,
  BatchEncoder,
  type CaptureRecordDraft,
  decodeEnvelopeBatch,
  type Envelope,
  type EnvelopeBatch,
  type Exchange,
  type ObservationDraft,
  StatementEnd,
  TransactionOutcome,
} from '@mirrorstream/envelope';
import { OrderCoordinator, type OrderGate, type OrderOptions } from './coordinator.ts';

export type Random = () => number;
/** mulberry32. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
const below = (random: Random, limit: number): number => Math.floor(random() * limit);
const pick = <T>(random: Random, from: readonly T[]): T => from[below(random, from.length)] as T;

/** What really happened to an exchange, by µs and by its worker's numbers. Its name is its request. */
export interface Happened {
  readonly name: string;
  readonly session: string;
  readonly worker: number;
  readonly clock: number;
  readonly sentUs: number;
  readonly afterSeq: number;
  readonly tag: string;
  doneUs: number;
  doneSeq: number;
}

export interface HistoryOptions {
  readonly random: Random;
  /** Worker → the clock it has. */
  readonly workers: readonly number[];
  readonly partitions: number;
  readonly sessions: number;
  readonly exchanges: number;
  /** Workers that never say that they have ended. */
  readonly silent?: readonly number[];
}

export interface History {
  readonly workers: readonly number[];
  readonly happened: ReadonlyMap<string, Happened>;
  /** What each worker published in each partition, in order. */
  readonly streams: readonly (readonly EnvelopeBatch[])[];
}

const epochUs = 1_700_000_000_000_000;
const monoUs = (us: number, clock: number): number => us + 5_000_000 + clock * 1_000_000;
const originOf = (worker: number, clock: number) => ({
  captureNode: `node-${clock}`,
  incarnation: `host-${clock}`,
  worker,
});
const tags = ['UPDATE 1', 'INSERT 0 1', 'SELECT 1', 'SELECT 1', 'BEGIN'];

/** Sessions send and are answered at random, some of it pipelined; published when a transaction ends. All clocks show the same wall time. */
export function simulate(options: HistoryOptions): History {
  const { random, workers, partitions, sessions, exchanges } = options;
  const happened = new Map<string, Happened>();
  const streams = workers.map(() => Array.from({ length: partitions }, (): EnvelopeBatch[] => []));
  const seqs = workers.map(() => 0);
  const all = Array.from({ length: sessions }, (_, i) => ({
    name: `s${i}`,
    worker: i % workers.length,
    partition: below(random, partitions),
    seq: 0,
    count: 0,
    asked: [] as Happened[],
    held: [] as Happened[],
  }));
  let nowUs = 0;
  const publish = (worker: number, partition: number, record: CaptureRecordDraft): void => {
    const clock = workers[worker] as number;
    const encoder = new BatchEncoder({ source: 'shop', partition, ...originOf(worker, clock) });
    encoder.add(record);
    streams[worker]?.[partition]?.push(decodeEnvelopeBatch(encoder.take()));
  };
  const heartbeat = (worker: number, last: boolean): void => {
    const clock = workers[worker] as number;
    const held = all.filter((it) => it.worker === worker).flatMap((it) => it.held);
    const upToUs = Math.min(nowUs, ...held.map((it) => it.doneUs - 1));
    const doneSeq = Math.min(seqs[worker] as number, ...held.map((it) => it.doneSeq - 1));
    const at = { atUs: epochUs + upToUs, monoUs: monoUs(upToUs, clock) };
    for (let partition = 0; partition < partitions; partition++)
      publish(worker, partition, { kind: 'heartbeat', ...at, doneSeq, last });
  };
  const end = (session: (typeof all)[number], lost: readonly Happened[]): void => {
    const group = [...session.held, ...lost];
    if (group.length === 0) return;
    session.seq += 1;
    session.held = [];
    publish(session.worker, session.partition, envelopeDraft(session.name, session.seq, group));
  };
  while (happened.size < exchanges) {
    nowUs += 1 + below(random, 8);
    const session = pick(random, all);
    const clock = workers[session.worker] as number;
    const choice = random();
    if (choice < 0.5 && session.asked.length < 2) {
      session.count += 1;
      const name = `${session.name}/${session.count}`;
      const afterSeq = seqs[session.worker] as number;
      const sent = { name, session: session.name, worker: session.worker, clock, sentUs: nowUs, afterSeq };
      const asked = { ...sent, tag: pick(random, tags), doneUs: 0, doneSeq: 0 };
      happened.set(name, asked);
      session.asked.push(asked);
    } else if (choice < 0.95 && session.asked.length > 0) {
      const answered = session.asked.shift() as Happened;
      seqs[session.worker] = (seqs[session.worker] as number) + 1;
      answered.doneUs = nowUs;
      answered.doneSeq = seqs[session.worker] as number;
      session.held.push(answered);
      if (random() < 0.5) end(session, []);
    } else if (choice > 0.98) heartbeat(session.worker, false);
  }
  for (const session of all) end(session, session.asked);
  nowUs += 10;
  for (const worker of workers.keys()) heartbeat(worker, !options.silent?.includes(worker));
  return { workers, happened, streams: streams.flat() };
}

function envelopeDraft(sessionId: string, sessionSeq: number, group: readonly Happened[]): CaptureRecordDraft {
  const first = group[0] as Happened;
  return {
    ...{ kind: 'envelope', sessionId, sessionSeq, part: 0, lastPart: true },
    ...{ startedAtUs: epochUs + first.sentUs, startedMonoUs: monoUs(first.sentUs, first.clock) },
    ...{ samplingDraw: 0, context: null, outcome: TransactionOutcome.COMMITTED, writes: false },
    ...{ dependsOnSession: [], redactions: 0 },
    exchanges: group.map((it, index) => ({
      ...{ index, continues: false, request: Buffer.from(it.name), segments: [], sentUs: it.sentUs - first.sentUs },
      ...{ firstReplyUs: 0, doneUs: it.doneSeq === 0 ? 0 : it.doneUs - first.sentUs, cancelledAfterUs: 0 },
      ...{ afterSeq: it.afterSeq, doneSeq: it.doneSeq },
      answer: {
        ...{ storage: AnswerStorage.NONE, raw: new Uint8Array(0), sizeBytes: 0, status: 'I' },
        observations: it.doneSeq === 0 ? [] : [observation(it.tag)],
      },
    })),
  };
}

const observation = (commandTag: string): ObservationDraft => ({
  ...{ end: StatementEnd.COMPLETE, commandTag, rows: 0, sqlState: '', severity: '', sizeBytes: 0, digested: false },
  ...{ orderedHi: 0, orderedLo: 0, multisetHi: 0, multisetLo: 0, columnsHi: 0, columnsLo: 0, columnCount: 0 },
  latencyUs: 0,
  firstRowUs: 0,
  errorHi: 0,
  errorLo: 0,
});

/** The definition: production had answered `a` before it was asked `b`. */
export function answeredBefore(a: Happened, b: Happened, clockUncertaintyUs: number): boolean {
  if (a.doneSeq === 0) return false;
  if (a.worker === b.worker) return a.doneSeq <= b.afterSeq;
  return a.doneUs + (a.clock === b.clock ? 0 : clockUncertaintyUs) < b.sentUs;
}

export const exchangeName = (exchange: Exchange): string => Buffer.from(exchange.request).toString();

/** A session here: one exchange after the other, sent when it may go and the one before is answered. */
interface PlayedSession {
  readonly queue: { readonly envelope: Envelope; readonly exchange: Exchange; readonly last: boolean }[];
  readonly gate: OrderGate;
  underWay: boolean;
}

/** A replayer without a shell: what is read, sent and answered is the test's to say. */
export class PlayedReplayer {
  readonly order: OrderCoordinator;
  readonly sent: string[] = [];
  readonly marks = new Map<string, string>();
  readonly #sessions = new Map<string, PlayedSession>();
  readonly #underWay = new Map<string, { readonly exchange: Exchange; readonly session: PlayedSession }>();
  readonly #onSent: (name: string) => void;
  nowUs = 1;

  /** `partitions`: how many there are; `workers`: those of the history, with their clocks; `begins`: the first exchange of each, for a run. */
  constructor(
    partitions: number,
    owned: readonly number[],
    workers: readonly number[],
    options: OrderOptions,
    onSent: (name: string) => void = () => {},
    begins: readonly Happened[] | null = null,
  ) {
    this.order = new OrderCoordinator(partitions, options);
    for (const { worker, clock, sentUs } of begins ?? [])
      this.order.begins(originOf(worker, clock), epochUs + sentUs, monoUs(sentUs, clock));
    this.order.assign(owned);
    if (begins === null) for (const [worker, clock] of workers.entries()) this.order.expect(originOf(worker, clock));
    this.#onSent = onSent;
  }

  get underWay(): readonly string[] {
    return [...this.#underWay.keys()];
  }

  take(batch: EnvelopeBatch): void {
    for (const { record } of batch.records) if (record.case === 'envelope') this.order.read(batch, record.value);
    this.order.promise(batch);
    for (const { record } of batch.records) if (record.case === 'envelope') this.#queue(record.value);
    this.order.advance(this.nowUs);
  }

  answer(name: string): void {
    const { exchange, session } = this.#underWay.get(name) as { exchange: Exchange; session: PlayedSession };
    this.#underWay.delete(name);
    session.underWay = false;
    session.gate.answered(exchange);
    const next = session.queue.shift();
    if (next?.last === true) this.marks.set(name, session.gate.settled(next.envelope));
    this.#try(session);
    this.order.advance(this.nowUs);
  }

  #queue(envelope: Envelope): void {
    let session = this.#sessions.get(envelope.sessionId);
    if (session === undefined) {
      const fresh: PlayedSession = { queue: [], underWay: false, gate: this.order.gate(() => this.#try(fresh)) };
      this.#sessions.set(envelope.sessionId, fresh);
      session = fresh;
    }
    const { exchanges } = envelope;
    for (const exchange of exchanges) session.queue.push({ envelope, exchange, last: exchange === exchanges.at(-1) });
    this.#try(session);
  }

  #try(session: PlayedSession): void {
    const next = session.queue[0];
    if (next === undefined || session.underWay || !session.gate.mayGo(next.exchange, this.nowUs)) return;
    session.gate.sent(next.exchange, this.nowUs);
    session.underWay = true;
    const name = exchangeName(next.exchange);
    this.#underWay.set(name, { exchange: next.exchange, session });
    this.sent.push(name);
    this.#onSent(name);
  }
}
