// Seeded mutations of every message and of whole streams: nothing throws, nothing grows, what decodes is encoded back to the same bytes.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ExpectedAnswer } from './authentication.ts';
import { type BackendMessage, decodeBackend, encodeBackend } from './backend.ts';
import { FrameEvent, FrameSplitter } from './frame-splitter.ts';
import { decodeFrontend, encodeFrontend, type FrontendMessage } from './frontend.ts';
import type { MalformedMessage, UnknownMessage } from './outcome.ts';
import * as peek from './peek.ts';
import { backendSamples, frontendSamples } from './sample-messages.ts';
import { STARTUP_PACKET } from './type-bytes.ts';
import { WireWriter } from './wire-writer.ts';

const SEED = 20_261_121;
const MUTATIONS_PER_SAMPLE = 300;

/** mulberry32: small, seeded, good enough to pick bytes. */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** A few bytes changed, cut out or put in; the length corrected half of the time. */
function mutate(bytes: Uint8Array, lengthAt: number, random: (below: number) => number): Buffer {
  let mutant = Buffer.from(bytes);
  for (let i = random(4); i >= 0; i--) {
    const at = random(mutant.length);
    const kind = random(4);
    if (kind === 0) mutant = Buffer.concat([mutant.subarray(0, at), mutant.subarray(at + 1 + random(8))]);
    else if (kind === 1)
      mutant = Buffer.concat([mutant.subarray(0, at), Buffer.alloc(1 + random(8), random(256)), mutant.subarray(at)]);
    else mutant[at] = [0, 0xff, 0x7f, 0x80, random(256)][random(5)] ?? 0;
    if (mutant.length === 0) mutant = Buffer.from([0]);
  }
  if (random(2) === 0 && mutant.length >= lengthAt + 4) mutant.writeInt32BE(mutant.length - lengthAt, lengthAt);
  return mutant;
}

type Decoded = FrontendMessage | BackendMessage | UnknownMessage | MalformedMessage;

/** A repeated error field keeps one value, and digits as codes change their place: the only bytes that do not come back. */
function comesBackExactly(message: Decoded): boolean {
  return message.kind !== 'errorResponse' && message.kind !== 'noticeResponse';
}

const startupKinds = new Set(['startupMessage', 'sslRequest', 'gssencRequest', 'cancelRequest']);
const contexts: readonly ExpectedAnswer[] = ['passwordMessage', 'saslInitialResponse', 'saslResponse', 'gssResponse'];

describe('mutated frames', () => {
  it('the frontend decoder never throws, and what it takes it gives back byte for byte', () => {
    const random = generator(SEED);
    const writer = new WireWriter();
    let taken = 0;
    for (const sample of frontendSamples) {
      encodeFrontend(sample, writer);
      const bytes = writer.take();
      if (bytes.length > 2_000) continue;
      const startup = startupKinds.has(sample.kind);
      for (let i = 0; i < MUTATIONS_PER_SAMPLE; i++) {
        const mutant = mutate(bytes, startup ? 0 : 1, random);
        const type = startup ? STARTUP_PACKET : (mutant[0] as number);
        const message = decodeFrontend(type, mutant, 0, mutant.length, contexts[random(4)]);
        if (message.kind === 'malformed') continue;
        encodeFrontend(message, writer);
        assert.equal(Buffer.from(writer.take()).toString('hex'), mutant.toString('hex'));
        taken += 1;
      }
    }
    assert.ok(taken > 1_000, `only ${taken} mutants were taken`);
  });

  it('the backend decoder never throws, and what it takes it gives back byte for byte', () => {
    const random = generator(SEED + 1);
    const writer = new WireWriter();
    let taken = 0;
    for (const sample of backendSamples) {
      encodeBackend(sample, writer);
      const bytes = writer.take();
      for (let i = 0; i < MUTATIONS_PER_SAMPLE; i++) {
        const mutant = mutate(bytes, 1, random);
        const message = decodeBackend(mutant[0] as number, mutant, 0, mutant.length);
        if (message.kind === 'malformed') continue;
        encodeBackend(message, writer);
        const again = Buffer.from(writer.take());
        if (comesBackExactly(message)) assert.equal(again.toString('hex'), mutant.toString('hex'));
        else assert.deepEqual(decodeBackend(again[0] as number, again, 0, again.length), message);
        taken += 1;
      }
    }
    assert.ok(taken > 1_000, `only ${taken} mutants were taken`);
  });

  it('no peek throws or answers with something that is not its type', () => {
    const random = generator(SEED + 2);
    const writer = new WireWriter();
    for (const sample of backendSamples) encodeBackend(sample, writer);
    const bytes = writer.take();
    const strings = [
      peek.commandTag,
      peek.queryText,
      peek.parseStatementName,
      peek.parseQueryText,
      peek.bindPortal,
      peek.bindStatement,
      peek.executePortal,
      peek.closeName,
      peek.describeName,
      peek.sqlState,
      peek.errorSeverity,
      peek.parameterStatusName,
      peek.parameterStatusValue,
    ] as const;
    const numbers = [
      peek.readyForQueryStatus,
      peek.commandTagRows,
      peek.parseQueryStart,
      peek.executeMaxRows,
      peek.closeTarget,
      peek.describeTarget,
      peek.columnCount,
    ] as const;
    for (let i = 0; i < 5_000; i++) {
      const start = random(bytes.length);
      const end = Math.min(bytes.length, start + random(60));
      for (const of of strings) assert.equal(typeof of(bytes, start, end), 'string');
      for (const of of numbers) assert.ok(Number.isFinite(of(bytes, start, end)));
      assert.ok(peek.parseMessageBody(bytes, start, end).length <= Math.max(0, end - start));
    }
  });
});

describe('mutated streams', () => {
  it('the splitter never throws, delivers each byte at most once, and holds no more than its limit', () => {
    const random = generator(SEED + 3);
    const writer = new WireWriter();
    for (const sample of backendSamples) encodeBackend(sample, writer);
    const stream = writer.take();
    const maxFrameBytes = 200;
    for (let i = 0; i < 500; i++) {
      const mutant = mutate(stream, stream.length, random);
      const splitter = new FrameSplitter({ maxFrameBytes, phase: i % 4 === 0 ? 'startup' : 'messages' });
      let delivered = 0;
      let headers = 0;
      for (let at = 0; at < mutant.length; ) {
        const size = 1 + random(90);
        splitter.feed(mutant, at, Math.min(mutant.length, at + size));
        at += size;
        for (let event = splitter.next(); event !== FrameEvent.needMore; event = splitter.next()) {
          if (event === FrameEvent.frame || event === FrameEvent.framePart) delivered += splitter.end - splitter.start;
          if (event === FrameEvent.frameBegin) headers += 5;
        }
        assert.ok(splitter.pendingBytes <= Math.max(maxFrameBytes, 10_004));
      }
      const accounted = delivered + headers + splitter.pendingBytes;
      if (splitter.malformed === null) assert.equal(accounted, mutant.length);
      else assert.equal(accounted, splitter.malformed.offset);
    }
  });
});
