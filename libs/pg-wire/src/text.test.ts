// Wire text: valid UTF-8 as such, anything else without loss.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeText, textBytesAtMost, writeText } from './text.ts';

function encode(text: string): Buffer {
  const buffer = Buffer.alloc(textBytesAtMost(text));
  return buffer.subarray(0, writeText(text, buffer, 0));
}

const decode = (bytes: Uint8Array) => decodeText(bytes, 0, bytes.length);

describe('wire text', () => {
  it('valid UTF-8 decodes as such, a real U+FFFD and a byte order mark included', () => {
    for (const text of [
      '',
      'plain',
      'größer',
      '日本語',
      '🐘',
      '\uFFFD',
      '\uFEFFx',
      '\u0001\u007f\u0080\u07ff\u0800\uffff',
    ]) {
      assert.equal(decode(Buffer.from(text)), text);
      assert.deepEqual(encode(text), Buffer.from(text));
    }
  });
  it('every pair of bytes comes back, and no two pairs read alike', () => {
    const seen = new Set<string>();
    for (let i = 0; i < 65_536; i++) {
      const bytes = Buffer.from([i >> 8, i & 0xff]);
      const text = decode(bytes);
      seen.add(text);
      assert.ok(encode(text).equals(bytes), `bytes ${bytes.toString('hex')}`);
    }
    assert.equal(seen.size, 65_536);
  });
  it('broken, overlong, surrogate and too high sequences come back', () => {
    for (const hex of [
      'c0af',
      'e08080',
      'eda080',
      'edbfbf',
      'f0808080',
      'f4908080',
      'f5',
      'e697',
      'f09f90',
      '61e6979ff09f',
      'efbfbdff',
    ]) {
      const text = decode(Buffer.from(hex, 'hex'));
      assert.equal(text.isWellFormed(), false, hex);
      assert.equal(encode(text).toString('hex'), hex);
    }
  });
  it('a plain Uint8Array, with an offset into its memory, reads like a Buffer', () => {
    const memory = new Uint8Array([120, 195, 164, 121]);
    assert.equal(decodeText(memory.subarray(1), 0, 2), 'ä');
    assert.equal(decodeText(new Uint8Array(new SharedArrayBuffer(2)), 0, 2), '\0\0');
  });
});
