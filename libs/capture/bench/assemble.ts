// Prints µs per transaction for framing, assembling and encoding the traffic of pgbench -S: simple and prepared protocol, and TPC-B.
import { performance } from 'node:perf_hooks';
import { BatchEncoder } from '@mirrorstream/envelope';
import * as wire from '../src/conversation-script.fixture.ts';
import { createSequencer, defaultCaptureLimits, openSession, type SessionCapture } from '../src/index.ts';

const SESSIONS = 8;
const TRANSACTIONS = Number(process.argv[2] ?? 200_000);
const BATCH_BYTES = 64 * 1024;

const encoder = new BatchEncoder({
  source: 'bench',
  captureNode: 'node-1',
  incarnation: 'a1',
  worker: 0,
  partition: 0,
});
let batchBytes = 0;
const sequencer = createSequencer();

function session(index: number): SessionCapture {
  const capture = openSession({
    sessionId: `node-1-a1-0-${index}`,
    samplingDraw: 0.5,
    clock: { wallUsAtMonoZero: 1_763_700_000_000_000 },
    sequencer,
    limits: defaultCaptureLimits,
    emit: (draft) => {
      encoder.add(draft);
      if (encoder.sizeBytes < BATCH_BYTES) return;
      batchBytes += encoder.take().length;
      encoder.reset();
    },
  });
  for (const step of wire.greeting) feed(capture, step, 0);
  return capture;
}

function feed(capture: SessionCapture, step: wire.Step, monoUs: number): void {
  const chunk = wire.stepBytes(step);
  if (step[0] === 'F') capture.clientChunk(chunk, 0, chunk.length, monoUs);
  else capture.serverChunk(chunk, 0, chunk.length, monoUs);
}

const answer: wire.Step = ['B', wire.columns('abalance'), wire.row('-1234'), wire.tag('SELECT 1'), wire.ready('I')];
const select = 'SELECT abalance FROM pgbench_accounts WHERE aid = 4711;';
const prepared = 'SELECT abalance FROM pgbench_accounts WHERE aid = $1;';
const simple = (sql: string, tag: string, status: 'I' | 'T'): wire.Step[] => [
  ['F', wire.query(sql)],
  ['B', wire.tag(tag), wire.ready(status)],
];
const workloads: Record<string, { readonly once: wire.Step[]; readonly each: wire.Step[] }> = {
  'simple -S': { once: [], each: [['F', wire.query(select)], answer] },
  'prepared -S': {
    once: [
      ['F', wire.parse('P_0', prepared), wire.sync],
      ['B', wire.parsed, wire.ready('I')],
    ],
    each: [
      ['F', wire.bind('P_0', '', '4711'), wire.describe('P'), wire.execute(), wire.sync],
      ['B', wire.bound, wire.columns('abalance'), wire.row('-1234'), wire.tag('SELECT 1'), wire.ready('I')],
    ],
  },
  'extended -S': {
    once: [],
    each: [
      ['F', wire.parse('', prepared), wire.bind('', '', '4711'), wire.describe('P'), wire.execute(), wire.sync],
      [
        'B',
        wire.parsed,
        wire.bound,
        wire.columns('abalance'),
        wire.row('-1234'),
        wire.tag('SELECT 1'),
        wire.ready('I'),
      ],
    ],
  },
  'TPC-B simple (7 exchanges)': {
    once: [],
    each: [
      ...simple('BEGIN;', 'BEGIN', 'T'),
      ...simple('UPDATE pgbench_accounts SET abalance = abalance + -12 WHERE aid = 4711;', 'UPDATE 1', 'T'),
      ['F', wire.query(select)],
      ['B', wire.columns('abalance'), wire.row('-1234'), wire.tag('SELECT 1'), wire.ready('T')],
      ...simple('UPDATE pgbench_tellers SET tbalance = tbalance + -12 WHERE tid = 7;', 'UPDATE 1', 'T'),
      ...simple('UPDATE pgbench_branches SET bbalance = bbalance + -12 WHERE bid = 1;', 'UPDATE 1', 'T'),
      ...simple(
        'INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (7, 1, 4711, -12, CURRENT_TIMESTAMP);',
        'INSERT 0 1',
        'T',
      ),
      ...simple('END;', 'COMMIT', 'I'),
    ],
  },
};

console.log(`node ${process.version}, ${SESSIONS} sessions, ${TRANSACTIONS} transactions each workload`);
for (const [name, { once, each }] of Object.entries(workloads)) {
  const sessions = Array.from({ length: SESSIONS }, (_, i) => session(i));
  for (const capture of sessions) for (const step of once) feed(capture, step, 10);
  const chunks = each.map((step) => ({ client: step[0] === 'F', bytes: wire.stepBytes(step) }));
  let monoUs = 1000;
  const run = (count: number): void => {
    for (let i = 0; i < count; i++) {
      const capture = sessions[i % SESSIONS] as SessionCapture;
      for (const { client, bytes } of chunks) {
        monoUs += 20;
        if (client) capture.clientChunk(bytes, 0, bytes.length, monoUs);
        else capture.serverChunk(bytes, 0, bytes.length, monoUs);
      }
    }
  };
  run(TRANSACTIONS / 10);
  const cpu = process.cpuUsage();
  const startedMs = performance.now();
  const bytesBefore = batchBytes;
  run(TRANSACTIONS);
  const elapsedMs = performance.now() - startedMs;
  const { user, system } = process.cpuUsage(cpu);
  const perTransaction = ((elapsedMs * 1000) / TRANSACTIONS).toFixed(2);
  const cpuUs = ((user + system) / TRANSACTIONS).toFixed(2);
  const size = Math.round((batchBytes - bytesBefore) / TRANSACTIONS);
  console.log(
    `${name.padEnd(28)} ${perTransaction.padStart(6)} µs  cpu ${cpuUs.padStart(6)} µs  ${size} bytes a transaction`,
  );
}
