// The clients of the soak, in a thread of their own: they connect, do some turns, leave in one way or another, and connect anew.
import { parentPort, workerData } from 'node:worker_threads';
import { queryFrame, type SeededRandom, seededRandom, WireConnection } from '@mirrorstream/testkit';
import { preparation, provokedErrors, type Turn, turns } from './load-turns.ts';

export interface LoadSettings {
  readonly url: string;
  readonly clients: number;
  readonly seed: number;
  /** Of a connection, at most. */
  readonly turns: number;
}

/** Sent once a second, and when the load has ended. */
export interface LoadReport {
  readonly turns: Readonly<Record<string, number>>;
  readonly exchanges: number;
  /** SQLSTATE → how often. */
  readonly errors: Readonly<Record<string, number>>;
  /** How clients left; `closed`: the other side closed first. */
  readonly left: Readonly<Record<string, number>>;
  /** Clients that gave up, and why. */
  readonly failures: readonly string[];
  readonly ended: boolean;
}

const totalWeight = turns.reduce((sum, { weight }) => sum + weight, 0);
const settings = workerData as LoadSettings;
const counts = {
  turns: {} as Record<string, number>,
  exchanges: 0,
  errors: {} as Record<string, number>,
  left: {} as Record<string, number>,
  failures: [] as string[],
};
let stopping = false;
let connections = 0;

const count = (table: Record<string, number>, key: string): void => {
  table[key] = (table[key] ?? 0) + 1;
};
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const tell = (ended: boolean): void => parentPort?.postMessage({ ...counts, ended } satisfies LoadReport);

parentPort?.on('message', () => {
  stopping = true;
});
const telling = setInterval(() => tell(false), 1_000);
const random = seededRandom(settings.seed);
await Promise.all(Array.from({ length: settings.clients }, () => client(random.fork())));
clearInterval(telling);
tell(true);
parentPort?.close();

async function client(own: SeededRandom): Promise<void> {
  while (!stopping) {
    connections += 1;
    const url = new URL(settings.url);
    url.searchParams.set('application_name', `soak-${connections}`);
    try {
      await visit(url.href, own);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      // A proxy that drains closes idle sessions, as a server that shuts down does. Who closed is the recorder's to judge.
      count(counts.left, 'closed');
      if (!/closed the connection|ECONN|EPIPE/.test(message)) counts.failures.push(message);
      await wait(own.integer(1, 50));
    }
  }
}

async function visit(url: string, own: SeededRandom): Promise<void> {
  const connection = await WireConnection.connect(url);
  const send = async (frames: Buffer, readies = 1): Promise<void> => {
    const { sqlState } = await connection.exchange(frames, readies);
    counts.exchanges += readies;
    if (sqlState === undefined) return;
    count(counts.errors, sqlState);
    if (!provokedErrors.has(sqlState)) counts.failures.push(`unprovoked error ${sqlState}`);
  };
  try {
    for (const frames of preparation) await send(frames);
    const last = own.integer(1, settings.turns);
    for (let i = 0; i < last && !stopping; i++) {
      const turn = chosen(own);
      await turn.play({ connection, random: own, send, wait });
      count(counts.turns, turn.name);
    }
    await leave(connection, own, send);
  } finally {
    connection.destroy();
  }
}

/** Most say goodbye. Some just end the stream, some vanish, in the middle of a request or not. */
async function leave(
  connection: WireConnection,
  own: SeededRandom,
  send: (frames: Buffer) => Promise<void>,
): Promise<void> {
  const choice = own.next();
  if (choice < 0.75) {
    await connection.close();
    count(counts.left, 'said goodbye');
  } else if (choice < 0.85) {
    await connection.leave();
    count(counts.left, 'ended the stream');
  } else {
    if (choice < 0.95) send(queryFrame('SELECT pg_sleep(0.01)')).catch(() => {});
    connection.destroy();
    count(counts.left, 'reset');
  }
}

function chosen(own: SeededRandom): Turn {
  let left = own.next() * totalWeight;
  for (const turn of turns) {
    left -= turn.weight;
    if (left < 0) return turn;
  }
  return turns[0] as Turn;
}
