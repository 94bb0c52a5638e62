// Conversations with a real PostgreSQL: each kind of traffic as frames, sent in seeded random pieces.
import { B, FrameEvent, FrameSplitter, type FrontendMessage } from '@mirrorstream/pg-wire';
import type { SeededRandom } from '@mirrorstream/testkit';
import { End, frames, startup } from './raw-client.ts';

/** What the client sends, and how often the server must say the awaited message before the client goes on. */
interface Step {
  readonly sent: Buffer;
  readonly until: number;
  readonly times: number;
}

export interface RealConversation {
  readonly name: string;
  readonly steps: readonly Step[];
}

const text = (value: string): Uint8Array => Buffer.from(value);
const query = (sql: string): FrontendMessage => ({ kind: 'query', query: sql });
const sync: FrontendMessage = { kind: 'sync' };
const terminate = frames({ kind: 'terminate' });

const step = (messages: readonly FrontendMessage[], until: number = B.ReadyForQuery, times = 1): Step => ({
  sent: frames(...messages),
  until,
  times,
});
const ask = (...queries: readonly string[]): Step[] => queries.map((sql) => step([query(sql)]));
const parse = (statement: string, sql: string): FrontendMessage => ({
  kind: 'parse',
  statement,
  query: sql,
  parameterTypes: [],
});
const bind = (statement: string, ...values: string[]): FrontendMessage => ({
  kind: 'bind',
  portal: '',
  statement,
  parameterFormats: [],
  parameters: values.map(text),
  resultFormats: [],
});
const execute = (maxRows = 0): FrontendMessage => ({ kind: 'execute', portal: '', maxRows });
const data = (rows: string): FrontendMessage => ({ kind: 'copyData', data: text(rows) });

const rows = (from: number, count: number): string =>
  Array.from({ length: count }, (_, i) => `${from + i}\tsome text\n`).join('');

export const realConversations: readonly RealConversation[] = [
  {
    name: 'simple queries, errors, notices, many statements in one',
    steps: ask(
      'SELECT 1',
      '',
      'SELECT 1; SELECT 2; SELECT 1/0; SELECT 3',
      'BEGIN; SELECT 1/0',
      'COMMIT; BEGIN; SELECT 4; COMMIT AND NO CHAIN',
      'DROP TABLE IF EXISTS nowhere',
      'SELEKT',
    ),
  },
  {
    name: 'large answers and many rows',
    steps: ask("SELECT repeat('x', 3000000)", 'SELECT i, md5(i::text) FROM generate_series(1, 20000) i', 'SELECT NULL'),
  },
  {
    name: 'the extended protocol: prepared, described, by pieces, failing, flushed',
    steps: [
      step([parse('s', 'SELECT generate_series(1, $1::int)'), { kind: 'describe', target: 'S', name: 's' }, sync]),
      step([bind('s', '100'), execute(10), execute(10), execute(), sync]),
      step([bind('s', 'no number'), execute(), sync]),
      step([bind('s', '3'), execute(), { kind: 'flush' }], B.CommandComplete),
      step([{ kind: 'close', target: 'S', name: 's' }, sync]),
      step([parse('', 'SELECT length($1)'), bind('', 'y'.repeat(1_500_000)), execute(), sync]),
    ],
  },
  {
    name: 'a pipeline that is sent before anything is answered',
    steps: [
      step(
        Array.from({ length: 200 }, (_, i) => [
          parse('', i % 50 === 7 ? 'SELECT 1/0' : 'SELECT $1::int'),
          bind('', ...(i % 50 === 7 ? [] : [String(i)])),
          execute(),
          sync,
        ]).flat(),
        B.ReadyForQuery,
        200,
      ),
    ],
  },
  {
    name: 'COPY in both directions, failing too',
    steps: [
      ...ask('CREATE TEMP TABLE copied (i int, t text)'),
      step([query('COPY copied FROM STDIN')], B.CopyInResponse),
      step([...Array.from({ length: 40 }, (_, i) => data(rows(i * 1000, 1000))), { kind: 'copyDone' }]),
      step([query('COPY copied FROM STDIN')], B.CopyInResponse),
      step([data('no number\n'), data(rows(0, 3000)), { kind: 'copyDone' }]),
      step([query('COPY copied FROM STDIN')], B.CopyInResponse),
      step([data(rows(0, 10)), { kind: 'copyFail', reason: 'changed my mind' }]),
      ...ask('COPY copied TO STDOUT'),
    ],
  },
  {
    name: 'notifications, settings, a function call',
    steps: [
      ...ask('LISTEN news', "NOTIFY news, 'one'", "SET application_name = 'other'", "SET TimeZone = 'Asia/Tokyo'"),
      step([
        { kind: 'functionCall', functionOid: 1598, argumentFormats: [], arguments: [], resultFormat: 0 }, // random()
      ]),
    ],
  },
];

/** Plays it through `port`. The pieces are cut by `random`; a few of them wait until the ones before are gone. */
export async function converse(
  port: number,
  who: { readonly user: string; readonly database: string },
  conversation: RealConversation,
  random: SeededRandom,
): Promise<void> {
  const end = await End.connect(port);
  const awaited = countMessages(end);
  await sendInPieces(end, startup(who.user, who.database), random);
  await awaited(B.ReadyForQuery, 1);
  for (const { sent, until, times } of conversation.steps) {
    const answered = awaited(until, times);
    await sendInPieces(end, sent, random);
    await answered;
  }
  end.socket.end(terminate);
  await end.closed();
}

async function sendInPieces(end: End, bytes: Buffer, random: SeededRandom): Promise<void> {
  const most = random.pick([3, 1_000, 70_000, 1_000_000]);
  const least = Math.ceil(bytes.length / 300);
  for (let at = 0; at < bytes.length; ) {
    const size = least + random.integer(0, most);
    await end.send(bytes.subarray(at, at + size));
    if (random.next() < 0.2) await new Promise((resolve) => setImmediate(resolve));
    at += size;
  }
}

/** Resolves when `times` messages of a type came since it was asked. */
function countMessages(end: End): (type: number, times: number) => Promise<void> {
  const splitter = new FrameSplitter({ maxFrameBytes: 1024 });
  let wanted: { type: number; left: number; resolve: () => void } | null = null;
  let lost: (error: Error) => void = () => undefined;
  end.socket.on('data', (chunk: Buffer) => {
    splitter.feed(chunk);
    for (let event = splitter.next(); event !== FrameEvent.needMore; event = splitter.next()) {
      const begins = event === FrameEvent.frame || event === FrameEvent.frameBegin;
      if (!begins || wanted === null || splitter.type !== wanted.type) continue;
      wanted.left -= 1;
      if (wanted.left === 0) wanted.resolve();
    }
  });
  end.socket.on('close', () => lost(new Error('the connection was lost')));
  return (type, times) =>
    new Promise((resolve, reject) => {
      lost = reject;
      wanted = { type, left: times, resolve };
    });
}
