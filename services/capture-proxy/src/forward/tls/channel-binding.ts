// The one rewrite there is: a client without TLS must not be offered SCRAM-SHA-256-PLUS, which only its server's leg could honour.
//
//   AuthenticationSASL = 'R', Int32 length, Int32 10, { String mechanism }*, NUL
// libpq ends the session when -PLUS is offered on a connection that is not encrypted; a server with TLS on its side always offers it.
// In every other combination of legs the offer passes as it is, and is only looked at.

const authentication = 0x52; // 'R'
const errorResponse = 0x45; // 'E'
const saslCode = 10;
const headBytes = 5;
/** The server's first messages are small; anything else is not for us to understand. */
const maxFrameBytes = 8 * 1024;
const none = Buffer.alloc(0);
const plusName = 'SCRAM-SHA-256-PLUS';

/** Follows the server's first bytes until it has said how it authenticates. */
export class SaslOffer {
  readonly #strip: boolean;
  #kept: Buffer = none;
  #skipBytes = 0;
  /** The rest passes as it comes. */
  done = false;
  /** The server offered channel binding. */
  plus = false;

  constructor(strip: boolean) {
    this.#strip = strip;
  }

  /** The bytes to pass on now; at most the beginning of one small message is kept back. */
  feed(chunk: Uint8Array): Uint8Array {
    const bytes = this.#kept.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#kept, chunk]);
    this.#kept = none;
    const out: Buffer[] = [];
    let at = Math.min(this.#skipBytes, bytes.length);
    this.#skipBytes -= at;
    let passedTo = 0;
    while (!this.done && at < bytes.length) {
      const frame = bytes.subarray(at);
      const step = this.#look(frame);
      if (step === 'more') {
        this.#kept = Buffer.from(frame);
        return Buffer.concat([...out, bytes.subarray(passedTo, at)]);
      }
      if (step !== 'pass') {
        out.push(bytes.subarray(passedTo, at), step);
        passedTo = at + frameBytes(frame);
      }
      at += frameBytes(frame);
    }
    this.#skipBytes += Math.max(0, at - bytes.length);
    return Buffer.concat([...out, bytes.subarray(passedTo)]);
  }

  /** What is kept back when the server has ended in the middle of a message. */
  rest(): Uint8Array {
    const kept = this.#kept;
    this.#kept = none;
    this.done = true;
    return kept;
  }

  /** `more`: not enough to tell. `pass`: the frame goes on as it is. Else what goes on in its place. */
  #look(frame: Buffer): 'more' | 'pass' | Buffer {
    if (frame.length < headBytes) return 'more';
    const length = frame.readInt32BE(1);
    if (length < 4 || length > maxFrameBytes || frame[0] === errorResponse) {
      this.done = true;
      return 'pass';
    }
    if (frame[0] !== authentication) return 'pass';
    if (frame.length < frameBytes(frame)) return 'more';
    this.done = true;
    if (length < 8 || frame.readInt32BE(headBytes) !== saslCode) return 'pass';
    const mechanisms = frame
      .toString('latin1', headBytes + 4, frameBytes(frame))
      .split('\0')
      .filter(Boolean);
    this.plus = mechanisms.includes(plusName);
    const others = mechanisms.filter((name) => name !== plusName);
    return this.#strip && this.plus && others.length > 0 ? saslFrame(others) : 'pass';
  }
}

/** Type byte, length and body. */
const frameBytes = (frame: Buffer): number => 1 + frame.readInt32BE(1);

function saslFrame(mechanisms: readonly string[]): Buffer {
  const body = Buffer.from(`${mechanisms.map((name) => `${name}\0`).join('')}\0`, 'latin1');
  const head = Buffer.alloc(headBytes + 4);
  head[0] = authentication;
  head.writeInt32BE(8 + body.length, 1);
  head.writeInt32BE(saslCode, headBytes);
  return Buffer.concat([head, body]);
}
