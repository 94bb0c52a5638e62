// Prints what the splitter, the peeks and the decoders cost per frame: `node libs/pg-wire/bench/split.ts`. Numbers only, nothing is asserted.
import {
  B,
  bindStatement,
  commandTag,
  decodeBackend,
  decodeFrontend,
  encodeBackend,
  encodeFrontend,
  F,
  FrameEvent,
  FrameSplitter,
  WireWriter,
} from '@mirrorstream/pg-wire';

const CHUNK_BYTES = 64 * 1024;
const ROUNDS = 9;
const MIN_FRAMES = 400_000;

/** Median of the rounds, in nanoseconds per frame. */
function nsPerFrame(work: () => number): number {
  const rounds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    let frames = 0;
    const startedAt = process.hrtime.bigint();
    while (frames < MIN_FRAMES) frames += work();
    rounds.push(Number(process.hrtime.bigint() - startedAt) / frames);
  }
  return rounds.sort((a, b) => a - b)[ROUNDS >> 1] ?? 0;
}

/** As many DataRow frames of this size as fit into about 1 MiB. */
function rows(frameBytes: number): Uint8Array {
  const writer = new WireWriter();
  const values = [new Uint8Array(4), new Uint8Array(frameBytes - 5 - 2 - 4 - 4 - 4)];
  while (writer.sizeBytes < 1 << 20) encodeBackend({ kind: 'dataRow', values }, writer);
  return writer.take();
}

function splitAll(bytes: Uint8Array, chunkBytes: number): () => number {
  const splitter = new FrameSplitter();
  return () => {
    let frames = 0;
    for (let at = 0; at < bytes.length; at += chunkBytes) {
      splitter.feed(bytes, at, Math.min(bytes.length, at + chunkBytes));
      while (splitter.next() === FrameEvent.frame) if (splitter.type === B.DataRow) frames++;
    }
    return frames;
  };
}

function report(what: string, ns: number): void {
  console.log(`${what.padEnd(48)} ${ns.toFixed(1).padStart(8)} ns`);
}

console.log(`node ${process.version}, ${process.platform} ${process.arch}, median of ${ROUNDS} rounds`);
for (const frameBytes of [100, 1024]) {
  const bytes = rows(frameBytes);
  report(`split, ${frameBytes}-byte frames, ${CHUNK_BYTES}-byte chunks`, nsPerFrame(splitAll(bytes, CHUNK_BYTES)));
  report(`split, ${frameBytes}-byte frames, 1448-byte chunks`, nsPerFrame(splitAll(bytes, 1448)));
  report(
    `decode DataRow, ${frameBytes} bytes`,
    nsPerFrame(() => {
      for (let i = 0; i < 1_000; i++) decodeBackend(B.DataRow, bytes, 0, frameBytes);
      return 1_000;
    }),
  );
}

const writer = new WireWriter();
const parameters = [Uint8Array.of(0, 0, 0, 1)];
const bind = {
  kind: 'bind',
  portal: '',
  statement: 'S_1',
  parameterFormats: [1],
  parameters,
  resultFormats: [1],
} as const;
encodeFrontend(bind, writer);
const bindBytes = writer.take();
encodeBackend({ kind: 'commandComplete', tag: 'SELECT 1' }, writer);
const tagBytes = writer.take();
/** Printed at the end, so that the peeks cannot be optimised away. */
let characters = 0;

report(
  'peek bindStatement',
  nsPerFrame(() => {
    for (let i = 0; i < 1_000; i++) characters += bindStatement(bindBytes, 0, bindBytes.length).length;
    return 1_000;
  }),
);
report(
  'peek commandTag',
  nsPerFrame(() => {
    for (let i = 0; i < 1_000; i++) characters += commandTag(tagBytes, 0, tagBytes.length).length;
    return 1_000;
  }),
);
report(
  'decode Bind',
  nsPerFrame(() => {
    for (let i = 0; i < 1_000; i++) decodeFrontend(F.Bind, bindBytes, 0, bindBytes.length);
    return 1_000;
  }),
);
report(
  'encode Bind',
  nsPerFrame(() => {
    for (let i = 0; i < 1_000; i++) encodeFrontend(bind, writer);
    writer.clear();
    return 1_000;
  }),
);
console.log(`(${characters} characters read)`);
