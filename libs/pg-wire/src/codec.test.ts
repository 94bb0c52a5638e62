// Round trips of every message, golden bytes from the manual's grammars, and what is refused.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ExpectedAnswer, expectedAnswer } from './authentication.ts';
import { type BackendMessage, decodeBackend, encodeBackend } from './backend.ts';
import { decodeFrontend, encodeFrontend, type FrontendMessage } from './frontend.ts';
import type { UnknownMessage } from './outcome.ts';
import { backendSamples, frontendSamples } from './sample-messages.ts';
import { startupParameter } from './start-up.ts';
import { B, F, STARTUP_PACKET } from './type-bytes.ts';
import { WireWriter } from './wire-writer.ts';

const startupKinds = new Set(['startupMessage', 'sslRequest', 'gssencRequest', 'cancelRequest']);
const answerKinds = new Set(['passwordMessage', 'saslInitialResponse', 'saslResponse', 'gssResponse']);

function frontendBytes(message: FrontendMessage | UnknownMessage): Uint8Array {
  const writer = new WireWriter();
  encodeFrontend(message, writer);
  return writer.take();
}

function backendBytes(message: BackendMessage | UnknownMessage): Uint8Array {
  const writer = new WireWriter();
  encodeBackend(message, writer);
  return writer.take();
}

function frontendType(message: FrontendMessage, bytes: Uint8Array): number {
  return startupKinds.has(message.kind) ? STARTUP_PACKET : (bytes[0] as number);
}

/** Bytes surrounded by others, so that a decoder that leaves its frame is found out. */
function embed(bytes: Uint8Array): { buffer: Uint8Array; start: number; end: number } {
  const buffer = new Uint8Array(bytes.length + 14).fill(0x41);
  buffer.set(bytes, 7);
  return { buffer, start: 7, end: 7 + bytes.length };
}

