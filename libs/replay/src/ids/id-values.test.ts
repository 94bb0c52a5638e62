import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { idOfBytes, idOfText, replaceText, replaceValue } from './id-values.ts';

const text = (value: string): Uint8Array => Buffer.from(value);
const said = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString());

function binary(value: bigint, sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return Buffer.from(bytes.subarray(8 - sizeBytes));
}

function binaryArray(elementOid: number, elements: readonly (Buffer | null)[]): Buffer {
  const head = Buffer.alloc(20);
  [1, 0, elementOid, elements.length, 1].forEach((value, i) => {
    head.writeInt32BE(value, i * 4);
  });
  const parts = elements.flatMap((element) => {
    const length = Buffer.alloc(4);
    length.writeInt32BE(element?.length ?? -1);
    return element === null ? [length] : [length, element];
  });
  return Buffer.concat([head, ...parts]);
}

const plusOne = (id: string): string | null => (/^-?\d+$/.test(id) ? String(BigInt(id) + 1n) : null);
const uuid = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11';
const other = '11111111-2222-4333-8444-555555555555';

describe('ids on the wire', () => {
  test('one spelling for one id; what is spelt otherwise is none', () => {
    assert.equal(idOfText('42'), '42');
    assert.equal(idOfText(uuid.toUpperCase().replaceAll('-', '')), uuid);
    for (const none of ['', '007', '+5', '-0', ' 5', '1e3', '1.0', '99999999999999999999', 'abc', '{1}', `${uuid}0`])
      assert.equal(idOfText(none), null, none);
  });

  test('binary integers of each width and uuids, there and back', () => {
    fc.assert(
      fc.property(fc.constantFrom(2, 4, 8), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 2n }), (size, any) => {
        const value = BigInt.asIntN(size * 8, any);
        const bytes = binary(value, size);
        assert.equal(idOfBytes(bytes, 1), String(value));
        const replaced = replaceValue(bytes, 1, false, plusOne);
        const fits = BigInt.asIntN(size * 8, value + 1n) === value + 1n;
        assert.deepEqual(replaced, fits ? binary(value + 1n, size) : null);
      }),
    );
    const bytes = Buffer.from(uuid.replaceAll('-', ''), 'hex');
    assert.equal(idOfBytes(bytes, 1), uuid);
    assert.equal(idOfBytes(replaceValue(bytes, 1, false, () => other) ?? bytes, 1), other);
    assert.equal(idOfBytes(new Uint8Array(3), 1), null);
  });

  test('arrays in text and in binary: only elements that have another id change', () => {
    const onlyFive = (id: string): string | null => (id === '5' ? '66' : null);
    assert.equal(said(replaceValue(text('{4,5, "5" ,NULL}'), 0, true, onlyFive)), '{4,66, "66" ,NULL}');
    assert.equal(replaceText('{1,2}', true, onlyFive), null);
    assert.equal(replaceText('{}', true, onlyFive), null);
    assert.equal(replaceText('{{5},{5}}', true, onlyFive), null);
    const [four, five] = [binary(4n, 4), binary(5n, 4)];
    assert.deepEqual(
      replaceValue(binaryArray(23, [four, null, five]), 1, true, onlyFive),
      binaryArray(23, [four, null, binary(66n, 4)]),
    );
    assert.equal(replaceValue(binaryArray(701, [binary(5n, 8)]), 1, true, onlyFive), null);
  });

  test('no bytes whatever make it throw, and none change where nothing is replaced', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.constantFrom(0, 1), fc.boolean(), (bytes, format, list) => {
        const before = Buffer.from(bytes);
        assert.equal(
          replaceValue(bytes, format, list, () => null),
          null,
        );
        replaceValue(bytes, format, list, plusOne);
        assert.ok(before.equals(bytes));
      }),
      { numRuns: 2000 },
    );
  });
});
