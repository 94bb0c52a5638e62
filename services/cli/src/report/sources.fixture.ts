// Sources of a report with something in every section, whose texts and values are as hostile as they can be.
import { statementClasses } from '@mirrorstream/domain';
import type { Exemplar, Finding, PerformanceEntry } from '@mirrorstream/findings';
import { backendBytes, described, ready, row, tag } from '../inspect/captured.fixture.ts';
import type { StoredPlan } from '../inspect/plan.ts';
import type { ReportSources } from './sources.ts';

/** Would run, or reach out, or close what it stands in, if any place forgot to escape. */
export const hostile = `"><script>alert(1)</script><img src=x onerror=alert(2)>'\`]]>&{{\u202e\u0007|](http://evil.example)`;

const raw = (rows: readonly (readonly (string | null)[])[]): string =>
  Buffer.from(
    backendBytes([
      described('id', `name ${hostile}`),
      ...rows.map((cells) => row(...cells)),
      tag(`SELECT ${rows.length}`),
      ready(),
    ]),
  ).toString('base64');

const exemplar: Exemplar = {
  envelope: { partition: 3, offset: '18204', index: 1, sessionId: 'session', sessionSeq: '7', part: 0 },
  resultOffset: '17',
  exchange: 0,
  statement: 0,
  atUs: 1_763_700_000_000_000,
  detail: `row 2, column name: ${hostile}`,
  columns: ['name'],
  sql: `SELECT id, name FROM item WHERE name = '${hostile}'`,
  captured: {
    end: 'COMPLETE',
    commandTag: 'SELECT 3',
    rows: 3,
    sqlState: '',
    latencyUs: 900,
    raw: raw([
      ['1', 'same'],
      ['2', `was ${hostile}`],
      ['3', null],
    ]),
  },
  replayed: {
    end: 'COMPLETE',
    commandTag: 'SELECT 3',
    rows: 3,
    sqlState: '',
    latencyUs: 1_900,
    raw: raw([
      ['1', 'same'],
      ['2', `is ${hostile}`],
      ['3', ''],
    ]),
  },
  rawTruncated: false,
  rawAlone: true,
};

const rate = (value: number) => ({ value, low: value * 0.9, high: value * 1.1 });

export function finding(over: Partial<Finding> = {}): Finding {
  return {
    id: '0123456789ab',
    fingerprint: 'f1',
    class: 'value',
    severity: 'breaks',
    normalizedSql: `SELECT id, name FROM item WHERE name = $1 /* ${hostile} */`,
    verb: 'SELECT',
    tables: ['item', hostile],
    calls: 1200,
    compared: 1180,
    count: 37,
    rate: rate(0.031),
    noise: null,
    decision: 'real',
    why: `raw 3.1 % [2.8, 3.4], no control mirror ${hostile}`,
    columns: [{ name: hostile, count: 37, rate: rate(0.031), noise: null, decision: 'real', why: '' }],
    status: 'open',
    hidden: 0,
    suppressions: [],
    expiredSuppressions: [],
    suspects: 4,
    errors: [],
    firstSeenUs: 1_763_700_000_000_000,
    lastSeenUs: 1_763_703_600_000_000,
    exemplars: [exemplar],
    ...over,
  };
}

export function performance(over: Partial<PerformanceEntry> = {}): PerformanceEntry {
  return {
    fingerprint: 'f2',
    normalizedSql: `SELECT count(*) FROM orders WHERE customer = $1 -- ${hostile}`,
    verb: 'SELECT',
    tables: ['orders'],
    samples: 4_000,
    captured: { p50Us: 800, p95Us: 2_000, p99Us: 5_000 },
    replayed: { p50Us: 1_700, p95Us: 5_000, p99Us: 14_000 },
    ratio: rate(2.2),
    differenceUs: rate(1_100),
    totalLostUs: 4_400_000,
    control: null,
    netRatio: rate(2.2),
    decision: 'regression',
    why: '',
    ...over,
  };
}

const plan = (side: StoredPlan['side'], node: string): StoredPlan => ({
  schema: 'mirrorstream.plan/1',
  fingerprint: 'f2',
  side,
  atMs: 1_763_700_000_000,
  envelope: '0:1:0',
  serverVersion: `PostgreSQL ${side === 'source' ? '17.6' : '18.0'}`,
  normalizedSql: '',
  plan: [
    {
      Plan: {
        'Node Type': node,
        'Relation Name': hostile,
        'Total Cost': 42.5,
        'Plan Rows': 10,
        'Plan Width': 8,
        Filter: `(customer = '${hostile}')`,
      },
    },
  ],
});

