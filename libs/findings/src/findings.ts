// Findings: what people look at of the aggregates of a mirror, beside those of its control mirrors and what was said about them.
import { divergenceClasses, type StatementClass } from '@mirrorstream/domain';
import { findingId } from './fnv.ts';
import { AggregateMerger } from './merge.ts';
import type {
  Aggregate,
  ClassCount,
  ControlAggregates,
  Decision,
  Finding,
  Severity,
  SuppressionCount,
} from './model.ts';
import { decide, type NoiseDecision, type NoiseRule, noiseRule } from './noise.ts';
import type { FindingRecords } from './records.ts';
import { type Hidden, hiddenOf, statusOf, suppressionCounts } from './suppression.ts';

const severityOf: Readonly<Record<(typeof divergenceClasses)[number], Severity>> = {
  errorNew: 'breaks',
  errorChanged: 'changes',
  errorGone: 'changes',
  rowCount: 'breaks',
  value: 'breaks',
  columns: 'breaks',
  commandTag: 'changes',
  collation: 'changes',
  orderOnly: 'minor',
};

export interface FindingsInput {
  readonly aggregates: readonly Aggregate[];
  readonly controls: readonly ControlAggregates[];
  readonly records: FindingRecords;
  readonly nowMs: number;
  readonly rule?: NoiseRule;
}

export interface Findings {
  /** The gravest first; of those alike, the most frequent. */
  readonly findings: readonly Finding[];
  readonly suppressions: readonly SuppressionCount[];
}

export function findingsOf(input: FindingsInput): Findings {
  const controls = mergedControls(input.controls);
  const findings: Finding[] = [];
  const hidden: Hidden[] = [];
  for (const aggregate of input.aggregates) {
    for (const name of divergenceClasses) {
      const found = aggregate.classes[name];
      if (found === undefined || found.count === 0) continue;
      const hides = hiddenOf(aggregate, name, found, input.records.suppressions, input.nowMs);
      hidden.push(hides);
      findings.push(findingOf(aggregate, name, found, controls.get(aggregate.fingerprint) ?? null, hides, input));
    }
  }
  return {
    findings: findings.sort(gravestFirst),
    suppressions: suppressionCounts(input.records.suppressions, hidden, input.nowMs),
  };
}

/** One aggregate per shape, of all control mirrors together. */
export function mergedControls(controls: readonly ControlAggregates[]): ReadonlyMap<string, Aggregate> {
  const merger = new AggregateMerger();
  for (const { aggregates } of controls) for (const aggregate of aggregates) merger.add(aggregate);
  return new Map(merger.all().map((aggregate) => [aggregate.fingerprint, aggregate]));
}

/** calls that were compared at all. */
export const comparedOf = (aggregate: Aggregate): number =>
  aggregate.calls - (aggregate.classes.notCompared?.count ?? 0);

function findingOf(
  aggregate: Aggregate,
  name: (typeof divergenceClasses)[number],
  found: ClassCount,
  control: Aggregate | null,
  hidden: Hidden,
  { records, rule = noiseRule }: FindingsInput,
): Finding {
  const compared = comparedOf(aggregate);
  const onControl = (count: number) => (control === null ? null : { count, compared: comparedOf(control) });
  const controlClass = control?.classes[name];
  const columns = found.columns.map(({ name: column, count }) => ({
    name: column,
    count,
    ...decide(
      { count, compared },
      onControl(controlClass?.columns.find((one) => one.name === column)?.count ?? 0),
      rule,
    ),
  }));
  const id = findingId(aggregate.fingerprint, name);
  const said = records.statuses.get(id);
  const status = statusOf(found, hidden.count, said);
  const overall = decide({ count: found.count, compared }, onControl(controlClass?.count ?? 0), rule);
  return {
    id,
    fingerprint: aggregate.fingerprint,
    class: name,
    severity: severityOf[name],
    normalizedSql: aggregate.normalizedSql,
    verb: aggregate.verb,
    tables: aggregate.tables,
    calls: aggregate.calls,
    compared,
    count: found.count,
    ...withColumns(overall, columns),
    columns,
    status,
    ...(said === undefined || status === 'open'
      ? {}
      : { statusBy: { by: said.by, reason: said.reason, atMs: said.atMs } }),
    hidden: hidden.count,
    suppressions: [...hidden.by.keys()],
    expiredSuppressions: [...hidden.expired.keys()],
    suspects: aggregate.suspects[name] ?? 0,
    errors: errorsOf(name, aggregate),
    firstSeenUs: found.firstSeenUs,
    lastSeenUs: found.lastSeenUs,
    exemplars: found.exemplars,
  };
}

/** One column that is more than noise makes the whole real, however noisy others are. */
function withColumns(
  overall: NoiseDecision,
  columns: readonly { readonly name: string; readonly decision: Decision; readonly why: string }[],
): NoiseDecision {
  if (overall.decision === 'real') return overall;
  const real = columns.find(({ decision }) => decision === 'real');
  if (real !== undefined) return { ...overall, decision: 'real', why: `column ${real.name}: ${real.why}` };
  if (overall.decision === 'noise' && columns.some(({ decision }) => decision === 'undecided'))
    return { ...overall, decision: 'undecided', why: `${overall.why}; of some columns it is not known` };
  return overall;
}

/** Which pairs of SQLSTATEs a class of errors stands for. */
function errorsOf(name: StatementClass, { errors }: Aggregate): Finding['errors'] {
  switch (name) {
    case 'errorNew':
      return errors.filter(({ captured, replayed }) => captured === '' && replayed !== '');
    case 'errorGone':
      return errors.filter(({ captured, replayed }) => captured !== '' && replayed === '');
    case 'errorChanged':
      return errors.filter(({ captured, replayed }) => captured !== '' && replayed !== '');
    default:
      return [];
  }
}

const severityRank: Readonly<Record<Severity, number>> = { breaks: 0, changes: 1, minor: 2, info: 3 };
const decisionRank: Readonly<Record<Decision, number>> = { real: 0, undecided: 1, noise: 2 };

function gravestFirst(a: Finding, b: Finding): number {
  return (
    Number(a.status === 'suppressed') - Number(b.status === 'suppressed') ||
    decisionRank[a.decision] - decisionRank[b.decision] ||
    severityRank[a.severity] - severityRank[b.severity] ||
    b.count - a.count ||
    a.id.localeCompare(b.id)
  );
}
