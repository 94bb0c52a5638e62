// The account of a mirror, kept from the log as it grows: what was captured, what became of each transaction, what came twice.
import assert from 'node:assert/strict';
import { envelopesTopic, resultsTopic } from '@mirrorstream/domain';
import { decodeEnvelopeBatch, decodeResultBatch, ResultOutcome } from '@mirrorstream/envelope';
import type { IncomingRecord } from '@mirrorstream/kafka';
import { waitFor } from '@mirrorstream/testkit';
import type { Mirror, ReplayerScene } from './replayer-scene.ts';

const outcomeNames = new Map<number, string>(
  Object.entries(ResultOutcome).map(([name, value]) => [value, name.toLowerCase()]),
);

export class ReplayAccount {
  readonly #scene: ReplayerScene;
  readonly #topics: { readonly envelopes: string; readonly results: string };
  readonly #read = new Map<string, bigint>();
  readonly #captured = new Set<string>();
  readonly #outcomes = new Map<string, string>();
  #repeated = 0;

  constructor(scene: ReplayerScene, mirror: Mirror) {
    this.#scene = scene;
    this.#topics = { envelopes: envelopesTopic(scene.source), results: resultsTopic('default', mirror.name) };
  }

  get captured(): number {
    return this.#captured.size;
  }

  get resolved(): number {
    return this.#outcomes.size;
  }

  /** Results beyond the first of a transaction. */
  get repeated(): number {
    return this.#repeated;
  }

  /** How often each outcome came, `failed/reason` for failures; each transaction once. */
  tally(): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const outcome of this.#outcomes.values()) counts[outcome] = (counts[outcome] ?? 0) + 1;
    return counts;
  }

  /** Reads what has come since the last time. Nothing may be resolved that was not captured. */
  async refresh(): Promise<void> {
    // First the results: their envelopes lie in the log before them.
    const results: [string, string][] = [];
    await this.#readOn(this.#topics.results, ({ value }) => {
      for (const { ref, outcome, reason } of value === null ? [] : decodeResultBatch(value).results) {
        if (!ref?.lastPart || ref.sessionId === '') continue;
        const name = outcomeNames.get(outcome) ?? '';
        results.push([`${ref.sessionId}/${ref.sessionSeq}`, reason === '' ? name : `${name}/${reason}`]);
      }
    });
    await this.#readOn(this.#topics.envelopes, ({ value }) => {
      for (const { record } of value === null ? [] : decodeEnvelopeBatch(value).records)
        if (record.case === 'envelope' && record.value.lastPart)
          this.#captured.add(`${record.value.sessionId}/${record.value.sessionSeq}`);
    });
    for (const [key, outcome] of results) {
      assert.ok(this.#captured.has(key), `${key} has a result and was never captured`);
      if (this.#outcomes.has(key)) this.#repeated += 1;
      else this.#outcomes.set(key, outcome);
    }
  }

  /** Waits until all of so many captured transactions have an outcome. */
  async settled(transactions: number, deadlineMs = 90_000): Promise<void> {
    const done = async (): Promise<boolean> => {
      await this.refresh();
      assert.ok(this.captured <= transactions, `${this.captured} captured, ${transactions} went in`);
      return this.captured === transactions && this.resolved === transactions;
    };
    await waitFor(done, { what: `an outcome of each of ${transactions} transactions`, deadlineMs, everyMs: 100 }).catch(
      (error: Error) => {
        const state = `captured ${this.captured}, resolved ${this.resolved}: ${JSON.stringify(this.tally())}`;
        throw new Error(`${error.message} (${state})`, { cause: error });
      },
    );
  }

  /** Waits until so many transactions have an outcome. */
  async reached(resolved: number): Promise<void> {
    const done = async (): Promise<boolean> => {
      await this.refresh();
      return this.resolved >= resolved;
    };
    await waitFor(done, { what: `${resolved} outcomes`, deadlineMs: 90_000, everyMs: 30 });
  }

  async #readOn(topic: string, onRecord: (record: IncomingRecord) => void): Promise<void> {
    const { admin, client } = this.#scene;
    if ((await admin.partitionCounts([topic])).size === 0) return;
    const ranges = (await admin.offsets(topic)).flatMap(({ partition, low, high }) => {
      const from = this.#read.get(`${topic}/${partition}`) ?? low;
      return from < high ? [{ partition, from, to: high }] : [];
    });
    if (ranges.length === 0) return;
    await client.readRange(topic, ranges, ({ records }) => records.forEach(onRecord));
    for (const { partition, to } of ranges) this.#read.set(`${topic}/${partition}`, to);
  }
}
