// Micro-benchmark of the digester: MB/s and ns per row for some row sizes, and the cost of a one-row answer.
import { AnswerDigester } from '../src/index.ts';

function dataRow(sizeBytes: number, seed: number): Uint8Array {
  const frame = new Uint8Array(5 + sizeBytes);
  frame[0] = 0x44;
  new DataView(frame.buffer).setUint32(1, 4 + sizeBytes);
  for (let i = 5; i < frame.length; i++) frame[i] = (i * 31 + seed * 17) & 0xff;
  return frame;
}

function concat(frames: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(frames));
}

function measureRows(sizeBytes: number, digest: boolean): void {
  const rowsPerChunk = Math.max(1, Math.floor(65_536 / (sizeBytes + 5)));
  const chunk = concat(Array.from({ length: rowsPerChunk }, (_, i) => dataRow(sizeBytes, i)));
  const digester = new AnswerDigester({ digest });
  const frameBytes = sizeBytes + 5;
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 8; round++) {
    const chunks = 400;
    const from = process.hrtime.bigint();
    for (let n = 0; n < chunks; n++)
      for (let at = 0; at < chunk.length; at += frameBytes) digester.frame(chunk, at, at + frameBytes, 0);
    best = Math.min(best, Number(process.hrtime.bigint() - from) / (chunks * rowsPerChunk));
    digester.reset();
  }
  const megabytesPerS = (sizeBytes / best) * 1000;
  console.log(
    `${digest ? 'digest' : 'count '}  ${sizeBytes} B rows: ${megabytesPerS.toFixed(0)} MB/s, ${best.toFixed(1)} ns/row`,
  );
}

function measureSmallAnswer(): void {
  const text = (s: string) => Buffer.from(`${s}\0`, 'latin1');
  const frame = (type: string, body: Uint8Array) => {
    const out = Buffer.alloc(5 + body.length);
    out.write(type, 0, 'latin1');
    out.writeUInt32BE(4 + body.length, 1);
    out.set(body, 5);
    return out;
  };
  const column = Buffer.concat([
    text('abalance'),
    Buffer.from([0, 0, 64, 1, 0, 3, 0, 0, 0, 23, 0, 4, 255, 255, 255, 255, 0, 0]),
  ]);
  const frames = [
    frame('T', Buffer.concat([Buffer.from([0, 1]), column])),
    frame('D', Buffer.from([0, 1, 0, 0, 0, 4, 45, 49, 50, 51])),
    frame('C', text('SELECT 1')),
    frame('Z', text('I').subarray(0, 1)),
  ];
  const digester = new AnswerDigester();
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 8; round++) {
    const answers = 200_000;
    const from = process.hrtime.bigint();
    for (let n = 0; n < answers; n++) {
      digester.reset();
      for (const f of frames) digester.frame(f, 0, f.length, 100);
    }
    best = Math.min(best, Number(process.hrtime.bigint() - from) / answers);
  }
  console.log(`one-row answer (T D C Z): ${best.toFixed(0)} ns`);
}

console.log(`node ${process.version}`);
for (const sizeBytes of [20, 100, 1000]) measureRows(sizeBytes, true);
measureRows(100, false);
measureSmallAnswer();
