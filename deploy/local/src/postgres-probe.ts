// Asks a PostgreSQL server over a bare socket whether it serves: a start-up packet, and a query where no password is needed.
//
// StartupMessage = length:int32 196608:int32 {name\0 value\0}* \0;  Query = 'Q' length:int32 sql\0;  Terminate = 'X' 4
// Answers = type:byte length:int32 …;  'R' Authentication*, 'E' ErrorResponse, 'Z' ReadyForQuery. Manual: "Message Formats".
import { connect } from 'node:net';

/** `asksPassword`: it is up, but whether it can run a query only somebody with the password can see. */
export type PostgresAnswer = 'ready' | 'asksPassword' | 'starting' | 'none';

export interface PostgresProbe {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly timeoutMs: number;
}

/** One attempt. Never throws. */
export function probePostgres(probe: PostgresProbe): Promise<PostgresAnswer> {
  return new Promise((resolve) => {
    const socket = connect({ host: probe.host, port: probe.port, noDelay: true });
    const timer = setTimeout(() => finish('none'), probe.timeoutMs);
    const finish = (answer: PostgresAnswer): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    let received: Buffer = Buffer.alloc(0);
    let asked = false;
    socket.on('connect', () => socket.write(startupMessage(probe)));
    socket.on('error', () => finish('none'));
    socket.on('close', () => finish('none'));
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      for (let length = frameLength(received); length > 0; length = frameLength(received)) {
        const type = String.fromCharCode(received[0] ?? 0);
        // ErrorResponse during start-up: 57P03 "the database system is starting up".
        if (type === 'E') return finish('starting');
        if (type === 'R' && received.readInt32BE(5) !== 0) return finish('asksPassword');
        if (type === 'Z') {
          if (asked) {
            socket.end(Buffer.from([0x58, 0, 0, 0, 4]));
            return finish('ready');
          }
          asked = true;
          socket.write(queryMessage('SELECT 1'));
        }
        received = received.subarray(length);
      }
    });
  });
}

/** Bytes of the first complete frame, or 0. */
function frameLength(bytes: Buffer): number {
  if (bytes.length < 5) return 0;
  const length = 1 + bytes.readInt32BE(1);
  return bytes.length < length ? 0 : length;
}

function startupMessage(probe: PostgresProbe): Buffer {
  const body = Buffer.from(`user\0${probe.user}\0database\0${probe.database}\0\0`);
  const head = Buffer.alloc(8);
  head.writeInt32BE(8 + body.length, 0);
  head.writeInt32BE(196608, 4);
  return Buffer.concat([head, body]);
}

function queryMessage(sql: string): Buffer {
  const body = Buffer.from(`${sql}\0`);
  const head = Buffer.alloc(5);
  head[0] = 0x51;
  head.writeInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}