/** Views compare by content, whatever their class. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString('hex') };
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}

function decodeFrontendSample(message: FrontendMessage, bytes: Uint8Array) {
  const { buffer, start, end } = embed(bytes);
  const expected = answerKinds.has(message.kind) ? (message.kind as ExpectedAnswer) : undefined;
  return decodeFrontend(frontendType(message, bytes), buffer, start, end, expected);
}

describe('round trip', () => {
  for (const message of frontendSamples) {
    it(`a frontend ${message.kind} comes back as it was encoded`, () => {
      assert.deepEqual(plain(decodeFrontendSample(message, frontendBytes(message))), plain(message));
    });
  }
  for (const message of backendSamples) {
    it(`a backend ${message.kind} comes back as it was encoded`, () => {
      const bytes = backendBytes(message);
      const { buffer, start, end } = embed(bytes);
      assert.deepEqual(plain(decodeBackend(bytes[0] as number, buffer, start, end)), plain(message));
    });
  }
  it('an unknown type keeps its body and goes out as it came in, both ways', () => {
    const bytes = Uint8Array.from([0x7a, 0, 0, 0, 6, 1, 2]);
    const front = decodeFrontend(0x7a, bytes, 0, bytes.length);
    const back = decodeBackend(0x7a, bytes, 0, bytes.length);
    assert.equal(front.kind, 'unknown');
    assert.equal(back.kind, 'unknown');
    assert.deepEqual(new Uint8Array(frontendBytes(front as UnknownMessage)), bytes);
    assert.deepEqual(new Uint8Array(backendBytes(back as UnknownMessage)), bytes);
  });
  it('an authentication code that the manual does not list is unknown, with its code in the body', () => {
    const bytes = Uint8Array.from([B.Authentication, 0, 0, 0, 9, 0, 0, 0, 99, 7]);
    const message = decodeBackend(B.Authentication, bytes, 0, bytes.length);
    assert.deepEqual(plain(message), { kind: 'unknown', type: B.Authentication, body: { bytes: '0000006307' } });
  });
});

/** Written out by hand from the manual's "Message Formats", so that a mistake made on both sides of a codec shows. */
const golden: readonly (readonly ['F' | 'B', string, FrontendMessage | BackendMessage])[] = [
  ['F', '00000008 04d2162f', { kind: 'sslRequest' }],
  ['F', '00000008 04d21630', { kind: 'gssencRequest' }],
  ['F', '00000010 04d2162e 00000102 01020304', cancel()],
  ['F', '0000000d 00030000 6100 6200 00', startup()],
  ['F', '50 00000012 7300 5100 0002 00000017 00000000', parse()],
  ['F', '42 0000001d 7000 7300 0001 0001 0002 ffffffff 00000001 37 0002 0000 0001', bind()],
  ['F', '45 0000000a 7000 00000064', { kind: 'execute', portal: 'p', maxRows: 100 }],
  ['F', '44 00000007 53 7300', { kind: 'describe', target: 'S', name: 's' }],
  ['F', '43 00000006 50 00', { kind: 'close', target: 'P', name: '' }],
  ['F', '46 00000014 000000b1 0001 0001 0001 ffffffff 0001', functionCall()],
  ['F', '48 00000004', { kind: 'flush' }],
  ['F', '53 00000004', { kind: 'sync' }],
  ['F', '58 00000004', { kind: 'terminate' }],
  ['F', '66 00000006 6e00', { kind: 'copyFail', reason: 'n' }],
  ['B', '52 0000000c 00000005 01020304', { kind: 'authenticationMD5Password', salt: Uint8Array.of(1, 2, 3, 4) }],
  ['B', '52 0000000b 0000000a 5800 00', { kind: 'authenticationSASL', mechanisms: ['X'] }],
  ['B', '76 0000000e 00030000 00000001 6f00', negotiate()],
  ['B', '57 0000000b 01 0002 0001 0000', { kind: 'copyBothResponse', format: 1, columnFormats: [1, 0] }],
  ['B', '41 0000000c 00000007 6300 7000', notification()],
  ['B', '54 0000001a 0001 6100 00004000 0001 00000017 0004 ffffffff 0000', rowDescription()],
  ['B', '44 0000000f 0002 ffffffff 00000001 31', { kind: 'dataRow', values: [null, Uint8Array.of(0x31)] }],
  ['B', '5a 00000005 45', { kind: 'readyForQuery', status: 'E' }],
  ['B', '73 00000004', { kind: 'portalSuspended' }],
];

function cancel(): FrontendMessage {
  return { kind: 'cancelRequest', processId: 258, secretKey: Uint8Array.of(1, 2, 3, 4) };
}
function startup(): FrontendMessage {
  return { kind: 'startupMessage', protocolVersion: 196_608, parameters: [{ name: 'a', value: 'b' }] };
}
function parse(): FrontendMessage {
  return { kind: 'parse', statement: 's', query: 'Q', parameterTypes: [23, 0] };
}
function bind(): FrontendMessage {
  const parameters = [null, Uint8Array.of(0x37)];
  return { kind: 'bind', portal: 'p', statement: 's', parameterFormats: [1], parameters, resultFormats: [0, 1] };
}
function functionCall(): FrontendMessage {
  return { kind: 'functionCall', functionOid: 177, argumentFormats: [1], arguments: [null], resultFormat: 1 };
}
function negotiate(): BackendMessage {
  return { kind: 'negotiateProtocolVersion', newestMinorVersion: 196_608, unrecognizedOptions: ['o'] };
}
function notification(): BackendMessage {
  return { kind: 'notificationResponse', processId: 7, channel: 'c', payload: 'p' };
}
function rowDescription(): BackendMessage {
  const id = { name: 'a', tableOid: 16_384, columnNumber: 1, typeOid: 23, typeSize: 4, typeModifier: -1, format: 0 };
  return { kind: 'rowDescription', fields: [id] };
}

