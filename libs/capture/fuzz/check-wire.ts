// Feeds a case's bytes to the frame splitter and both decoders, and says which of their promises it breaks.
import {
  decodeBackend,
  decodeFrontend,
  encodeBackend,
  encodeFrontend,
  FrameEvent,
  FrameSplitter,
  MAX_LENGTH,
  type SplitterPhase,
  WireWriter,
} from '@mirrorstream/pg-wire';
import { chunked, type FuzzCase } from './fuzz-case.ts';
import { promise } from './promise.ts';

const startupBytes = 10_004;

interface Found {
  readonly type: number;
  readonly bytes: Buffer;
}

/** Whatever the chunks, the frames are the same; no byte is delivered twice, none is lost, and no more than one frame is held. */
export function checkFrames(fuzzCase: FuzzCase): void {
  const maxFrameBytes = fuzzCase.limits.maxFrameBytes ?? 64 * 1024;
  for (const direction of ['F', 'B'] as const) {
    const chunks = chunked(fuzzCase).flatMap((event) => (event[0] === direction ? [event[1]] : []));
    const phase: SplitterPhase = direction === 'F' ? 'startup' : 'messages';
    const asTheyCame = splitAll(chunks, phase, maxFrameBytes);
    const atOnce = splitAll([Buffer.concat(chunks)], phase, maxFrameBytes);
    promise(asTheyCame === atOnce, `chunks change the frames: ${differing(asTheyCame, atOnce)}`);
  }
}

/** What was found, as text: frames with their bytes, large ones with the count of theirs. */
function splitAll(chunks: readonly Uint8Array[], phase: SplitterPhase, maxFrameBytes: number): string {
  const splitter = new FrameSplitter({ phase, maxFrameBytes });
  const found: string[] = [];
  const mostBytes = Math.max(maxFrameBytes, startupBytes);
  let [fed, delivered, part] = [0, 0, 0];
  for (const chunk of chunks) {
    splitter.feed(chunk);
    fed += chunk.length;
    for (let event = splitter.next(); event !== FrameEvent.needMore; event = splitter.next()) {
      const size = splitter.end - splitter.start;
      if (event === FrameEvent.frame) {
        found.push(
          `${splitter.type} ${Buffer.from(splitter.buffer.subarray(splitter.start, splitter.end)).toString('hex')}`,
        );
        delivered += size;
      } else if (event === FrameEvent.frameBegin) {
        promise(splitter.length <= MAX_LENGTH, `a frame of ${splitter.length} bytes is too long`);
        found.push(`${splitter.type} begins ${splitter.length}`);
        delivered += 5;
        part = 0;
      } else if (event === FrameEvent.framePart) {
        delivered += size;
        part += size;
      } else if (event === FrameEvent.frameEnd) found.push(`ends after ${part}`);
      else found.push(`malformed ${splitter.malformed?.reason} at ${splitter.malformed?.offset}`);
    }
    promise(splitter.pendingBytes <= mostBytes, `${splitter.pendingBytes} bytes are held for one frame`);
  }
  const counted = delivered + splitter.pendingBytes;
  if (splitter.malformed === null) promise(counted === fed, `${fed} bytes came, ${counted} are accounted for`);
  else promise(counted === splitter.malformed.offset, 'all is delivered up to the malformed frame');
  found.push(splitter.aligned ? 'aligned' : 'inside');
  return found.join('\n');
}

function differing(a: string, b: string): string {
  const others = b.split('\n');
  const at = a.split('\n').findIndex((line, i) => line !== others[i]);
  return `${(a.split('\n')[at] ?? 'nothing').slice(0, 80)} | ${(others[at] ?? 'nothing').slice(0, 80)}`;
}

/** Decoders take any bytes; what they take comes back byte for byte. */
export function checkDecoders(fuzzCase: FuzzCase): void {
  for (const direction of ['F', 'B'] as const) {
    const all = Buffer.concat(fuzzCase.events.flatMap((event) => (event[0] === direction ? [event[1]] : [])));
    for (const frame of framesOf(all, direction)) decodeBoth(frame);
  }
  // Not cut into frames either: a frame's length may be wrong, the decoder's range never is.
  for (const event of fuzzCase.events) {
    if ((event[0] === 'F' || event[0] === 'B') && event[1].length > 0)
      decodeBoth({ type: event[1][0] as number, bytes: Buffer.from(event[1]) });
  }
}

function framesOf(all: Buffer, direction: 'F' | 'B'): Found[] {
  const splitter = new FrameSplitter({ phase: direction === 'F' ? 'startup' : 'messages', maxFrameBytes: 1 << 20 });
  const found: Found[] = [];
  splitter.feed(all);
  for (let event = splitter.next(); event !== FrameEvent.needMore; event = splitter.next()) {
    if (event === FrameEvent.frame)
      found.push({ type: splitter.type, bytes: Buffer.from(splitter.buffer.subarray(splitter.start, splitter.end)) });
  }
  return found;
}

const writer = new WireWriter();

function decodeBoth({ type, bytes }: Found): void {
  const front = decodeFrontend(type, bytes, 0, bytes.length);
  if (front.kind !== 'malformed') {
    encodeFrontend(front, writer);
    sameBytes(writer.take(), bytes, front.kind);
  }
  if (type < 0) return;
  const back = decodeBackend(type, bytes, 0, bytes.length);
  if (back.kind === 'malformed') return;
  encodeBackend(back, writer);
  const again = writer.take();
  // A field that is there twice keeps one value, and fields come back in an order of their own.
  if (back.kind !== 'errorResponse' && back.kind !== 'noticeResponse') sameBytes(again, bytes, back.kind);
}

function sameBytes(again: Uint8Array, bytes: Buffer, kind: string): void {
  promise(bytes.equals(again), `${kind} does not come back as it was: ${bytes.toString('hex').slice(0, 120)}`);
}
