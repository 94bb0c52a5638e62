// What rules can ask of a report, by name: one number each, and what it means. docs/report.md lists them.
import {
  type StatementClass,
  statementClasses,
  type TransactionOutcomeName,
  transactionOutcomes,
} from '@mirrorstream/domain';
import type { Finding, PerformanceEntry } from '@mirrorstream/findings';
import type { ReportSources } from './sources.ts';

export type MetricUnit = 'count' | 'share' | 'ms';

export interface Metric {
  readonly name: string;
  readonly unit: MetricUnit;
  readonly means: string;
  /** null: not known. */
  readonly of: (sources: ReportSources) => number | null;
}

/** Of a finding, what is neither noise nor hidden by a suppression. */
export function unexplained({ count, hidden, decision, status }: Finding): number {
  return decision === 'noise' || status === 'suppressed' ? 0 : Math.max(0, count - hidden);
}

export const comparedStatements = ({ statements }: ReportSources): number =>
  statementClasses.reduce((sum, name) => sum + (name === 'notCompared' ? 0 : statements[name]), 0);

const allStatements = ({ statements }: ReportSources): number =>
  statementClasses.reduce((sum, name) => sum + statements[name], 0);

const ofFindings = (findings: readonly Finding[], classes: readonly StatementClass[] | null): number =>
  findings
    .filter((one) => classes === null || classes.includes(one.class))
    .reduce((sum, one) => sum + unexplained(one), 0);

const share = (part: number, whole: number): number | null => (whole === 0 ? null : part / whole);

const isRegression = ({ decision }: PerformanceEntry): boolean => decision === 'regression';

function worst(percentile: 'p50Us' | 'p95Us' | 'p99Us'): Metric['of'] {
  return ({ performance }) =>
    performance.every(({ decision }) => decision === 'tooFew')
      ? null
      : Math.max(
          0,
          ...performance
            .filter(isRegression)
            .map(({ captured, replayed }) =>
              captured[percentile] > 0 ? replayed[percentile] / captured[percentile] - 1 : 0,
            ),
        );
}

const count = (name: string, means: string, of: Metric['of']): Metric => ({ name, unit: 'count', means, of });
const shareMetric = (name: string, means: string, of: Metric['of']): Metric => ({ name, unit: 'share', means, of });

const outcomeMeanings: Readonly<Record<TransactionOutcomeName, string>> = {
  replayed: 'played on the mirror',
  filtered: 'left out by a filter, or for a side effect',
  unexposed: 'of sessions outside of the exposure',
  shed: 'left out because the mirror was behind',
  failed: 'could not be played',
};

const metrics: readonly Metric[] = [
  shareMetric('divergence.rate', 'statements that differ, of those compared; without noise and suppressed ones', (it) =>
    share(ofFindings(it.findings, null), comparedStatements(it)),
  ),
  count('divergence.count', 'the same, in statements', (it) => ofFindings(it.findings, null)),
  shareMetric('divergence.raw.rate', 'the same with noise and suppressed ones', (it) =>
    share(
      it.findings.reduce((sum, one) => sum + one.count, 0),
      comparedStatements(it),
    ),
  ),
  count(
    'findings.count',
    'findings that are neither noise nor suppressed',
    (it) => it.findings.filter((one) => unexplained(one) > 0).length,
  ),
  count(
    'findings.real',
    'of these, those beyond doubt',
    (it) => it.findings.filter((one) => one.decision === 'real' && unexplained(one) > 0).length,
  ),
  count(
    'findings.breaks',
    'findings that would break something: new errors, other rows, values or columns',
    (it) => it.findings.filter((one) => one.severity === 'breaks' && unexplained(one) > 0).length,
  ),
  count('errors.new', 'statements that fail on the mirror alone', (it) => ofFindings(it.findings, ['errorNew'])),
  count('errors.gone', 'statements that failed in production alone', (it) => ofFindings(it.findings, ['errorGone'])),
  count('errors.changed', 'statements that fail on both, otherwise', (it) => ofFindings(it.findings, ['errorChanged'])),
  shareMetric(
    'p50.regression',
    'the largest increase of a median, of statements whose regression is beyond doubt; 0: there is none',
    worst('p50Us'),
  ),
  shareMetric('p95.regression', 'the same of the 95th percentile', worst('p95Us')),
  shareMetric('p99.regression', 'the same of the 99th percentile', worst('p99Us')),
  count(
    'regressions.count',
    'statements that are slower beyond doubt',
    ({ performance }) => performance.filter(isRegression).length,
  ),
  {
    name: 'time.lost',
    unit: 'ms',
    means: 'what these take longer, all calls together',
    of: ({ performance }) =>
      performance.filter(isRegression).reduce((sum, { totalLostUs }) => sum + totalLostUs, 0) / 1000,
  },
  count('transactions.captured', 'transactions that capture published', ({ account }) => account.captured),
  ...transactionOutcomes.map((name) =>
    count(`transactions.${name}`, `transactions ${outcomeMeanings[name]}`, ({ account }) => account[name]),
  ),
  count('transactions.inFlight', 'transactions without an outcome yet', ({ account }) => account.inFlight),
  shareMetric('replayed.rate', 'transactions played, of those captured', ({ account }) =>
    share(account.replayed, account.captured),
  ),
  count('statements.compared', 'statements compared', comparedStatements),
  ...statementClasses.map((name) =>
    count(`statements.${name}`, `statements of the class ${name}`, ({ statements }) => statements[name]),
  ),
  shareMetric('notCompared.rate', 'statements that could not be compared, of all', (it) =>
    share(it.statements.notCompared, allStatements(it)),
  ),
  shareMetric(
    'exposure.effective',
    'share of the sessions that was played',
    ({ fidelity }) => fidelity.effectiveExposure,
  ),
  {
    name: 'schedule.p99',
    unit: 'ms',
    means: 'how late 99 % of the requests were sent at most; timed pacing',
    of: ({ fidelity }) => fidelity.scheduleLagMs?.p99 ?? null,
  },
  {
    name: 'behindSource',
    unit: 'ms',
    means: 'age of the oldest transaction that waits',
    of: ({ fidelity }) => fidelity.behindSourceMs,
  },
];

const byName = new Map(metrics.map((metric) => [metric.name, metric]));
export const metricNames: readonly string[] = [...byName.keys()];
export const metricNamed = (name: string): Metric | undefined => byName.get(name);
export const allMetrics = (): readonly Metric[] => metrics;