describe('golden bytes', () => {
  for (const [from, hex, message] of golden) {
    it(`${from} ${message.kind} is encoded as the manual says`, () => {
      const bytes = from === 'F' ? frontendBytes(message as FrontendMessage) : backendBytes(message as BackendMessage);
      assert.equal(Buffer.from(bytes).toString('hex'), hex.replaceAll(' ', ''));
    });
  }
});

describe('decoding what is damaged', () => {
  it('a frame cut short at any byte, with its length corrected, is malformed or shorter, and never throws', () => {
    for (const message of frontendSamples) {
      const bytes = frontendBytes(message);
      if (bytes.length > 2_000) continue;
      const lengthAt = startupKinds.has(message.kind) ? 0 : 1;
      for (let size = lengthAt + 4; size < bytes.length; size++) {
        const cut = Buffer.from(bytes.subarray(0, size));
        cut.writeInt32BE(size - lengthAt, lengthAt);
        const outcome = decodeFrontendSample(message, cut);
        const opaque = 'data' in message || message.kind === 'cancelRequest';
        if (!opaque) assert.equal(outcome.kind, 'malformed', `${message.kind} cut to ${size} bytes`);
      }
    }
    for (const message of backendSamples) {
      const bytes = backendBytes(message);
      for (let size = 5; size < bytes.length; size++) {
        const cut = Buffer.from(bytes.subarray(0, size));
        cut.writeInt32BE(size - 1, 1);
        const outcome = decodeBackend(cut[0] as number, cut, 0, size);
        const opaque = 'data' in message || message.kind === 'backendKeyData';
        if (!opaque) assert.equal(outcome.kind, 'malformed', `${message.kind} cut to ${size} bytes`);
      }
    }
  });

  const cases: readonly (readonly [string, 'F' | 'B', string, string])[] = [
    ['a byte after the last field', 'F', '53 00000005 00', 'trailingBytes'],
    ['a query without its zero byte', 'F', '51 00000006 6162', 'unterminatedString'],
    ['a parameter length of -2', 'F', '42 0000000e 00 00 0000 0001 fffffffe', 'negativeLength'],
    ['a count beyond the frame', 'F', '50 00000008 00 00 ffff', 'truncated'],
    ['a value beyond the frame', 'B', '44 0000000a 0001 00000009', 'truncated'],
    ['a target that is neither S nor P', 'F', '44 00000006 58 00', 'invalidValue'],
    ['a status that is none', 'B', '5a 00000005 58', 'invalidValue'],
    ['a key of three bytes', 'B', '4b 0000000b 00000001 010203', 'invalidValue'],
    ['a length that is not that of the range', 'B', '49 00000005', 'lengthMismatch'],
    ['a range shorter than a header', 'B', '49 000000', 'truncated'],
  ];
  for (const [what, from, hex, reason] of cases) {
    it(`${what} is malformed: ${reason}`, () => {
      const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex');
      const decode = from === 'F' ? decodeFrontend : decodeBackend;
      const outcome = decode(bytes[0] as number, bytes, 0, bytes.length);
      assert.equal(outcome.kind, 'malformed');
      assert.equal('reason' in outcome && outcome.reason, reason);
    });
  }
  it('a range outside the buffer is malformed', () => {
    const bytes = frontendBytes({ kind: 'sync' });
    assert.equal(decodeFrontend(F.Sync, bytes, 0, 6).kind, 'malformed');
    assert.equal(decodeFrontend(F.Sync, bytes, -1, 4).kind, 'malformed');
    assert.equal(decodeBackend(B.NoData, bytes, 3, 5).kind, 'malformed');
  });
  it('the place of the fault counts from the beginning of the frame', () => {
    const { buffer, start, end } = embed(Buffer.from('440000000e0000005800', 'hex').subarray(0, 7));
    buffer[start + 4] = 6;
    const outcome = decodeFrontend(F.Describe, buffer, start, end);
    assert.deepEqual(outcome, { kind: 'malformed', type: F.Describe, reason: 'invalidValue', at: 6 });
  });
});

