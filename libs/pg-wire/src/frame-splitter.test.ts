// The splitter over every way of cutting a stream, over huge frames, start-up, bare bytes and impossible lengths.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeBackend } from './backend.ts';
import { FrameEvent, FrameSplitter, type FrameSplitterOptions, type SplitterPhase } from './frame-splitter.ts';
import { encodeFrontend } from './frontend.ts';
import { backendSamples, frontendSamples } from './sample-messages.ts';
import { B, F, STARTUP_PACKET } from './type-bytes.ts';
import { WireWriter } from './wire-writer.ts';

type Seen = { event: string; type: number; bytes: string };
const names = Object.fromEntries(Object.entries(FrameEvent).map(([name, value]) => [value, name]));

/** Feeds the chunks one after another and copies what comes out; streamed parts are joined, so that chunking must not show. */
function split(splitter: FrameSplitter, chunks: readonly Uint8Array[]): Seen[] {
  const seen: Seen[] = [];
  for (const chunk of chunks) {
    splitter.feed(chunk);
    for (let event = splitter.next(); event !== FrameEvent.needMore; event = splitter.next()) {
      const hex = Buffer.from(splitter.buffer.subarray(splitter.start, splitter.end)).toString('hex');
      const last = seen.at(-1);
      if (event === FrameEvent.framePart && last !== undefined) last.bytes += hex;
      else if (event === FrameEvent.frame) seen.push({ event: 'frame', type: splitter.type, bytes: hex });
      else seen.push({ event: names[event] ?? '', type: splitter.type, bytes: '' });
    }
  }
  return seen;
}

function written(fill: (writer: WireWriter) => void): Buffer {
  const writer = new WireWriter();
  fill(writer);
  return Buffer.from(writer.take());
}

const startup = written((writer) => {
  encodeFrontend({ kind: 'gssencRequest' }, writer);
  encodeFrontend({ kind: 'sslRequest' }, writer);
  encodeFrontend(
    { kind: 'startupMessage', protocolVersion: 196_608, parameters: [{ name: 'user', value: 'ada' }] },
    writer,
  );
  encodeFrontend({ kind: 'query', query: 'SELECT 1' }, writer);
  encodeFrontend({ kind: 'terminate' }, writer);
});

const small = (size: number) => size < 2_000;
const frontend = Buffer.concat(
  frontendSamples
    .filter((message) => !['startupMessage', 'sslRequest', 'gssencRequest', 'cancelRequest'].includes(message.kind))
    .map((message) => written((writer) => encodeFrontend(message, writer)))
    .filter((bytes) => small(bytes.length)),
);
const backend = Buffer.concat(backendSamples.map((message) => written((writer) => encodeBackend(message, writer))));

const streams: readonly (readonly [string, Buffer, FrameSplitterOptions])[] = [
  ['every frontend message', frontend, {}],
  ['every backend message', backend, {}],
  ['a start-up', startup, { phase: 'startup' }],
  ['every backend message, those above 100 bytes streamed', backend, { maxFrameBytes: 100 }],
  ['every frontend message, all but the shortest streamed', frontend, { maxFrameBytes: 5 }],
  ['the answers to SSLRequest', Buffer.concat([Buffer.from('N'), backend]), { phase: 'bareByte' }],
];

describe('chunking does not show', () => {
  for (const [what, bytes, options] of streams) {
    it(`${what}, cut in two at every byte, gives the same frames as whole`, () => {
      const whole = split(new FrameSplitter(options), [bytes]);
      assert.ok(whole.length > 4);
      for (let at = 0; at <= bytes.length; at++) {
        const splitter = new FrameSplitter(options);
        assert.deepEqual(split(splitter, [bytes.subarray(0, at), bytes.subarray(at)]), whole, `cut at ${at}`);
        assert.ok(splitter.aligned);
      }
    });
    it(`${what}, byte by byte and in sevens, gives the same frames as whole`, () => {
      const whole = split(new FrameSplitter(options), [bytes]);
      for (const size of [1, 7]) {
        const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
          bytes.subarray(i * size, (i + 1) * size),
        );
        assert.deepEqual(split(new FrameSplitter(options), chunks), whole);
      }
    });
  }
  it('the frames of a stream, put together again, are the stream', () => {
    const joined = split(new FrameSplitter(), [backend]).map(({ bytes }) => bytes);
    assert.equal(joined.join(''), backend.toString('hex'));
  });
  it('only a part of the chunk is read when a range is given', () => {
    const splitter = new FrameSplitter();
    splitter.feed(Buffer.from('ff5300000004ff', 'hex'), 1, 6);
    assert.equal(splitter.next(), FrameEvent.frame);
    assert.deepEqual([splitter.type, splitter.start, splitter.end], [F.Sync, 1, 6]);
    assert.equal(splitter.next(), FrameEvent.needMore);
  });
});

