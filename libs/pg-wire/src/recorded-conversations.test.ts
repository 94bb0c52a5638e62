// Conversations recorded from real servers: every frame decodes, and encodes back to the same bytes; the traces read as they should.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { type ExpectedAnswer, expectedAnswer } from './authentication.ts';
import { decodeBackend, encodeBackend } from './backend.ts';
import { FrameEvent, FrameSplitter, type SplitterPhase } from './frame-splitter.ts';
import { decodeFrontend, encodeFrontend } from './frontend.ts';
import { formatTrace, traceFrames } from './trace.ts';
import { WireWriter } from './wire-writer.ts';

type Recording = {
  readonly name: string;
  readonly server: string;
  readonly frontend: string;
  readonly backend: string;
};

const file = new URL('../fixtures/recorded-conversations.json', import.meta.url);
const recordings = JSON.parse(readFileSync(file, 'utf8')) as readonly Recording[];

function recorded(name: string, server = '17.10'): { frontend: Buffer; backend: Buffer } {
  const found = recordings.find((recording) => recording.name === name && recording.server === server);
  assert.ok(found, `no recording ${name}`);
  return { frontend: Buffer.from(found.frontend, 'hex'), backend: Buffer.from(found.backend, 'hex') };
}

/** Both encryption requests were answered with one bare byte each. */
const BARE_BYTES = 2;
const bareBytesOf = (name: string) => (name === 'encryption refused' ? BARE_BYTES : 0);

/** Each whole frame as the splitter delivers it; copied, because a frame that straddles chunks lies in the splitter's buffer. */
function frames(bytes: Buffer, chunkBytes: number, phase: SplitterPhase): { type: number; frame: Buffer }[] {
  const splitter = new FrameSplitter({ phase });
  const found: { type: number; frame: Buffer }[] = [];
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    splitter.feed(bytes, at, Math.min(bytes.length, at + chunkBytes));
    while (splitter.next() === FrameEvent.frame) {
      found.push({ type: splitter.type, frame: Buffer.from(splitter.buffer.subarray(splitter.start, splitter.end)) });
    }
  }
  assert.ok(splitter.aligned);
  return found;
}

/** What the client answered with, in turn: from the server's requests. */
function answers(backend: Buffer): ExpectedAnswer[] {
  return traceFrames('B', backend).flatMap(({ message }) => {
    const expected = message.kind.startsWith('authentication') ? expectedAnswer(message as never) : null;
    return expected === null ? [] : [expected];
  });
}

describe('recorded conversations', () => {
  for (const { name, server } of recordings) {
    it(`${server} ${name}: every frame decodes and encodes back byte for byte, in chunks of any size`, () => {
      const { frontend, backend } = recorded(name, server);
      const backendFrames = backend.subarray(bareBytesOf(name));
      for (const chunkBytes of [1, 3, 64, 1 << 20]) {
        const writer = new WireWriter();
        const expected = answers(backendFrames);
        for (const { type, frame } of frames(frontend, chunkBytes, 'startup')) {
          const message = decodeFrontend(type, frame, 0, frame.length, type === 0x70 ? expected.shift() : undefined);
          assert.ok(message.kind !== 'malformed' && message.kind !== 'unknown', message.kind);
          encodeFrontend(message, writer);
        }
        assert.equal(Buffer.from(writer.take()).toString('hex'), frontend.toString('hex'));
        for (const { type, frame } of frames(backendFrames, chunkBytes, 'messages')) {
          const message = decodeBackend(type, frame, 0, frame.length);
          assert.ok(message.kind !== 'malformed' && message.kind !== 'unknown', message.kind);
          encodeBackend(message, writer);
        }
        assert.equal(Buffer.from(writer.take()).toString('hex'), backendFrames.toString('hex'));
      }
    });
  }

  it('are all there', () => assert.equal(recordings.length, 30));

  it('the splitter reads the bare bytes that refuse encryption, and what follows them', () => {
    const { backend } = recorded('encryption refused');
    const splitter = new FrameSplitter();
    splitter.feed(backend);
    const types: string[] = [];
    for (let i = 0; i < 3; i++) {
      if (i < BARE_BYTES) splitter.expectBareByte();
      assert.equal(splitter.next(), FrameEvent.frame);
      types.push(String.fromCharCode(splitter.type));
    }
    assert.deepEqual(types, ['N', 'N', 'R']);
  });
});

/** The trace without what every start-up says. */
function traceAfterStartup(from: 'F' | 'B', name: string, server?: string): string[] {
  const bytes = recorded(name, server)[from === 'F' ? 'frontend' : 'backend'];
  const trace = formatTrace(traceFrames(from, bytes, from === 'F' ? 'startup' : 'messages'));
  return trace.split('\n').slice(from === 'F' ? 0 : 1);
}

