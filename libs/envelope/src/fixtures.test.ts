// Compatibility: every schema version ever published is read by the current code, field for field.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { toJson } from '@bufbuild/protobuf';
import { schemaVersion } from './batch-encoder.ts';
import { decodeEnvelopeBatch, decodeResultBatch, decodeVerdictBatch } from './decode.ts';
import { EnvelopeBatchSchema } from './gen/mirrorstream/v1/envelope_pb.ts';
import { ResultBatchSchema } from './gen/mirrorstream/v1/result_pb.ts';
import { VerdictBatchSchema } from './gen/mirrorstream/v1/verdict_pb.ts';

const folder = new URL('../fixtures/', import.meta.url);
const versions = readdirSync(folder).filter((name) => /^v\d+$/.test(name));

const readers: Record<string, (bytes: Uint8Array) => unknown> = {
  envelopes: (bytes) => toJson(EnvelopeBatchSchema, decodeEnvelopeBatch(bytes)),
  results: (bytes) => toJson(ResultBatchSchema, decodeResultBatch(bytes)),
  verdicts: (bytes) => toJson(VerdictBatchSchema, decodeVerdictBatch(bytes)),
};

test('there are fixtures of every published schema version', () => {
  assert.deepEqual(
    versions.sort(),
    Array.from({ length: schemaVersion }, (_, i) => `v${i + 1}`),
  );
});

for (const version of versions) {
  for (const [name, read] of Object.entries(readers)) {
    test(`the ${name} of schema ${version} decode to exactly what they said when they were written`, () => {
      const bytes = readFileSync(new URL(`${version}/${name}.bin`, folder));
      const expected = JSON.parse(readFileSync(new URL(`${version}/${name}.json`, folder), 'utf8'));
      assert.deepEqual(read(bytes), expected);
    });
  }
}
