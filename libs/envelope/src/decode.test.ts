// Decoding: what is refused, with which error, and that nothing but MirrorstreamError ever comes out.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { MirrorstreamError } from '@mirrorstream/domain';
import {
  decodeEnvelopeBatch,
  decodeResultBatch,
  decodeVerdictBatch,
  encodeResultBatch,
  encodeVerdictBatch,
} from './decode.ts';
import { EnvelopeBatchSchema } from './gen/mirrorstream/v1/envelope_pb.ts';
import { ResultOutcome } from './gen/mirrorstream/v1/result_pb.ts';
import { generatedBatch, sampleRecord, seededRandom } from './sample-drafts.ts';

const origin = { source: 'orders', captureNode: 'node-1', incarnation: 'k3f9', worker: 0, partition: 1 };
const identity = { schemaVersion: 1, source: 'orders', captureNode: 'node-1', incarnation: 'k3f9' };

function undecodable(pattern: RegExp) {
  return (error: unknown): boolean =>
    error instanceof MirrorstreamError && error.code === 'undecodable' && pattern.test(error.message);
}

test('an unknown schema version is refused by its number', () => {
  const bytes = toBinary(EnvelopeBatchSchema, create(EnvelopeBatchSchema, { ...identity, schemaVersion: 9 }));
  assert.throws(() => decodeEnvelopeBatch(bytes), undecodable(/schema version 9/));
});

test('an empty value, a missing identity and an envelope without session are refused by name', () => {
  const encode = (init: object): Uint8Array => toBinary(EnvelopeBatchSchema, create(EnvelopeBatchSchema, init));
  assert.throws(() => decodeEnvelopeBatch(new Uint8Array(0)), undecodable(/schema version 0/));
  assert.throws(() => decodeEnvelopeBatch(encode({ ...identity, source: '' })), undecodable(/no source/));
  const nameless = { record: { case: 'envelope', value: { sessionSeq: 1n } } };
  assert.throws(() => decodeEnvelopeBatch(encode({ ...identity, records: [nameless] })), undecodable(/no session_id/));
  const unnumbered = { record: { case: 'envelope', value: { sessionId: 's' } } };
  assert.throws(() => decodeEnvelopeBatch(encode({ ...identity, records: [unnumbered] })), undecodable(/session_seq/));
});

test('mutated and truncated batches decode or are refused as undecodable, never otherwise', () => {
  let refused = 0;
  for (let seed = 1; seed <= 500; seed++) {
    const random = seededRandom(seed);
    const bytes = generatedBatch(origin, [sampleRecord(random)]).slice();
    const cut = random() < 0.3 ? Math.floor(random() * bytes.length) : bytes.length;
    for (let i = 0; i < 3; i++) bytes[Math.floor(random() * Math.min(bytes.length, 200))] = Math.floor(random() * 256);
    try {
      decodeEnvelopeBatch(bytes.subarray(0, cut));
    } catch (error) {
      assert.ok(undecodable(/./)(error), `seed ${seed}`);
      refused += 1;
    }
  }
  assert.ok(refused > 100);
});

test('result and verdict batches survive a round trip, and need to say which envelope they are about', () => {
  const ref = { offset: 5n, index: 1, sessionId: 's-1', sessionSeq: 3n, part: 0, lastPart: true };
  const of = { environment: 'default', mirror: 'pg17', run: 'live', partition: 4 };
  const results = [{ ref, outcome: ResultOutcome.REPLAYED, transactions: 1 }];
  const decoded = decodeResultBatch(encodeResultBatch({ ...of, replayer: 'r-1', results }));
  assert.equal(decoded.schemaVersion, 1);
  assert.equal(decoded.results[0]?.ref?.sessionSeq, 3n);
  const verdicts = [{ ref, resultOffset: 9n, outcome: ResultOutcome.REPLAYED }];
  assert.equal(decodeVerdictBatch(encodeVerdictBatch({ ...of, verdicts })).verdicts[0]?.resultOffset, 9n);
  assert.throws(() => decodeResultBatch(encodeResultBatch({ ...of, results: [{}] })), undecodable(/result 0/));
  assert.throws(() => decodeVerdictBatch(encodeVerdictBatch({ ...of, verdicts: [{}] })), undecodable(/verdict 0/));
  assert.throws(() => decodeResultBatch(encodeResultBatch({ mirror: 'm' })), undecodable(/no environment/));
});