describe('traces', () => {
  it('a simple query conversation reads as it went', () => {
    assert.deepEqual(traceAfterStartup('B', 'simple query, errors, notices'), [
      'B CommandComplete CREATE TABLE / B CommandComplete INSERT 0 5 / B RowDescription / B DataRow x5 / B CommandComplete SELECT 5 / B ReadyForQuery I',
      'B CommandComplete BEGIN / B ReadyForQuery T',
      'B ErrorResponse 22012 / B ReadyForQuery E',
      'B ErrorResponse 25P02 / B ReadyForQuery E',
      'B CommandComplete ROLLBACK / B ReadyForQuery I',
      'B EmptyQueryResponse / B ReadyForQuery I',
      'B NoticeResponse / B CommandComplete DO / B ReadyForQuery I',
      'B CommandComplete SET / B ParameterStatus / B ReadyForQuery I',
      'B RowDescription / B DataRow / B CommandComplete SELECT 1 / B ReadyForQuery I',
    ]);
  });
  it('an extended query conversation reads as it went: limits, closing, skipping to Sync, an empty query', () => {
    assert.deepEqual(traceAfterStartup('F', 'extended query'), [
      'F StartupMessage / F Parse / F Describe / F Bind / F Describe / F Execute / F Flush / F Execute / F Close x2 / F Sync / F Parse / F Describe / F Bind / F Execute / F Sync / F Parse / F Bind / F Execute / F Sync / F Parse / F Bind / F Execute / F Sync / F Terminate',
    ]);
    assert.deepEqual(traceAfterStartup('B', 'extended query'), [
      'B ParseComplete / B ParameterDescription / B RowDescription / B BindComplete / B RowDescription / B DataRow x2 / B PortalSuspended / B DataRow x2 / B CommandComplete SELECT 2 / B CloseComplete x2 / B ReadyForQuery I',
      'B ParseComplete / B ParameterDescription / B NoData / B BindComplete / B CommandComplete UPDATE 1 / B ReadyForQuery I',
      'B ErrorResponse 42601 / B ReadyForQuery I',
      'B ParseComplete / B BindComplete / B EmptyQueryResponse / B ReadyForQuery I',
    ]);
  });
  it('copies both ways and a client that gives up read as they went', () => {
    assert.deepEqual(traceAfterStartup('B', 'copy'), [
      'B CommandComplete CREATE TABLE / B ReadyForQuery I',
      'B CopyInResponse / B CommandComplete COPY 2 / B ReadyForQuery I',
      'B CopyOutResponse / B CopyData x3 / B CopyDone / B CommandComplete COPY 2 / B ReadyForQuery I',
      'B CopyInResponse / B ErrorResponse 57014 / B ReadyForQuery I',
    ]);
  });
  it('an unknown option is answered with NegotiateProtocolVersion', () => {
    const { backend } = recorded('start-up with an unknown option', '18.4');
    const [first] = traceFrames('B', backend);
    assert.deepEqual(first?.message, {
      kind: 'negotiateProtocolVersion',
      newestMinorVersion: 196_610,
      unrecognizedOptions: ['_pq_.unheard'],
    });
  });
  it('a cancel key has 4 bytes in protocol 3.0 and 32 in 3.2', () => {
    const keyBytes = (name: string) =>
      traceFrames('B', recorded(name, '18.4').backend).flatMap(({ message }) =>
        message.kind === 'backendKeyData' ? [message.secretKey.length] : [],
      );
    assert.deepEqual(keyBytes('copy'), [4]);
    assert.deepEqual(keyBytes('start-up with protocol 3.2'), [32]);
  });
  it('a name in LATIN1 is read without loss', () => {
    const row = traceFrames('B', recorded('text in LATIN1').backend).find(
      ({ message }) => message.kind === 'rowDescription',
    );
    assert.ok(row?.message.kind === 'rowDescription');
    assert.equal(row.message.fields[0]?.name, 'sp\udce9cial');
  });
  it('names, SQL text and values stay out of a trace, unknown and malformed are shown', () => {
    const unknown = { kind: 'unknown', type: 0x7a, body: new Uint8Array(0) } as const;
    const malformed = { kind: 'malformed', type: 0x51, reason: 'truncated', at: 5 } as const;
    const trace = formatTrace([
      { from: 'F', message: { kind: 'query', query: "SELECT 'secret'" } },
      { from: 'F', message: { kind: 'saslResponse', data: Buffer.from('secret') } },
      { from: 'F', message: unknown },
      { from: 'F', message: malformed },
    ]);
    assert.equal(trace, 'F Query / F SASLResponse / F Unknown 0x7a / F Malformed 0x51 truncated');
  });
  it('half a conversation is refused', () => {
    assert.throws(() => traceFrames('B', Buffer.from('5a000000', 'hex')), /whole frames/);
    assert.throws(() => traceFrames('B', Buffer.from('5a00000001', 'hex')), /whole frames/);
  });
});
