// The hand encoder of results against the generated one: equal bytes for everything it can be given.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeResultBatch } from './decode.ts';
import type { ObservationDraft, ResultDraft, StatementResultDraft } from './drafts.ts';
import { encodeResults } from './encode-result.ts';
import { ObservationSchema } from './gen/mirrorstream/v1/observation_pb.ts';
import { EnvelopeRefSchema, ResultSchema, StatementResultSchema } from './gen/mirrorstream/v1/result_pb.ts';
import { sampleObservation, seededRandom } from './sample-drafts.ts';

const origin = { environment: 'default', mirror: 'candidate', run: 'live', replayer: 'host-1', partition: 17 };
const bigNumbers = [0n, 1n, 127n, 128n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n];
const texts = ['', 'SELECT 1', 'bücher', '日本語', 'x'.repeat(48), 'y'.repeat(300), 'ü'.repeat(2000)];

type Random = () => number;
const one = <T>(random: Random, values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;
const below = (random: Random, limit: number): number => Math.floor(random() * limit);

const positions = (random: Random): number[] => one(random, [[], [0], [3, 127, 128], [0, 1663, 16_383]]);

const statement = (random: Random): StatementResultDraft => ({
  exchange: below(random, 300),
  statement: below(random, 3),
  sql: one(random, texts),
  equal: random() < 0.5,
  captured: sampleObservation(random),
  replayed: sampleObservation(random),
  capturedRaw: new Uint8Array(one(random, [0, 0, 5, 200, 70_000])).fill(7),
  replayedRaw: new Uint8Array(one(random, [0, 0, 33])).fill(9),
  rawTruncated: random() < 0.5,
  notCompared: one(random, ['', 'volatile']),
  race: random() < 0.5,
  rawAlone: random() < 0.5,
  capturedRowsBefore: below(random, 100_000),
  replayedRowsBefore: below(random, 3),
  ids: random() < 0.5 ? null : { rewritten: below(random, 300), mark: one(random, texts), columns: positions(random) },
});

const result = (random: Random): ResultDraft => ({
  ref: {
    offset: one(random, bigNumbers),
    index: below(random, 1000),
    sessionId: one(random, texts),
    sessionSeq: one(random, bigNumbers),
    part: below(random, 3),
    lastPart: random() < 0.5,
  },
  outcome: below(random, 6) as ResultDraft['outcome'],
  reason: one(random, texts),
  capturedAtUs: one(random, bigNumbers),
  scheduledAtUs: one(random, bigNumbers),
  sentAtUs: one(random, bigNumbers),
  doneAtUs: 1_763_700_000_123_456n,
  statements: Array.from({ length: below(random, 4) }, () => statement(random)),
  capturedOutcome: below(random, 5) as ResultDraft['capturedOutcome'],
  replayedOutcome: below(random, 5) as ResultDraft['replayedOutcome'],
  transactions: below(random, 3),
  sessionEnd: random() < 0.2,
  order: one(random, texts),
});

function generated(results: readonly ResultDraft[]): Uint8Array {
  return encodeResultBatch({
    ...origin,
    results: results.map((draft) => ({
      ...draft,
      statements: draft.statements.map(({ ids, ...each }) => ({
        ...each,
        ...(ids === null ? {} : { ids: { ...ids, columns: [...ids.columns] } }),
        capturedRowsBefore: BigInt(each.capturedRowsBefore),
        replayedRowsBefore: BigInt(each.replayedRowsBefore),
        captured: stored(each.captured),
        replayed: stored(each.replayed),
      })),
    })),
  });
}

function stored(draft: ObservationDraft) {
  const { orderedHi, orderedLo, multisetHi, multisetLo, columnsHi, columnsLo, errorHi, errorLo, ...fields } = draft;
  const joined = (hi: number, lo: number): bigint => (BigInt(hi) << 32n) | BigInt(lo);
  return {
    ...fields,
    rows: BigInt(draft.rows),
    sizeBytes: BigInt(draft.sizeBytes),
    latencyUs: BigInt(draft.latencyUs),
    firstRowUs: BigInt(draft.firstRowUs),
    orderedDigest: joined(orderedHi, orderedLo),
    multisetDigest: joined(multisetHi, multisetLo),
    columnsDigest: joined(columnsHi, columnsLo),
    errorDigest: joined(errorHi, errorLo),
  };
}

test('results are written byte for byte as the generated code writes them, for 500 seeded batches', () => {
  for (let seed = 1; seed <= 500; seed++) {
    const random = seededRandom(seed);
    const results = Array.from({ length: 1 + below(random, 4) }, () => result(random));
    assert.ok(Buffer.from(encodeResults({ ...origin, results })).equals(generated(results)), `seed ${seed} differs`);
  }
});

test('every field of the schema can be given', () => {
  const names = ({ fields }: { readonly fields: readonly { readonly localName: string }[] }): Set<string> =>
    new Set(fields.map(({ localName }) => localName));
  const random = seededRandom(1);
  const draft = result(random);
  assert.deepEqual(new Set(Object.keys(draft)), names(ResultSchema));
  assert.deepEqual(new Set(Object.keys(draft.ref)), names(EnvelopeRefSchema));
  const given = statement(random);
  assert.deepEqual(new Set(Object.keys(given)), names(StatementResultSchema));
  assert.deepEqual(new Set(Object.keys(stored(given.captured))), names(ObservationSchema));
});

test('a batch that was written stays as it is when the next is written', () => {
  const random = seededRandom(3);
  const [first, second] = [[result(random)], [result(random), result(random)]];
  const value = encodeResults({ ...origin, results: first });
  encodeResults({ ...origin, results: second });
  assert.ok(Buffer.from(value).equals(generated(first)));
});
