// The one rewrite: wherever the packets split, -PLUS and nothing else is taken out of the server's offer.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type BackendMessage, encodeBackend, WireWriter } from '@mirrorstream/pg-wire';
import { SaslOffer } from './channel-binding.ts';

function wire(...messages: BackendMessage[]): Buffer {
  const writer = new WireWriter();
  for (const message of messages) encodeBackend(message, writer);
  return Buffer.from(writer.take());
}

const sasl = (...mechanisms: string[]): BackendMessage => ({ kind: 'authenticationSASL', mechanisms });
const negotiate: BackendMessage = {
  kind: 'negotiateProtocolVersion',
  newestMinorVersion: 0,
  unrecognizedOptions: ['_pq_.R_is_not_a_message'],
};
const after = Buffer.from('whatever comes then: R\0\0\0\x0a\0\0\0\x0aSCRAM-SHA-256-PLUS\0\0');

function pass(offer: SaslOffer, chunks: readonly Buffer[]): Buffer {
  const out: Uint8Array[] = [];
  for (const chunk of chunks) {
    const borrowed = Buffer.from(chunk);
    out.push(Uint8Array.from(offer.done ? borrowed : offer.feed(borrowed)));
    borrowed.fill(0xff); // the read buffer is used again
  }
  return Buffer.concat(out);
}

describe('the offer of channel binding', () => {
  it('is taken out at every split position, with all else as it came', () => {
    const given = Buffer.concat([wire(negotiate, sasl('SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256')), after]);
    const wanted = Buffer.concat([wire(negotiate, sasl('SCRAM-SHA-256')), after]);
    for (let at = 0; at <= given.length; at++) {
      const offer = new SaslOffer(true);
      assert.deepEqual(pass(offer, [given.subarray(0, at), given.subarray(at)]), wanted, `split at ${at}`);
      assert.equal(offer.plus, true);
    }
    assert.deepEqual(
      pass(
        new SaslOffer(true),
        [...given].map((byte) => Buffer.of(byte)),
      ),
      wanted,
    );
  });

  it('passes untouched when it is only to be seen', () => {
    const given = Buffer.concat([wire(sasl('SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256')), after]);
    const offer = new SaslOffer(false);
    assert.deepEqual(pass(offer, [given.subarray(0, 7), given.subarray(7)]), given);
    assert.deepEqual([offer.done, offer.plus], [true, true]);
  });

  const others: [string, BackendMessage[]][] = [
    ['SCRAM without -PLUS', [sasl('SCRAM-SHA-256')]],
    ['nothing but -PLUS, which nobody could answer otherwise', [sasl('SCRAM-SHA-256-PLUS')]],
    ['an MD5 challenge', [{ kind: 'authenticationMD5Password', salt: Buffer.from('salt') }]],
    ['trust', [{ kind: 'authenticationOk' }]],
    ['an error', [{ kind: 'errorResponse', fields: { M: 'no' } }]],
  ];
  for (const [what, messages] of others) {
    it(`passes ${what} as it came, and is over then`, () => {
      const given = Buffer.concat([wire(...messages), after]);
      const offer = new SaslOffer(true);
      assert.deepEqual(pass(offer, [given]), given);
      assert.equal(offer.done, true);
      const bytewise = new SaslOffer(true);
      assert.deepEqual(
        pass(
          bytewise,
          [...given].map((byte) => Buffer.of(byte)),
        ),
        given,
      );
    });
  }

  it('is given up for what is no message: nothing is kept back', () => {
    for (const given of [Buffer.from('SSH-2.0-OpenSSH_9.2\r\n'), Buffer.alloc(64, 0xff), Buffer.alloc(64)]) {
      const offer = new SaslOffer(true);
      assert.deepEqual(pass(offer, [given]), given);
      assert.equal(offer.done, true);
    }
  });

  it('hands over what it kept back when the server ends in the middle of a message', () => {
    const given = wire(sasl('SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256')).subarray(0, 20);
    const offer = new SaslOffer(true);
    assert.deepEqual(Buffer.concat([offer.feed(given), offer.rest()]), given);
  });
});