const manyPoints = Array.from({ length: 40 }, (_, i) => {
  const us = 120 * 1.28 ** i;
  const name = `f${100 + i}`;
  const percentiles = { p50Us: us / 2, p95Us: us, p99Us: us * 2 };
  const times = 1 + ((i * 7) % 5) / 12;
  return performance({
    fingerprint: name,
    normalizedSql: `SELECT ${name}`,
    samples: 10 ** (1 + (i % 4)),
    captured: percentiles,
    replayed: { p50Us: (us / 2) * times, p95Us: us * times, p99Us: us * 2 * times },
    decision: 'same',
    netRatio: rate(times),
  });
});

export function sources(over: Partial<ReportSources> = {}): ReportSources {
  const statements = {
    ...(Object.fromEntries(statementClasses.map((name) => [name, 0])) as ReportSources['statements']),
    match: 48_200,
    value: 37,
    errorNew: 9,
    orderOnly: 60,
    suspect: 4,
    notCompared: 350,
  };
  return {
    scope: { environment: 'default', mirror: 'candidate', run: 'live', window: null },
    source: 'shop',
    atMs: 1_763_704_000_000,
    status: null,
    aggregates: [],
    controls: [{ mirror: 'control', run: 'live', aggregates: [] }],
    findings: [
      finding(),
      finding({
        id: '00000000000e',
        fingerprint: 'f3',
        class: 'errorNew',
        normalizedSql: 'SELECT date_part($1, $2)',
        count: 9,
        columns: [],
        suspects: 0,
        errors: [{ captured: '', replayed: '42883', count: 9 }],
        exemplars: [
          {
            ...exemplar,
            detail: 'SQLSTATE 42883 undefined_function on the mirror',
            replayed: { end: 'ERROR', commandTag: '', rows: 0, sqlState: '42883', latencyUs: 100 },
          },
        ],
      }),
      finding({
        id: '00000000000d',
        fingerprint: 'f4',
        class: 'orderOnly',
        severity: 'minor',
        decision: 'undecided',
        normalizedSql: 'SELECT * FROM item LIMIT $1',
        count: 2,
        columns: [],
        exemplars: [],
      }),
      finding({
        id: '00000000000c',
        fingerprint: 'f5',
        class: 'orderOnly',
        severity: 'minor',
        decision: 'noise',
        normalizedSql: 'SELECT * FROM cart',
        count: 58,
        why: 'raw 5 %, noise 4.9 %',
        columns: [],
        exemplars: [],
      }),
      finding({
        id: '00000000000b',
        fingerprint: 'f6',
        status: 'suppressed',
        hidden: 37,
        statusBy: { by: hostile, reason: hostile, atMs: 1 },
        exemplars: [],
      }),
    ],
    performance: [
      performance(),
      ...manyPoints,
      performance({
        fingerprint: 'f9',
        normalizedSql: 'UPDATE stock SET n = $1',
        decision: 'improvement',
        captured: { p50Us: 9_000, p95Us: 40_000, p99Us: 90_000 },
        replayed: { p50Us: 3_000, p95Us: 9_000, p99Us: 20_000 },
        netRatio: rate(0.3),
        totalLostUs: -8_000_000,
      }),
    ],
    suppressions: [
      {
        id: 'known-order',
        owner: hostile,
        reason: hostile,
        createdAtMs: 1,
        expiresAtMs: 1_763_900_000_000,
        scope: {},
        state: 'inForce',
        hides: 37,
        findings: 1,
      },
    ],
    servers: [
      { role: 'source', name: 'shop', facts: { version: '17.6', work_mem: '64MB', collation: 'en_US.UTF-8' } },
      { role: 'mirror', name: 'candidate', facts: { version: '18.0', work_mem: '4MB', collation: 'en_US.UTF-8' } },
    ],
    account: { captured: 20_000, replayed: 19_000, filtered: 300, unexposed: 600, shed: 50, failed: 30, inFlight: 20 },
    statements,
    notCompared: { volatile: 200, race: 150 },
    reasons: { 'failed/timeout': 30, 'shed/behindSource': 50, [`filtered/${hostile}`]: 300 },
    fidelity: {
      pacing: 'timed',
      speed: 1,
      scheduleLagMs: { sends: 60_000, p50: 0.8, p99: 14, max: 310 },
      configuredExposure: 1,
      effectiveExposure: 0.97,
      filters: [hostile],
      orderGivenUp: 0,
      outOfOrder: 12,
      divergedByOrder: 1,
      shedding: null,
      behindSourceMs: 340,
      consumerLag: 12,
      captureDropped: 0,
      duplicates: 0,
    },
    lag: Array.from({ length: 30 }, (_, i) => ({
      atMs: 1_763_700_000_000 + i * 60_000,
      lagMs: 200 + 900 * Math.abs(Math.sin(i / 4)),
    })),
    plans: [plan('source', 'Index Scan'), plan('mirror', 'Seq Scan')],
    notes: [hostile],
    ...over,
  };
}