describe('copying', () => {
  it('a frame that lies whole in the chunk is delivered in the chunk itself', () => {
    const splitter = new FrameSplitter();
    splitter.feed(backend);
    while (splitter.next() === FrameEvent.frame) assert.equal(splitter.buffer, backend);
    assert.ok(splitter.aligned);
  });
  it('an idle splitter keeps no chunk', () => {
    const splitter = new FrameSplitter();
    split(splitter, [backend]);
    assert.equal(splitter.buffer.length, 0);
    assert.equal(splitter.pendingBytes, 0);
  });
});

describe('secrets', () => {
  /** The splitter's own memory, in which a frame was put together that came in two pieces. */
  const ownMemory = (splitter: FrameSplitter, passwordBytes: number): Uint8Array => {
    const frame = written((writer) =>
      encodeFrontend({ kind: 'passwordMessage', password: 'p'.repeat(passwordBytes) }, writer),
    );
    split(splitter, [frame.subarray(0, -1)]);
    splitter.feed(frame.subarray(-1));
    assert.equal(splitter.next(), FrameEvent.frame);
    const memory = splitter.buffer;
    assert.equal(splitter.next(), FrameEvent.needMore);
    return memory;
  };

  for (const wipes of [true, false]) {
    it(`memory that a splitter lets go of is ${wipes ? 'blank while it wipes' : 'left as it is otherwise'}`, () => {
      const splitter = new FrameSplitter();
      splitter.wipes = wipes;
      const small = ownMemory(splitter, 100);
      const grown = ownMemory(splitter, 3_000);
      assert.notEqual(grown, small);
      splitter.reset();
      assert.deepEqual(
        [small, grown].map((memory) => memory.includes(0x70)),
        [!wipes, !wipes],
      );
    });
  }
});

describe('alignment', () => {
  it('is lost inside a frame and back at its end', () => {
    const splitter = new FrameSplitter();
    const aligned = Array.from(Buffer.from('5a0000000549', 'hex'), (byte) => {
      split(splitter, [Uint8Array.of(byte)]);
      return splitter.aligned;
    });
    assert.deepEqual(aligned, [false, false, false, false, false, true]);
  });
  it('is lost inside a streamed frame until its end was delivered', () => {
    const splitter = new FrameSplitter({ maxFrameBytes: 5 });
    splitter.feed(Buffer.from('5a0000000549', 'hex'));
    const events = [];
    for (let event = splitter.next(); event !== FrameEvent.needMore; event = splitter.next()) {
      events.push([names[event], splitter.aligned]);
    }
    assert.deepEqual(events, [
      ['frameBegin', false],
      ['framePart', false],
      ['frameEnd', true],
    ]);
  });
  it('reset in the middle of a frame takes the next byte as the first of a frame', () => {
    const splitter = new FrameSplitter();
    split(splitter, [Buffer.from('5100000fff41', 'hex')]);
    assert.equal(splitter.aligned, false);
    splitter.reset();
    assert.deepEqual(split(splitter, [Buffer.from('5300000004', 'hex')]), [
      { event: 'frame', type: F.Sync, bytes: '5300000004' },
    ]);
  });
});

describe('huge frames', () => {
  it('a CopyData of 1 GiB - 1 goes through in constant memory', () => {
    const bodyBytes = 0x3fffffff;
    const splitter = new FrameSplitter();
    const header = Buffer.from([F.CopyData, 0, 0, 0, 0]);
    header.writeInt32BE(bodyBytes + 4, 1);
    const chunk = Buffer.alloc(1 << 20);
    splitter.feed(header);
    assert.equal(splitter.next(), FrameEvent.frameBegin);
    assert.equal(splitter.length, bodyBytes + 4);
    assert.equal(splitter.next(), FrameEvent.needMore);
    let delivered = 0;
    let most = 0;
    while (delivered < bodyBytes) {
      splitter.feed(chunk, 0, Math.min(chunk.length, bodyBytes - delivered));
      for (let event = splitter.next(); event === FrameEvent.framePart; event = splitter.next()) {
        delivered += splitter.end - splitter.start;
      }
      most = Math.max(most, splitter.pendingBytes);
    }
    assert.equal(delivered, bodyBytes);
    assert.equal(most, 0);
    assert.ok(splitter.aligned);
  });
  it('the limit decides by the size of the frame, type byte included', () => {
    const frame = Buffer.from('4400000006aabb', 'hex');
    assert.deepEqual(
      split(new FrameSplitter({ maxFrameBytes: 7 }), [frame]).map(({ event }) => event),
      ['frame'],
    );
    assert.deepEqual(split(new FrameSplitter({ maxFrameBytes: 6 }), [frame]), [
      { event: 'frameBegin', type: F.Describe, bytes: 'aabb' },
      { event: 'frameEnd', type: F.Describe, bytes: '' },
    ]);
  });
  it('a frame that claims much and sends little costs what it sent', () => {
    const splitter = new FrameSplitter();
    split(splitter, [Buffer.from('51 0007fff0 41'.replaceAll(' ', ''), 'hex')]);
    assert.equal(splitter.pendingBytes, 6);
    const before = process.memoryUsage().arrayBuffers;
    const many = Array.from({ length: 1_000 }, () => new FrameSplitter());
    for (const one of many) split(one, [Buffer.from('510007fff041', 'hex')]);
    assert.ok(process.memoryUsage().arrayBuffers - before < 1_000 * 1_024);
    assert.ok(many.every((one) => one.pendingBytes === 6));
  });
});

