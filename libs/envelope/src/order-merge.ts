// Merges what several capture workers published into one order that agrees with production's real time: by watermarks.
//
// An exchange's place is the moment it was done. That is an order production allows: if A was answered before B was sent, then A was
// done before B was done. Pieces and unanswered exchanges, which nothing comes after, are placed where they were sent. An item is
// ready when every worker has promised, in every partition, that nothing done up to its place is still to come (see Heartbeat).
//
//   place   = doneUs, or sentUs; never before what precedes it in its session
//   ready   = place <= min over workers and partitions of the last heartbeat's mono_us
//
// Each record is added once and in the order of its partition; who reads Kafka leaves out repetitions (header `record`).
import type { Envelope, EnvelopeBatch, Exchange } from './gen/mirrorstream/v1/envelope_pb.ts';
import { MinHeap } from './min-heap.ts';
import type { OrderedExchange } from './ordered-exchange.ts';
import { SourceWatermarks } from './source-watermarks.ts';

export interface OrderSource {
  readonly captureNode: string;
  readonly incarnation: string;
  readonly worker: number;
}

export interface OrderMergeOptions {
  /** All that are read: the merge waits for each of them. */
  readonly partitions: readonly number[];
  /** Sources with the same name share a monotonic clock: one host since its boot. Default: each capture node has its own. */
  readonly clockOf?: (source: OrderSource) => string;
  /** Above it the oldest items are given out before their time, marked. Requests, answers and 200 bytes each count. */
  readonly maxBufferedBytes: number;
}

export interface OrderMergeCounts {
  /** Came when what belongs after them had been given out. */
  readonly late: number;
  /** Given out early, for want of memory. */
  readonly forced: number;
}

export interface OrderMerge {
  add(batch: EnvelopeBatch): void;
  /** Wait for this source from now on, although nothing of it was seen yet. */
  expect(source: OrderSource): void;
  /** Do not wait for it any more: it has ended, or is silent for too long. It takes part again when something of it comes. */
  release(source: OrderSource): void;
  /** What is ready, in order. */
  ready(): OrderedExchange[];
  /** The rest, in order: nothing will be added any more. */
  flush(): OrderedExchange[];
  /** Whom the merge waits for: those whose promises reach least far. Others may be read no further meanwhile. */
  waitingFor(): readonly { readonly source: OrderSource; readonly partition: number }[];
  readonly bufferedBytes: number;
  readonly counts: OrderMergeCounts;
}

interface Item {
  readonly ordered: OrderedExchange;
  readonly placeUs: number;
  /** At one place, what was done comes before what was only sent. */
  readonly rank: 0 | 1;
  /** Counts what was added. */
  readonly arrival: number;
  readonly sizeBytes: number;
}

/** What a session has waiting here, and the last of it. */
interface Waiting {
  items: number;
  last: Item;
}

const ITEM_BYTES = 200;

const sourceKey = ({ incarnation, worker }: OrderSource): string => `${incarnation}/${worker}`;

export function createOrderMerge(options: OrderMergeOptions): OrderMerge {
  return new Merge(options);
}

class Merge implements OrderMerge {
  bufferedBytes = 0;
  readonly counts = { late: 0, forced: 0 };
  readonly #options: OrderMergeOptions;
  readonly #clockOf: (source: OrderSource) => string;
  readonly #marks: SourceWatermarks<OrderSource>;
  /** Clock → µs to add to its monotonic time: as the first record of it has it. */
  readonly #offsets = new Map<string, number>();
  readonly #sessions = new Map<string, Waiting>();
  readonly #heap = new MinHeap<Item>(isBefore);
  /** The latest place of an answered exchange that was given out. */
  #givenUpToUs = Number.NEGATIVE_INFINITY;
  #arrivals = 0;

  constructor(options: OrderMergeOptions) {
    this.#options = options;
    this.#clockOf = options.clockOf ?? (({ captureNode, incarnation }) => `${captureNode}/${incarnation}`);
    this.#marks = new SourceWatermarks(options.partitions);
  }

