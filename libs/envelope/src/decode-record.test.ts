// The hand decoder against the generated one: equal messages for everything that can be written.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, type DescMessage, fromBinary, type Message, ScalarType, toBinary } from '@bufbuild/protobuf';
import { type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect';
import { decodeEnvelopeBatch } from './decode.ts';
import { readEnvelopeBatch } from './decode-record.ts';
import { readResultBatch } from './decode-result.ts';
import { EnvelopeBatchSchema } from './gen/mirrorstream/v1/envelope_pb.ts';
import { ResultBatchSchema } from './gen/mirrorstream/v1/result_pb.ts';
import { generatedBatch, sampleRecord, seededRandom } from './sample-drafts.ts';

const origin = { source: 'orders', captureNode: 'node-1', incarnation: 'k3f9', worker: 2, partition: 17 };

test('the hand decoder reads what the generated code reads, for 800 seeded batches', () => {
  for (let seed = 1; seed <= 800; seed++) {
    const random = seededRandom(seed);
    const bytes = generatedBatch(
      origin,
      Array.from({ length: 1 + Math.floor(random() * 4) }, () => sampleRecord(random)),
    );
    assert.deepEqual(plain(readEnvelopeBatch(bytes)), plain(fromBinary(EnvelopeBatchSchema, bytes)), `seed ${seed}`);
  }
});

test('no field of the schema is forgotten: a message with all of them set is read whole', () => {
  const kinds = EnvelopeBatchSchema.field.records.message?.fields.length ?? 0;
  assert.equal(kinds, 5);
  for (let kind = 0; kind < kinds; kind++) {
    const bytes = toBinary(EnvelopeBatchSchema, filled(EnvelopeBatchSchema, kind) as never);
    assert.deepEqual(plain(readEnvelopeBatch(bytes)), plain(fromBinary(EnvelopeBatchSchema, bytes)));
  }
});

test('no field of a result batch is forgotten, and one of them decoded again says the same', () => {
  const bytes = toBinary(ResultBatchSchema, filled(ResultBatchSchema, 0) as never);
  const read = readResultBatch(bytes);
  assert.deepEqual(plain(read), plain(fromBinary(ResultBatchSchema, bytes)));
  assert.ok(Buffer.from(toBinary(ResultBatchSchema, read)).equals(bytes));
});

test('numbers up to the last of 64 bits are exact', () => {
  for (const sessionSeq of [1n, 2n ** 42n - 1n, 2n ** 49n, 2n ** 53n - 1n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n]) {
    const bytes = toBinary(
      EnvelopeBatchSchema,
      create(EnvelopeBatchSchema, { records: [{ record: { case: 'envelope', value: { sessionSeq } } }] }),
    );
    const record = readEnvelopeBatch(bytes).records[0]?.record;
    assert.ok(record?.case === 'envelope');
    assert.equal(record.value.sessionSeq, sessionSeq);
  }
});

test('a field of a later version, of any wire type, is passed over', () => {
  const bytes = generatedBatch(origin, [sampleRecord(seededRandom(1))]);
  const strange = [
    0xf8, 0x07, 0x96, 0x01, 0xfa, 0x07, 2, 1, 2, 0xfd, 0x07, 1, 2, 3, 4, 0xf9, 0x07, 1, 2, 3, 4, 5, 6, 7, 8,
  ];
  const extended = Uint8Array.from([...strange, ...bytes, ...strange]);
  assert.deepEqual(plain(decodeEnvelopeBatch(extended)), plain(decodeEnvelopeBatch(bytes)));
});

test('equal contexts are one object, and it does not keep the bytes it came in', () => {
  const statements = [{ name: 'a', parseFrame: Uint8Array.of(1, 2, 3) }];
  const value = { context: { database: 'shop', user: 'app', statements } };
  const init = create(EnvelopeBatchSchema, { records: [{ record: { case: 'envelope', value } }] });
  const read = (bytes: Uint8Array) => {
    const record = readEnvelopeBatch(bytes).records[0]?.record;
    assert.ok(record?.case === 'envelope' && record.value.context !== undefined);
    return record.value.context;
  };
  const bytes = toBinary(EnvelopeBatchSchema, init);
  const context = read(bytes);
  assert.equal(read(bytes.slice()), context);
  assert.notEqual(context.statements[0]?.parseFrame.buffer, bytes.buffer);
  bytes.fill(0xff);
  assert.deepEqual(plain(context.statements[0]?.parseFrame), [1, 2, 3]);
});

/** Bytes as plain arrays: a view of a Buffer and a Uint8Array are the same. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Array.from(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]));
}

/** Every field set to something that is not its default; of a oneof the field in place `kind`. */
function filled(schema: DescMessage, kind: number): Message {
  const message = reflect(schema);
  for (const field of schema.fields) {
    if (field.oneof !== undefined && field.oneof.fields.indexOf(field) !== kind) continue;
    if (field.fieldKind === 'list') {
      const list = message.get(field);
      for (let i = 1; i <= 2; i++) list.add(field.listKind === 'message' ? whole(field.message, kind) : i);
    } else if (field.fieldKind === 'message') message.set(field, whole(field.message, kind));
    else if (field.fieldKind === 'enum') message.set(field, 1);
    else if (field.fieldKind === 'scalar') message.set(field, scalarOf(field.scalar, field.number));
    else assert.fail(`${field.fieldKind} is not decoded by hand yet`);
  }
  return message.message;
}

const whole = (schema: DescMessage, kind: number): ReflectMessage => reflect(schema, filled(schema, kind));

function scalarOf(type: ScalarType, number: number): string | number | bigint | boolean | Uint8Array {
  switch (type) {
    case ScalarType.STRING:
      return `text ${number}`;
    case ScalarType.BYTES:
      return Uint8Array.of(number, 0, 255);
    case ScalarType.BOOL:
      return true;
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return 2n ** 40n + BigInt(number);
    default:
      return number + 1;
  }
}
