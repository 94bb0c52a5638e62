// The client's side of SCRAM-SHA-256 (RFC 5802, RFC 7677) as PostgreSQL speaks it. Without channel binding.
//
//   client-first   n,,n=,r=<nonce>                     the user name is the start-up packet's; the server ignores `n`
//   server-first   r=<nonce><more>,s=<salt>,i=<iterations>
//   client-final   c=biws,r=<nonce>,p=<proof>
//   server-final   v=<signature>
import { createHash, createHmac, pbkdf2Sync, timingSafeEqual } from 'node:crypto';

const GS2_HEADER = 'n,,';
const KEY_BYTES = 32;
/** PostgreSQL's default is 4 096. A server that asks for more than this wants our CPU. */
const MAX_ITERATIONS = 1_000_000;

/** What went wrong in the server's messages; holds nothing of them. */
export type ScramFailure = 'malformed' | 'nonceChanged' | 'tooManyIterations' | 'wrongServerSignature';

export interface ScramExchange {
  readonly clientFirst: Uint8Array;
  /** Answers SASLContinue. */
  continue(serverFirst: Uint8Array): Uint8Array | ScramFailure;
  /** Checks SASLFinal: the server knew the password too. */
  finish(serverFinal: Uint8Array): 'ok' | ScramFailure;
}

/** `nonce`: printable characters without a comma, fresh for each connection. */
export function beginScram(password: string, nonce: string): ScramExchange {
  const clientFirstBare = `n=,r=${nonce}`;
  let expectedSignature: Buffer | null = null;
  return {
    clientFirst: Buffer.from(GS2_HEADER + clientFirstBare),
    continue(serverFirst) {
      const text = Buffer.from(serverFirst).toString('latin1');
      const match = /^r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9+/=]+),i=([1-9]\d{0,8})$/.exec(text);
      if (match === null) return 'malformed';
      const [, serverNonce = '', salt = '', iterations = ''] = match;
      if (!serverNonce.startsWith(nonce) || serverNonce.length === nonce.length) return 'nonceChanged';
      if (Number(iterations) > MAX_ITERATIONS) return 'tooManyIterations';
      const withoutProof = `c=${Buffer.from(GS2_HEADER).toString('base64')},r=${serverNonce}`;
      const message = `${clientFirstBare},${text},${withoutProof}`;
      const salted = pbkdf2Sync(
        prepare(password),
        Buffer.from(salt, 'base64'),
        Number(iterations),
        KEY_BYTES,
        'sha256',
      );
      const clientKey = hmac(salted, 'Client Key');
      const signature = hmac(createHash('sha256').update(clientKey).digest(), message);
      expectedSignature = hmac(hmac(salted, 'Server Key'), message);
      const proof = clientKey.map((byte, i) => byte ^ (signature[i] as number));
      return Buffer.from(`${withoutProof},p=${Buffer.from(proof).toString('base64')}`);
    },
    finish(serverFinal) {
      const match = /^v=([A-Za-z0-9+/=]+)$/.exec(Buffer.from(serverFinal).toString('latin1'));
      if (match === null || expectedSignature === null) return 'malformed';
      const given = Buffer.from(match[1] ?? '', 'base64');
      const same = given.length === expectedSignature.length && timingSafeEqual(given, expectedSignature);
      return same ? 'ok' : 'wrongServerSignature';
    },
  };
}

/** SASLprep for the passwords people use: compatibility composition, spaces unified. PostgreSQL takes others as they are. */
function prepare(password: string): Buffer {
  return Buffer.from(password.replace(/[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/g, ' ').normalize('NFKC'));
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
