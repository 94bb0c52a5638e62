// Prints µs of CPU per envelope of 5 exchanges, about 3.3 KB: hand encoder, generated encoder, decoding.
import { create, toBinary } from '@bufbuild/protobuf';
import {
  BatchEncoder,
  decodeEnvelopeBatch,
  EnvelopeBatchSchema,
  type EnvelopeDraft,
  type ExchangeDraft,
  type ObservationDraft,
} from '../src/index.ts';
import { generatedBatch, recordInit } from '../src/sample-drafts.ts';

const origin = { source: 'orders', captureNode: 'node-1', incarnation: 'k3f9', worker: 0, partition: 3 };
const ENVELOPES = 20;

const observation = (i: number): ObservationDraft => ({
  end: 1,
  commandTag: i % 2 === 0 ? 'SELECT 1' : 'UPDATE 1',
  rows: 1,
  sqlState: '',
  severity: '',
  sizeBytes: 40,
  digested: false,
  orderedHi: 0,
  orderedLo: 0,
  multisetHi: 0,
  multisetLo: 0,
  columnsHi: 0,
  columnsLo: 0,
  columnCount: 1,
  latencyUs: 300 + i,
  firstRowUs: 0,
  errorHi: 0,
  errorLo: 0,
});

const exchange = (index: number): ExchangeDraft => ({
  index,
  continues: false,
  request: new Uint8Array(220).fill(65),
  segments: [],
  sentUs: index * 1000,
  firstReplyUs: index * 1000 + 300,
  doneUs: index * 1000 + 310,
  afterSeq: 1_000_000 + index,
  doneSeq: 1_000_001 + index,
  answer: {
    storage: 3,
    observations: [observation(index)],
    raw: new Uint8Array(350).fill(66),
    sizeBytes: 350,
    status: 'T',
  },
  cancelledAfterUs: 0,
});

const context = {
  database: 'app',
  user: 'service',
  protocolVersion: 196_608,
  startupParameters: [
    { name: 'application_name', value: 'checkout' },
    { name: 'client_encoding', value: 'UTF8' },
  ],
  settings: [{ name: 'search_path', sql: 'SET search_path TO app, public' }],
  statements: [],
};

const draft: EnvelopeDraft = {
  kind: 'envelope',
  sessionId: 'node-1-k3f9-0-1234',
  sessionSeq: 4711,
  part: 0,
  lastPart: true,
  startedAtUs: 1_763_700_000_123_456,
  startedMonoUs: 86_400_000_000,
  samplingDraw: 0.3141592,
  context,
  exchanges: Array.from({ length: 5 }, (_, i) => exchange(i)),
  outcome: 1,
  writes: true,
  dependsOnSession: [],
  redactions: 0,
};

function microsecondsPer(count: number, run: () => void): number {
  const rounds = 2000;
  for (let i = 0; i < rounds; i++) run();
  const before = process.cpuUsage();
  for (let i = 0; i < rounds; i++) run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / (rounds * count);
}

const encoder = new BatchEncoder(origin);
const hand = (): void => {
  encoder.reset();
  for (let i = 0; i < ENVELOPES; i++) encoder.add(draft);
  encoder.take();
};
const drafts = Array.from({ length: ENVELOPES }, () => draft);
const message = create(EnvelopeBatchSchema, { schemaVersion: 1, ...origin, records: drafts.map(recordInit) });
const bytes = generatedBatch(origin, drafts);

hand();
console.log(
  `envelope of 5 exchanges, ${Math.round(bytes.length / ENVELOPES)} bytes, ${ENVELOPES} a batch, node ${process.version}`,
);
console.log(`hand encoder       ${microsecondsPer(ENVELOPES, hand).toFixed(2)} µs`);
console.log(
  `generated encoder  ${microsecondsPer(ENVELOPES, () => toBinary(EnvelopeBatchSchema, message)).toFixed(2)} µs`,
);
console.log(`decode             ${microsecondsPer(ENVELOPES, () => decodeEnvelopeBatch(bytes)).toFixed(2)} µs`);
