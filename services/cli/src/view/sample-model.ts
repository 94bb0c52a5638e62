// A made-up moment of a run, for tests of what is drawn.
import { StatusFolder, statementClasses, transactionOutcomes } from '@mirrorstream/domain';
import type { ViewModel } from './model.ts';

const zeros = <T extends string>(names: readonly T[]): Record<T, number> =>
  Object.fromEntries(names.map((name) => [name, 0])) as Record<T, number>;

export function sampleModel(change: Partial<ViewModel> = {}): ViewModel {
  const folder = new StatusFolder({ source: 'source', environment: 'default', mirrors: ['candidate', 'control'] });
  folder.add({
    kind: 'capture',
    source: 'source',
    captureNode: 'up',
    incarnation: '1',
    atMs: 0,
    final: false,
    sessions: { total: 31, open: 12 },
    transactions: 10_312,
    exchanges: 24_100,
    bytes: 9_000_000,
    dropped: { transactions: 0, bytes: 0, byReason: {} },
    pending: { transactions: 0, bytes: 0 },
    publishedUpTo: {},
  });
  const comparer = {
    kind: 'comparer',
    environment: 'default',
    partition: 0,
    atMs: 0,
    nextOffset: '9',
    notCompared: {},
  } as const;
  folder.add({
    ...comparer,
    mirror: 'candidate',
    outcomes: { ...zeros(transactionOutcomes), replayed: 10_200, failed: 2 },
    reasons: { 'failed/connectionLost': 2, replayed: 10_200 },
    statements: { ...zeros(statementClasses), match: 23_312, orderOnly: 40, value: 112, errorNew: 36, notCompared: 5 },
    duplicates: 0,
    sessions: {},
  });
  folder.add({
    ...comparer,
    mirror: 'control',
    outcomes: { ...zeros(transactionOutcomes), replayed: 10_312 },
    reasons: {},
    statements: { ...zeros(statementClasses), match: 24_000 },
    duplicates: 0,
    sessions: {},
  });
  const status = folder.status(0);
  const mirror = (name: string, what: string): ViewModel['mirrors'] => {
    const found = status.mirrors[name];
    const reasons = new Map([...folder.reasons(name)].filter(([reason]) => reason.includes('/')));
    return found === undefined ? [] : [{ name, what, status: found, reasons }];
  };
  return {
    phase: 'running',
    nowMs: 72_000,
    startedAtMs: 0,
    forMs: null,
    listen: '127.0.0.1:6543',
    connectWith: 'psql -h 127.0.0.1 -p 6543 -U demo demo',
    status,
    openSessions: 12,
    transactionsPerSecond: 142.4,
    mirrors: [...mirror('candidate', 'PostgreSQL 18'), ...mirror('control', 'PostgreSQL 17')],
    divergences: [
      {
        mirror: 'candidate',
        class: 'value',
        count: 112,
        sql: 'SELECT loyalty_points($1)',
        detail: 'row 1, column loyalty_points: 12 → 13',
        captured: 'loyalty_points = 12',
        replayed: 'loyalty_points = 13',
      },
      {
        mirror: 'candidate',
        class: 'errorNew',
        count: 36,
        sql: 'INSERT INTO order_lines (order_id, line, product_id, quantity) VALUES ($1, $5, $2, $3)',
        detail: 'SQLSTATE 23514 on the mirror; production succeeded',
        captured: 'INSERT 0 1',
        replayed:
          'ERROR 23514: new row for relation "order_lines" violates check constraint "order_lines_quantity_limit"',
      },
      {
        mirror: 'candidate',
        class: 'orderOnly',
        count: 40,
        sql: 'SELECT id, name FROM shipping_zones',
        detail: 'the same rows in another order',
        captured: '1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12',
        replayed: '12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1',
      },
    ],
    notes: [],
    ...change,
  };
}
