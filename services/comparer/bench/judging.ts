// Micro-benchmark of stage two: exchanges judged per second on one core, and the memory of many statement shapes. Prints one JSON line.
//
// `node --expose-gc judging.ts WORKLOAD SECONDS`: a record goes in as Kafka gives it, verdicts come out as Kafka takes them.
import { readFileSync } from 'node:fs';
import { encodeResultBatch, ResultOutcome, StatementEnd } from '@mirrorstream/envelope';
import type { IncomingRecord } from '@mirrorstream/kafka';
import { createSqlAnalyzer } from '@mirrorstream/sql';
import { ExemplarQuota } from '../src/exemplar-quota.ts';
import { Judge } from '../src/judge.ts';
import { PartitionLedger } from '../src/ledger.ts';
import { RecordProcessor } from '../src/record-processor.ts';

const workloads = ['matches', 'literals', 'differences', 'allDiffer', 'shapes'] as const;
type Workload = (typeof workloads)[number];

const RESULTS_PER_RECORD = 50;
const RECORDS = 400;
const SHAPES = 100_000;
const ROWS = 20;

const observation = (digest: bigint) => ({
  end: StatementEnd.COMPLETE,
  commandTag: `SELECT ${ROWS}`,
  rows: BigInt(ROWS),
  sizeBytes: 900n,
  digested: true,
  orderedDigest: digest,
  multisetDigest: digest,
  columnsDigest: 5n,
  columnCount: 3,
  latencyUs: 320n,
  firstRowUs: 250n,
});

function frame(type: string, body: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.write(type, 'latin1');
  head.writeInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}

function answer(change: string): Buffer {
  const columns = [
    ['id', 23],
    ['price', 1700],
    ['at', 1184],
  ] as const;
  const described = columns.map(([name, oid]) => {
    const fixed = Buffer.alloc(18);
    fixed.writeUInt32BE(oid, 6);
    return Buffer.concat([Buffer.from(`${name}\0`), fixed]);
  });
  const cell = (value: string): Buffer => {
    const length = Buffer.alloc(4);
    length.writeInt32BE(value.length);
    return Buffer.concat([length, Buffer.from(value)]);
  };
  const rows = Array.from({ length: ROWS }, (_, i) =>
    frame(
      'D',
      Buffer.concat([
        Buffer.from([0, 3]),
        cell(String(i)),
        cell(`${i}.50`),
        cell(`2024-01-31 12:34:56${i === 13 ? change : '+00'}`),
      ]),
    ),
  );
  return Buffer.concat([
    frame('T', Buffer.concat([Buffer.from([0, 3]), ...described])),
    ...rows,
    frame('C', Buffer.from(`SELECT ${ROWS}\0`)),
  ]);
}

const [captured, replayed] = [answer('+00'), answer('.5+00')];

function sqlOf(workload: Workload, n: number): string {
  if (workload === 'literals') return `SELECT id, price, at FROM orders WHERE id = ${n} AND state = 'open' ORDER BY id`;
  if (workload === 'shapes') return `SELECT id, price, at FROM orders_${n % SHAPES} WHERE id = $1 ORDER BY id`;
  return `SELECT id, price, at FROM orders_${n % 200} WHERE customer = $1 AND state = $2 ORDER BY id`;
}

/** One transaction of one exchange of one statement each. */
function records(workload: Workload, from: number): IncomingRecord[] {
  const differs = (n: number): boolean => workload === 'allDiffer' || (workload === 'differences' && n % 100 === 0);
  return Array.from({ length: RECORDS }, (_, r) => {
    const results = Array.from({ length: RESULTS_PER_RECORD }, (_, i) => {
      const n = from + r * RESULTS_PER_RECORD + i;
      const different = differs(n);
      return {
        ref: { offset: BigInt(n), sessionId: `session-${n % 500}`, sessionSeq: BigInt(1 + n), lastPart: true },
        outcome: ResultOutcome.REPLAYED,
        capturedAtUs: 1_700_000_000_000_000n + BigInt(n),
        statements: [
          {
            sql: sqlOf(workload, n),
            equal: !different,
            captured: observation(1n),
            replayed: observation(different ? 2n : 1n),
            ...(different ? { capturedRaw: captured, replayedRaw: replayed } : {}),
          },
        ],
        transactions: 1,
      };
    });
    const value = encodeResultBatch({ environment: 'default', mirror: 'm', run: 'live', replayer: 'r', results });
    return {
      offset: BigInt(r),
      key: null,
      value: Buffer.from(value),
      headers: {},
      timestampMs: 0,
    } as unknown as IncomingRecord;
  });
}

async function measure(workload: Workload, seconds: number): Promise<Record<string, number | string>> {
  const sql = await createSqlAnalyzer();
  const judge = new Judge(sql, new ExemplarQuota({ perShape: 20, maxShapes: 10_000 }), {
    maxExemplarBytes: 384 * 1024,
    maxNormalizedChars: 2_048,
  });
  const options = { environment: 'default', mirror: 'm', run: 'live', resultsTopic: 't', deadLetterPartitions: 1 };
  const processor = new RecordProcessor({ ...options, maxBatchBytes: 512 * 1024 }, judge);
  const ledger = new PartitionLedger(
    { environment: 'default', mirror: 'm', partition: 0 },
    { maxEnded: 10_000, maxBytes: 600 * 1024 },
    null,
  );
  const heapBefore = heapBytes();
  let exchanges = 0;
  let spentMs = 0;
  let made = 0;
  const warmUp = 2 * RECORDS * RESULTS_PER_RECORD;
  const until = workload === 'shapes' ? SHAPES : Number.POSITIVE_INFINITY;
  while (spentMs < seconds * 1000 && made < until) {
    const batch = records(workload, made);
    const from = performance.now();
    for (const record of batch) processor.process(ledger, 0, record);
    if (made >= warmUp || workload === 'shapes') {
      spentMs += performance.now() - from;
      exchanges += RECORDS * RESULTS_PER_RECORD;
    }
    made += RECORDS * RESULTS_PER_RECORD;
  }
  const { statements } = ledger.counts;
  return {
    ...{ workload, exchanges, perSecond: Math.round(exchanges / (spentMs / 1000)) },
    ...{ match: statements.match, different: made - statements.match },
    ...{
      heapGrowthBytes: heapBytes() - heapBefore,
      cacheEntries: sql.stats().entries,
      cacheBytes: sql.stats().sizeBytes,
    },
    peakRssBytes: Number(/VmHWM:\s+(\d+)/.exec(readStatus())?.[1] ?? 0) * 1024,
  };
}

function heapBytes(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

function readStatus(): string {
  try {
    return readFileSync('/proc/self/status', 'utf8');
  } catch {
    return '';
  }
}

const [name, seconds] = process.argv.slice(2);
const workload = workloads.find((one) => one === name);
if (workload === undefined) throw new Error(`usage: judging.ts ${workloads.join('|')} SECONDS`);
console.log(JSON.stringify(await measure(workload, Number(seconds ?? 5))));
