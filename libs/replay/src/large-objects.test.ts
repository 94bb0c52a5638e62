import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Answer, AnswerStorage } from '@mirrorstream/envelope';
import { backend, frontend } from './lane.fixture.ts';
import { withProductionsOid } from './large-objects.ts';

const int4 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

const call = (functionOid: number, ...values: readonly Buffer[]): Uint8Array =>
  frontend({ kind: 'functionCall', functionOid, argumentFormats: [1], arguments: values, resultFormat: 1 });

const answered = (raw: Uint8Array): Answer => ({ storage: AnswerStorage.FULL, raw }) as unknown as Answer;
const oid = 4_000_000_123;
const made = answered(
  backend({ kind: 'functionCallResponse', value: int4(oid) }, { kind: 'readyForQuery', status: 'T' }),
);

describe('large objects made by FunctionCall', () => {
  it('are asked for by the OID that production’s server chose', () => {
    const asked = new Uint8Array(call(715, int4(oid)));
    assert.deepEqual(withProductionsOid(call(957, int4(0x60000)), made), asked);
    assert.deepEqual(withProductionsOid(call(715, int4(0)), made), asked);
  });

  it('leave every other request as it was, and the captured one untouched', () => {
    const creat = call(957, int4(0x60000));
    const before = Buffer.from(creat);
    withProductionsOid(creat, made);
    assert.deepEqual(Buffer.from(creat), before);
    const failed = answered(backend({ kind: 'errorResponse', fields: { S: 'ERROR', C: '42501', M: 'no' } }));
    for (const answer of [undefined, failed, answered(new Uint8Array(0))])
      assert.equal(withProductionsOid(creat, answer), creat);
    for (const request of [call(952, int4(oid)), call(715, int4(7)), call(957), frontend({ kind: 'sync' })])
      assert.equal(withProductionsOid(request, made), request);
  });
});