describe('impossible lengths', () => {
  const cases: readonly (readonly [string, string, SplitterPhase, object])[] = [
    ['a length of 3', '5300000003', 'messages', { reason: 'lengthTooSmall', type: 0x53, offset: 5 }],
    ['a negative length', '53ffffffff', 'messages', { reason: 'lengthTooSmall', type: 0x53, offset: 5 }],
    ['a length above 1 GiB', '6440000004', 'messages', { reason: 'lengthTooLarge', type: 0x64, offset: 5 }],
    [
      'a start-up packet of 7 bytes',
      '00000007',
      'startup',
      { reason: 'lengthTooSmall', type: STARTUP_PACKET, offset: 0 },
    ],
    [
      'a start-up packet above 10 000 bytes',
      '00002715',
      'startup',
      { reason: 'lengthTooLarge', type: STARTUP_PACKET, offset: 0 },
    ],
    ['a TLS ClientHello', '1603010200', 'startup', { reason: 'tlsHandshake', type: STARTUP_PACKET, offset: 0 }],
  ];
  for (const [what, hex, phase, expected] of cases) {
    it(`${what} is malformed once, with its place, however it is cut; what follows is swallowed`, () => {
      const good = phase === 'startup' ? '' : '5300000004';
      const bytes = Buffer.from(`${good}${hex}5300000004`, 'hex');
      for (let at = 0; at <= bytes.length; at++) {
        const splitter = new FrameSplitter({ phase });
        const seen = split(splitter, [bytes.subarray(0, at), bytes.subarray(at), bytes]);
        assert.deepEqual(
          seen.map(({ event }) => event),
          good === '' ? ['malformed'] : ['frame', 'malformed'],
        );
        assert.deepEqual(splitter.malformed, expected);
        assert.equal(splitter.aligned, false);
        assert.equal(splitter.pendingBytes, 0);
      }
    });
  }
  it('reset makes a malformed splitter usable again', () => {
    const splitter = new FrameSplitter();
    split(splitter, [Buffer.from('5300000003', 'hex')]);
    splitter.reset();
    assert.equal(splitter.malformed, null);
    assert.equal(split(splitter, [Buffer.from('5300000004', 'hex')]).length, 1);
  });
});

describe('start-up', () => {
  it('packets without a type byte go on until a version was seen', () => {
    const splitter = new FrameSplitter({ phase: 'startup' });
    const types = split(splitter, [startup]).map(({ type }) => type);
    assert.deepEqual(types, [STARTUP_PACKET, STARTUP_PACKET, STARTUP_PACKET, F.Query, F.Terminate]);
    assert.equal(splitter.phase, 'messages');
  });
  it('a start-up packet of the largest size passes, whatever the limit of frames', () => {
    const packet = Buffer.alloc(10_004);
    packet.writeInt32BE(10_004, 0);
    packet.writeInt32BE(196_608, 4);
    const splitter = new FrameSplitter({ phase: 'startup', maxFrameBytes: 5 });
    assert.deepEqual(
      split(splitter, [packet]).map(({ event, bytes }) => [event, bytes.length / 2]),
      [['frame', 10_004]],
    );
  });
  it('an answer of one byte is a frame of one byte, an E is an ErrorResponse', () => {
    const splitter = new FrameSplitter();
    splitter.expectBareByte();
    assert.deepEqual(split(splitter, [Buffer.from('S')]), [{ event: 'frame', type: 0x53, bytes: '53' }]);
    splitter.expectBareByte();
    assert.deepEqual(split(splitter, [Buffer.from('450000000500', 'hex')]), [
      { event: 'frame', type: B.ErrorResponse, bytes: '450000000500' },
    ]);
  });
});

describe('misuse', () => {
  it('feeding before the last chunk was used up is an error, not a loss', () => {
    const splitter = new FrameSplitter();
    splitter.feed(backend);
    splitter.next();
    assert.throws(() => splitter.feed(backend), /used up/);
  });
  it('expecting a bare byte inside a frame is an error', () => {
    const splitter = new FrameSplitter();
    split(splitter, [Uint8Array.of(0x53)]);
    assert.throws(() => splitter.expectBareByte(), /inside a frame/);
  });
});
