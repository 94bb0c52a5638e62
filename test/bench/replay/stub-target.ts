// A mirror that costs next to nothing: answers every exchange at once, or after a fixed time, with the row of pgbench's -S.
//
// Run as a process of its own: `node stub-target.ts [DELAY_MS]`; says `{"port":…}` when it listens.
import { createServer, type Socket } from 'node:net';
import {
  type BackendMessage,
  encodeBackend,
  F,
  FrameEvent,
  FrameSplitter,
  SSL_REQUEST_CODE,
  STARTUP_PACKET,
  WireWriter,
} from '@mirrorstream/pg-wire';

const delayMs = Number(process.argv[2] ?? '0');

function encoded(...messages: readonly BackendMessage[]): Buffer {
  const writer = new WireWriter();
  for (const message of messages) encodeBackend(message, writer);
  return Buffer.from(writer.take());
}

const column = {
  name: 'abalance',
  tableOid: 0,
  columnNumber: 0,
  typeOid: 23,
  typeSize: 4,
  typeModifier: -1,
  format: 0,
} as const;
const columns: BackendMessage = { kind: 'rowDescription', fields: [column] };
const rows: readonly BackendMessage[] = [
  { kind: 'dataRow', values: [Buffer.from('0')] },
  { kind: 'commandComplete', tag: 'SELECT 1' },
];
const ready: BackendMessage = { kind: 'readyForQuery', status: 'I' };

const greeting = encoded(
  { kind: 'authenticationOk' },
  { kind: 'backendKeyData', processId: 1, secretKey: Buffer.alloc(4) },
  ready,
);
const answers: Readonly<Record<number, Buffer>> = {
  [F.Query]: encoded(columns, ...rows, ready),
  [F.Parse]: encoded({ kind: 'parseComplete' }),
  [F.Bind]: encoded({ kind: 'bindComplete' }),
  [F.Describe]: encoded(columns),
  [F.Execute]: encoded(...rows),
  [F.Close]: encoded({ kind: 'closeComplete' }),
  [F.Sync]: encoded(ready),
};

/** No TLS here: the request for it is refused, and the start-up packet comes after that. */
function greetingFor({ buffer, start }: FrameSplitter): Buffer {
  const code = Buffer.from(buffer.buffer, buffer.byteOffset + start).readInt32BE(4);
  return code === SSL_REQUEST_CODE ? Buffer.from('N') : greeting;
}

function serve(socket: Socket): void {
  const splitter = new FrameSplitter({ phase: 'startup' });
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk: Buffer) => {
    const parts: Buffer[] = [];
    splitter.feed(chunk);
    for (let event = splitter.next(); event !== FrameEvent.needMore; event = splitter.next()) {
      if (event === FrameEvent.malformed || splitter.type === F.Terminate) return void socket.end();
      const answer = splitter.type === STARTUP_PACKET ? greetingFor(splitter) : answers[splitter.type];
      if (answer !== undefined) parts.push(answer);
    }
    const bytes = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
    if (delayMs === 0) socket.write(bytes);
    else setTimeout(() => socket.writable && socket.write(bytes), delayMs);
  });
}

const server = createServer(serve);
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  process.stdout.write(`${JSON.stringify({ port })}\n`);
});
process.on('SIGTERM', () => process.exit(0));
