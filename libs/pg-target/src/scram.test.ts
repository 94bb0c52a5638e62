// SCRAM-SHA-256 against a server that is computed here from RFC 5802's definitions, and against servers that cheat.
import assert from 'node:assert/strict';
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { describe, it } from 'node:test';
import { beginScram } from './scram.ts';

const nonce = 'abcdefghijkl';
const salt = Buffer.from('0123456789abcdef');
const serverFirst = `r=${nonce}XYZ,s=${salt.toString('base64')},i=4096`;

const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();

/** The server's side: checks the proof, answers with its signature. */
function serverFinal(password: string, clientFinal: string): string | null {
  const salted = pbkdf2Sync(password, salt, 4096, 32, 'sha256');
  const storedKey = createHash('sha256').update(hmac(salted, 'Client Key')).digest();
  const [withoutProof = '', proof = ''] = clientFinal.split(',p=');
  const message = `n=,r=${nonce},${serverFirst},${withoutProof}`;
  const signature = hmac(storedKey, message);
  const clientKey = Buffer.from(Buffer.from(proof, 'base64').map((byte, i) => byte ^ (signature[i] ?? 0)));
  if (!createHash('sha256').update(clientKey).digest().equals(storedKey)) return null;
  return `v=${hmac(hmac(salted, 'Server Key'), message).toString('base64')}`;
}

describe('SCRAM-SHA-256', () => {
  it('proves the password to the server and checks that the server knows it', () => {
    const exchange = beginScram('secret', nonce);
    assert.equal(Buffer.from(exchange.clientFirst).toString(), `n,,n=,r=${nonce}`);
    const clientFinal = exchange.continue(Buffer.from(serverFirst));
    assert.ok(typeof clientFinal !== 'string');
    const text = Buffer.from(clientFinal).toString();
    assert.ok(text.startsWith(`c=biws,r=${nonce}XYZ,p=`));
    assert.equal(serverFinal('other', text), null);
    assert.equal(exchange.finish(Buffer.from(serverFinal('secret', text) ?? '')), 'ok');
  });

  it('refuses a server that changes the nonce, wants absurd work, or does not know the password', () => {
    const answer = (first: string) => beginScram('secret', nonce).continue(Buffer.from(first));
    assert.equal(answer(serverFirst.replace(nonce, 'other')), 'nonceChanged');
    assert.equal(answer(`r=${nonce},s=AAAA,i=4096`), 'nonceChanged');
    assert.equal(answer(serverFirst.replace('4096', '99999999')), 'tooManyIterations');
    assert.equal(answer('r=x'), 'malformed');
    const exchange = beginScram('secret', nonce);
    assert.equal(exchange.finish(Buffer.from('v=AAAA')), 'malformed');
    exchange.continue(Buffer.from(serverFirst));
    assert.equal(exchange.finish(Buffer.from('v=AAAA')), 'wrongServerSignature');
    assert.equal(exchange.finish(Buffer.from('e=other-error')), 'malformed');
  });
});
