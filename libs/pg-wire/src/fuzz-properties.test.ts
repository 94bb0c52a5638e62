// Properties of the codec for any message and any bytes, not only for mutated samples.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type BackendMessage, decodeBackend, encodeBackend } from './backend.ts';
import { FrameEvent, FrameSplitter } from './frame-splitter.ts';
import { decodeFrontend, encodeFrontend, type FrontendMessage } from './frontend.ts';
import { WireWriter } from './wire-writer.ts';

const runs = { seed: 20_261_121, numRuns: 300 };

/** Strings end at a zero byte on the wire, and what is no text comes back as it was from bytes only. */
const text = fc.string({ unit: 'grapheme', maxLength: 40 }).filter((value) => !value.includes('\0'));
const bytes = fc.uint8Array({ maxLength: 60 });
const value = fc.option(bytes);
const format = fc.constantFrom(0 as const, 1 as const);
const oid = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const list = <T>(items: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(items, { maxLength: 6 });
const kind = <const Kind extends string>(name: Kind): fc.Arbitrary<Kind> => fc.constant(name);

const frontend: fc.Arbitrary<FrontendMessage> = fc.oneof(
  fc.record({ kind: kind('query'), query: text }),
  fc.record({ kind: kind('parse'), statement: text, query: text, parameterTypes: list(oid) }),
  fc.record({
    kind: kind('bind'),
    portal: text,
    statement: text,
    parameterFormats: list(format),
    parameters: list(value),
    resultFormats: list(format),
  }),
  fc.record({ kind: kind('execute'), portal: text, maxRows: int32 }),
  fc.record({ kind: kind('describe'), target: fc.constantFrom('S' as const, 'P' as const), name: text }),
  fc.record({ kind: kind('copyData'), data: bytes }),
  fc.record({ kind: kind('copyFail'), reason: text }),
);

const backend: fc.Arbitrary<BackendMessage> = fc.oneof(
  fc.record({ kind: kind('dataRow'), values: list(value) }),
  fc.record({ kind: kind('commandComplete'), tag: text }),
  fc.record({ kind: kind('parameterStatus'), name: text, value: text }),
  fc.record({ kind: kind('notificationResponse'), processId: int32, channel: text, payload: text }),
  fc.record({ kind: kind('parameterDescription'), parameterTypes: list(oid) }),
  fc.record({ kind: kind('readyForQuery'), status: fc.constantFrom('I' as const, 'T' as const, 'E' as const) }),
);

function encoded<Message>(encode: (message: Message, writer: WireWriter) => void, message: Message): Buffer {
  const writer = new WireWriter();
  encode(message, writer);
  return Buffer.from(writer.take());
}

/** Byte-valued fields come back as views, of whatever class, of the same bytes. */
function comparable(part: unknown): unknown {
  if (part instanceof Uint8Array) return [...part];
  if (Array.isArray(part)) return part.map(comparable);
  if (typeof part !== 'object' || part === null) return part;
  return Object.fromEntries(Object.entries(part).map(([name, field]) => [name, comparable(field)]));
}

test('any message of the client is decoded to what it was', () => {
  fc.assert(
    fc.property(frontend, (message) => {
      const frame = encoded(encodeFrontend, message);
      const again = decodeFrontend(frame[0] as number, frame, 0, frame.length);
      assert.deepEqual(comparable(again), comparable(message));
    }),
    runs,
  );
});

test('any message of the server is decoded to what it was', () => {
  fc.assert(
    fc.property(backend, (message) => {
      const frame = encoded(encodeBackend, message);
      const again = decodeBackend(frame[0] as number, frame, 0, frame.length);
      assert.deepEqual(comparable(again), comparable(message));
    }),
    runs,
  );
});

test('the decoders take any bytes as any type without throwing, and give back what they took', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 80 }), fc.boolean(), (given, mended) => {
      const frame = Buffer.from(given);
      if (mended && frame.length >= 5) frame.writeInt32BE(frame.length - 1, 1);
      const type = frame[0] as number;
      const front = decodeFrontend(type, frame, 0, frame.length);
      if (front.kind !== 'malformed') assert.ok(encoded(encodeFrontend, front).equals(frame));
      const back = decodeBackend(type, frame, 0, frame.length);
      // Fields of errors come back in an order of their own.
      if (back.kind === 'malformed' || back.kind === 'errorResponse' || back.kind === 'noticeResponse') return;
      assert.ok(encoded(encodeBackend, back).equals(frame));
    }),
    { ...runs, numRuns: 2_000 },
  );
});

test('any messages, cut anywhere, are the frames they were, and large ones come whole in their parts', () => {
  const cuts = fc.array(fc.nat({ max: 4_000 }), { maxLength: 30 });
  fc.assert(
    fc.property(fc.array(frontend, { minLength: 1, maxLength: 8 }), cuts, (messages, at) => {
      const frames = messages.map((message) => encoded(encodeFrontend, message));
      assert.deepEqual(split(Buffer.concat(frames), at, 48), frames);
    }),
    runs,
  );
});

/** The frames of `stream`, whole again where they came in parts. */
function split(stream: Buffer, cuts: readonly number[], maxFrameBytes: number): Buffer[] {
  const ends = [...cuts.filter((cut) => cut < stream.length).sort((a, b) => a - b), stream.length];
  const splitter = new FrameSplitter({ maxFrameBytes });
  const found: Buffer[] = [];
  let parts: Buffer[] = [];
  let from = 0;
  for (const to of ends) {
    splitter.feed(stream, from, to);
    from = to;
    for (let event = splitter.next(); event !== FrameEvent.needMore; event = splitter.next()) {
      const piece = Buffer.from(splitter.buffer.subarray(splitter.start, splitter.end));
      if (event === FrameEvent.frame) found.push(piece);
      else if (event === FrameEvent.framePart) parts.push(piece);
      else if (event === FrameEvent.frameEnd) found.push(Buffer.concat(parts));
      else if (event === FrameEvent.frameBegin) {
        const header = Buffer.alloc(5);
        header[0] = splitter.type;
        header.writeInt32BE(splitter.length, 1);
        parts = [header];
      } else assert.fail('nothing here is malformed');
    }
  }
  return found;
}
