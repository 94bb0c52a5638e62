import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seededRandom } from '@mirrorstream/testkit';
import { fieldLines, hexLines } from './structure.ts';

describe('what is told of bytes that nobody can decode', () => {
  it('is their fields, by number and length, as far as they are that', () => {
    const bytes = Buffer.from([0x08, 0x96, 0x01, 0x12, 0x02, 0x61, 0x62, 0x1d, 1, 2, 3, 4, 0x12, 0x50, 0x61]);
    assert.deepEqual(fieldLines(bytes), [
      'byte 0: field 1, number',
      'byte 3: field 2, 2 bytes',
      'byte 7: field 3, 4 bytes',
      'from byte 12 on it is no field of a message; 3 bytes are left',
    ]);
    assert.deepEqual(fieldLines(Buffer.alloc(0)), ['it is empty']);
  });

  it('comes to an end for any bytes, within bounds', () => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = seededRandom(seed);
      const bytes = Uint8Array.from({ length: random.integer(0, 400) }, () => random.integer(0, 255));
      assert.ok(fieldLines(bytes).length <= 41);
    }
  });

  it('is a dump of the first bytes', () => {
    assert.deepEqual(hexLines(Buffer.from('SELECT 1\0 and so on'), 18), [
      '00000000  53 45 4c 45 43 54 20 31 00 20 61 6e 64 20 73 6f  SELECT 1. and so',
      '00000010  20 6f                                             o',
      '… and 1 bytes more',
    ]);
    assert.deepEqual(hexLines(Buffer.from('x'), 0), []);
  });
});