  add(batch: EnvelopeBatch): void {
    const { partition } = batch;
    const key = sourceKey(batch);
    const clock = this.#clockOf(batch);
    this.#marks.expect(key, batch);
    for (const { record } of batch.records) {
      if (record.case === 'envelope') {
        const { startedAtUs, startedMonoUs } = record.value;
        const startedUs = Number(startedMonoUs) + this.#offset(clock, startedAtUs, startedMonoUs);
        for (const exchange of record.value.exchanges)
          this.#add(key, clock, partition, record.value, exchange, startedUs);
      } else if (record.case === 'heartbeat') {
        const { atUs, monoUs, last } = record.value;
        const upToUs = last ? Number.POSITIVE_INFINITY : Number(monoUs) + this.#offset(clock, atUs, monoUs);
        this.#marks.reached(key, partition, upToUs);
      }
    }
  }

  expect(source: OrderSource): void {
    this.#marks.expect(sourceKey(source), source);
  }

  release(source: OrderSource): void {
    this.#marks.release(sourceKey(source));
  }

  ready(): OrderedExchange[] {
    const given: OrderedExchange[] = [];
    const upToUs = this.#marks.leastUs;
    for (let next = this.#heap.peek(); next !== undefined && next.placeUs <= upToUs; next = this.#heap.peek())
      given.push(this.#take(false));
    while (this.bufferedBytes > this.#options.maxBufferedBytes) given.push(this.#take(true));
    return given;
  }

  flush(): OrderedExchange[] {
    const given: OrderedExchange[] = [];
    while (this.#heap.size > 0) given.push(this.#take(false));
    return given;
  }

  waitingFor(): readonly { readonly source: OrderSource; readonly partition: number }[] {
    return this.#marks.least();
  }

  #add(
    source: string,
    clock: string,
    partition: number,
    envelope: Envelope,
    exchange: Exchange,
    startedUs: number,
  ): void {
    const sentUs = startedUs + Number(exchange.sentUs);
    const doneUs = exchange.doneSeq === 0n ? null : startedUs + Number(exchange.doneUs);
    const { afterSeq, doneSeq } = exchange;
    const { sessionId } = envelope;
    const late = doneUs !== null && doneUs < this.#givenUpToUs;
    if (late) this.counts.late += 1;
    const ordered = {
      ...{ source, clock, partition, envelope, exchange, sentUs, doneUs, afterSeq, doneSeq },
      inOrder: !late,
    };
    const sizeBytes = ITEM_BYTES + exchange.request.length + (exchange.answer?.raw.length ?? 0);
    const waiting = this.#sessions.get(sessionId);
    const before = waiting?.last;
    const placeUs = Math.max(doneUs ?? sentUs, before?.placeUs ?? 0);
    const rank = doneUs === null || (before?.rank === 1 && before.placeUs === placeUs) ? 1 : 0;
    this.#arrivals += 1;
    const item: Item = { ordered, placeUs, rank, arrival: this.#arrivals, sizeBytes };
    this.#sessions.set(sessionId, { items: (waiting?.items ?? 0) + 1, last: item });
    this.bufferedBytes += sizeBytes;
    this.#heap.push(item);
  }

  #take(forced: boolean): OrderedExchange {
    const { ordered, placeUs, sizeBytes } = this.#heap.pop() as Item;
    this.bufferedBytes -= sizeBytes;
    const { sessionId } = ordered.envelope;
    const waiting = this.#sessions.get(sessionId) as Waiting;
    waiting.items -= 1;
    if (waiting.items === 0) this.#sessions.delete(sessionId);
    if (ordered.doneUs !== null && placeUs > this.#givenUpToUs) this.#givenUpToUs = placeUs;
    if (!forced) return ordered;
    this.counts.forced += 1;
    return { ...ordered, inOrder: false };
  }

  #offset(clock: string, wallUs: bigint, monoUs: bigint): number {
    let offset = this.#offsets.get(clock);
    if (offset === undefined) {
      offset = Number(wallUs - monoUs);
      this.#offsets.set(clock, offset);
    }
    return offset;
  }
}

/** At one place and rank: as the worker numbered them, or as they came, which is the order of each session. */
function isBefore(a: Item, b: Item): boolean {
  if (a.placeUs !== b.placeUs) return a.placeUs < b.placeUs;
  if (a.rank !== b.rank) return a.rank < b.rank;
  const [x, y] = [a.ordered, b.ordered];
  if (a.rank === 0 && x.source === y.source) return x.doneSeq < y.doneSeq;
  return a.rank === 0 && x.source !== y.source ? x.source < y.source : a.arrival < b.arrival;
}
