// Streams made to be remembered: whatever a peer says over and over under ever new names, a session keeps a bounded part of it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { BackendMessage } from '@mirrorstream/pg-wire';
import {
  bind,
  bound,
  columns,
  error,
  greeting,
  parse,
  parsed,
  query,
  ready,
  type Step,
  status,
  stepBytes,
  sync,
  tag,
} from './conversation-script.fixture.ts';
import { defaultCaptureLimits } from './limits.ts';
import { createSequencer } from './sequencer.ts';
import { openSession } from './session.ts';
import type { SessionCapture } from './session-capture.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const rounds = 300;
const longBytes = 30_000;
/** Beyond what a session says it holds: entries, maps, what the collector leaves. */
const slackBytes = 3 * 1024 * 1024;

const long = (i: number): string => `n${i}${'o'.repeat(longBytes)}`;
const simple = (sql: string, answer: string, state: 'I' | 'T' = 'I'): Step[] => [
  ['F', query(sql)],
  ['B', tag(answer), ready(state)],
];
const begin = simple('BEGIN', 'BEGIN', 'T');

interface Hoarding {
  readonly what: string;
  readonly before?: readonly Step[];
  readonly round: (i: number) => readonly Step[];
}

const hoardings: readonly Hoarding[] = [
  {
    what: 'portals of one transaction',
    before: [...begin, ['F', parse('s', 'SELECT 1'), sync], ['B', parsed, ready('T')]],
    round: (i) => [
      ['F', bind('s', long(i)), sync],
      ['B', bound, ready('T')],
    ],
  },
  {
    what: 'prepared statements with long names',
    round: (i) => [
      ['F', parse(long(i), 'SELECT 1'), sync],
      ['B', parsed, ready('I')],
    ],
  },
  {
    what: 'prepared statements with long names, in SQL',
    round: (i) => simple(`PREPARE ${long(i)} AS SELECT 1`, 'PREPARE'),
  },
  { what: 'settings', round: (i) => simple(`SET my.${long(i)} = 'x'`, 'SET') },
  { what: 'values of settings', round: (i) => simple(`SET my.s${i} = '${long(i)}'`, 'SET') },
  {
    what: 'settings of a transaction',
    before: begin,
    round: (i) => simple(`SET LOCAL my.${long(i)} = 'x'`, 'SET', 'T'),
  },
  { what: 'settings the server reports', round: (i) => [['B', status(long(i), 'x')]] },
  { what: 'values the server reports', round: (i) => [['B', status(`s${i}`, long(i))]] },
  { what: 'savepoints', before: begin, round: (i) => simple(`SAVEPOINT ${long(i)}`, 'SAVEPOINT', 'T') },
  { what: 'channels', round: (i) => simple(`LISTEN ${long(i)}`, 'LISTEN') },
  { what: 'temporary tables', round: (i) => simple(`CREATE TEMP TABLE ${long(i)} (a int)`, 'CREATE TABLE') },
  {
    what: 'cursors',
    before: begin,
    round: (i) => simple(`DECLARE ${long(i)} CURSOR WITH HOLD FOR SELECT 1`, 'DECLARE CURSOR', 'T'),
  },
  { what: 'command tags', before: [['F', query('SELECT 1')]], round: (i) => [['B', tag(long(i))]] },
  { what: 'command tags of whole transactions', round: (i) => simple('SELECT 1', long(i)) },
  { what: 'severities', before: [['F', query('SELECT 1')]], round: (i) => [['B', error('22012', long(i))]] },
  {
    what: 'statements (a thousand each time) in one Query',
    before: [['F', query('SELECT 1')]],
    round: () => [['B', ...new Array<BackendMessage>(1_000).fill(tag('SELECT 1'))]],
  },
  { what: 'columns', before: [['F', query('SELECT 1')]], round: (i) => [['B', columns(long(i)), tag('SELECT 1')]] },
];

for (const { what, before = [], round } of hoardings) {
  test(`${rounds} ${what} are not remembered: each has ${longBytes} bytes or many parts`, () => {
    const session = openSession({
      sessionId: 's-1',
      samplingDraw: 0,
      clock: { wallUsAtMonoZero: 0 },
      sequencer: createSequencer(),
      limits: defaultCaptureLimits,
      emit: () => undefined,
    });
    for (const step of [...greeting, ...before]) give(session, step);
    const usedBefore = usedBytes();
    for (let i = 0; i < rounds; i++) for (const step of round(i)) give(session, step);
    const kept = usedBytes() - usedBefore;
    const said = session.bufferedBytes;
    assert.ok(kept <= said + slackBytes, `${Math.round(kept / 2 ** 20)} MiB are kept, ${said} bytes are told`);
    const { sessionBufferBytes, maxStatementBytes, maxSettingBytes, maxFrameBytes } = defaultCaptureLimits;
    assert.ok(said <= sessionBufferBytes + maxStatementBytes + maxSettingBytes + 2 * maxFrameBytes);
    session.close(1e9);
  });
}

let monoUs = 0;

function give(session: SessionCapture, step: Step): void {
  const bytes = stepBytes(step);
  monoUs += 100;
  if (step[0] === 'F') session.clientChunk(bytes, 0, bytes.length, monoUs);
  else session.serverChunk(bytes, 0, bytes.length, monoUs);
}

function usedBytes(): number {
  for (let i = 0; i < 3; i++) collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