describe('encoding what the wire cannot carry', () => {
  const nulls = Array.from({ length: 65_536 }, () => null);
  const impossible: readonly (readonly [string, FrontendMessage])[] = [
    ['a zero byte inside a String', { kind: 'query', query: 'SELECT 1\0; DROP TABLE t' }],
    [
      'more than 65535 parameters',
      { kind: 'bind', portal: '', statement: '', parameterFormats: [], parameters: nulls, resultFormats: [] },
    ],
    ['a number that is not whole', { kind: 'execute', portal: '', maxRows: 1.5 }],
    ['a number beyond 32 bits', { kind: 'parse', statement: '', query: '', parameterTypes: [2 ** 32] }],
    [
      'a start-up parameter without a name',
      { kind: 'startupMessage', protocolVersion: 196_608, parameters: [{ name: '', value: 'x' }] },
    ],
    ['a key of three bytes', { kind: 'cancelRequest', processId: 1, secretKey: Uint8Array.of(1, 2, 3) }],
  ];
  for (const [what, message] of impossible) {
    it(`${what} is a RangeError that leaves the writer as it was`, () => {
      const writer = new WireWriter();
      encodeFrontend({ kind: 'sync' }, writer);
      assert.throws(() => encodeFrontend(message, writer), RangeError);
      encodeFrontend({ kind: 'flush' }, writer);
      assert.equal(Buffer.from(writer.take()).toString('hex'), '53000000044800000004');
    });
  }
  it('an error field code of more than one character, an empty mechanism and a salt of five bytes are RangeErrors', () => {
    const refused: readonly BackendMessage[] = [
      { kind: 'errorResponse', fields: { CODE: '42601' } },
      { kind: 'authenticationSASL', mechanisms: [''] },
      { kind: 'authenticationMD5Password', salt: new Uint8Array(5) },
    ];
    for (const message of refused) assert.throws(() => backendBytes(message), RangeError);
  });
});

describe('context', () => {
  it('what a `p` message is follows from the last authentication request', () => {
    const answers = backendSamples.flatMap((message) =>
      message.kind.startsWith('authentication') ? [[message.kind, expectedAnswer(message as never)]] : [],
    );
    assert.deepEqual(Object.fromEntries(answers), {
      authenticationOk: null,
      authenticationKerberosV5: null,
      authenticationCleartextPassword: 'passwordMessage',
      authenticationMD5Password: 'passwordMessage',
      authenticationGSS: 'gssResponse',
      authenticationGSSContinue: 'gssResponse',
      authenticationSSPI: 'gssResponse',
      authenticationSASL: 'saslInitialResponse',
      authenticationSASLContinue: 'saslResponse',
      authenticationSASLFinal: null,
    });
  });
  it('a `p` message without context stays opaque', () => {
    const bytes = frontendBytes({ kind: 'passwordMessage', password: 'x' });
    assert.equal(decodeFrontend(F.PasswordMessage, bytes, 0, bytes.length).kind, 'authenticationResponse');
  });
  it('a start-up parameter sent twice has its last value', () => {
    const parameters = [
      { name: 'user', value: 'a' },
      { name: 'user', value: 'b' },
    ];
    const message = { kind: 'startupMessage', protocolVersion: 196_608, parameters } as const;
    assert.equal(startupParameter(message, 'user'), 'b');
    assert.equal(startupParameter(message, 'database'), undefined);
  });
  it('byte-valued fields are views of the input, text is copied', () => {
    const bytes = Buffer.from(frontendBytes({ kind: 'copyData', data: Uint8Array.of(1, 2) }));
    const message = decodeFrontend(F.CopyData, bytes, 0, bytes.length);
    bytes[5] = 9;
    assert.deepEqual(plain(message), { kind: 'copyData', data: { bytes: '0902' } });
  });
});
