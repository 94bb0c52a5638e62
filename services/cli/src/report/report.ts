// From sources to what every format shows: the verdict in a sentence, findings with their examples, performance, rules. Pure.
import { type DecodedAnswer, decodeAnswer, describeSqlState } from '@mirrorstream/compare';
import { transactionOutcomes } from '@mirrorstream/domain';
import type { Exemplar, ExemplarAnswer, Finding, PerformanceEntry } from '@mirrorstream/findings';
import { type AnswerDiff, diffAnswers } from '../inspect/answer-diff.ts';
import type { StoredPlan } from '../inspect/plan.ts';
import { redactDiff, type ShowValue, showValueOf, tellsValues } from '../inspect/redaction.ts';
import { formatCount } from './html/words.ts';
import { comparedStatements, metricNamed, unexplained } from './metrics.ts';
import { judgeRule, type Rule, type RuleResult } from './rules.ts';
import type { ReportSources } from './sources.ts';

export interface ShownExample {
  readonly envelope: string;
  readonly exchange: number;
  readonly statement: number;
  readonly atUs: number;
  /** As sent; '' where values are not shown. */
  readonly sql: string;
  readonly detail: string;
  readonly captured: string;
  readonly replayed: string;
  readonly diff: AnswerDiff | null;
}

export interface ShownFinding extends Omit<Finding, 'exemplars'> {
  /** Neither noise nor hidden. */
  readonly unexplained: number;
  readonly examples: readonly ShownExample[];
  readonly plans: readonly StoredPlan[];
}

export interface Report {
  readonly schema: 'mirrorstream.report/1';
  readonly showsValues: boolean;
  readonly verdict: { readonly level: 'good' | 'warn' | 'bad' | 'unknown'; readonly sentence: string };
  readonly sources: Omit<ReportSources, 'aggregates' | 'controls' | 'findings' | 'plans'>;
  readonly compared: number;
  /** captured = the sum of the outcomes + in flight. */
  readonly balanced: boolean;
  readonly real: readonly ShownFinding[];
  readonly undecided: readonly ShownFinding[];
  readonly noise: readonly ShownFinding[];
  readonly suppressed: readonly ShownFinding[];
  readonly regressions: readonly ShownPerformance[];
  readonly improvements: readonly ShownPerformance[];
  readonly controls: readonly string[];
  readonly rules: readonly RuleResult[];
  /** Every rule holds. */
  readonly passed: boolean;
}

export interface ShownPerformance extends PerformanceEntry {
  readonly plans: readonly StoredPlan[];
}

const limits = { maxRows: 100, maxColumns: 40, maxCellChars: 200 };
const maxDiffEntries = 24;

export function makeReport(sources: ReportSources, rules: readonly Rule[], showsValues: boolean): Report {
  const show = showValueOf(showsValues);
  const shown = sources.findings.map((finding) => shownFinding(finding, sources.plans, show, showsValues));
  const isSuppressed = (one: ShownFinding): boolean =>
    one.status === 'suppressed' || (one.hidden > 0 && one.unexplained === 0);
  const open = shown.filter((one) => !isSuppressed(one));
  const withPlans = (one: PerformanceEntry): ShownPerformance => ({
    ...one,
    plans: plansOf(sources.plans, one.fingerprint),
  });
  const results = rules.map((rule) => judgeRule(rule, metricNamed(rule.metric)?.of(sources) ?? null));
  const { aggregates: _a, controls, findings: _f, plans: _p, ...rest } = sources;
  const regressions = sources.performance.filter(({ decision }) => decision === 'regression').map(withPlans);
  const real = open.filter(({ decision }) => decision === 'real');
  const undecided = open.filter(({ decision }) => decision === 'undecided');
  return {
    schema: 'mirrorstream.report/1',
    showsValues,
    verdict: verdictOf(sources, real, undecided, regressions.length),
    sources: rest,
    compared: comparedStatements(sources),
    balanced: isBalanced(sources),
    real,
    undecided,
    noise: open.filter(({ decision }) => decision === 'noise'),
    suppressed: shown.filter(isSuppressed),
    regressions,
    improvements: sources.performance
      .filter(({ decision }) => decision === 'improvement')
      .map(withPlans)
      .reverse(),
    controls: controls.map(({ mirror }) => mirror),
    rules: results,
    passed: results.every(({ passed }) => passed),
  };
}

function isBalanced({ account }: ReportSources): boolean {
  return account.captured === transactionOutcomes.reduce((sum, name) => sum + account[name], account.inFlight);
}

function verdictOf(
  sources: ReportSources,
  real: readonly ShownFinding[],
  undecided: readonly ShownFinding[],
  regressions: number,
): Report['verdict'] {
  const { mirror } = sources.scope;
  const compared = comparedStatements(sources);
  if (compared === 0)
    return { level: 'unknown', sentence: `Nothing was compared on ${mirror}: nothing can be said of it.` };
  const breaks = real.filter(({ severity }) => severity === 'breaks').length;
  const others = real.length - breaks;
  const parts = [
    ...(breaks > 0 ? [`${plural(breaks, 'kind')} of statement would break`] : []),
    ...(others > 0 ? [`${plural(others, 'kind')} answer${others === 1 ? 's' : ''} otherwise without breaking`] : []),
    ...(regressions > 0 ? [`${plural(regressions, 'kind')} ${regressions === 1 ? 'is' : 'are'} slower`] : []),
    ...(undecided.length > 0 ? [undecidedPart(undecided, sources.controls.length > 0)] : []),
  ];
  const of = `${formatCount(compared)} statements compared`;
  if (parts.length === 0)
    return { level: 'good', sentence: `${mirror} answers as production does: ${of}, no difference left to explain.` };
  const level = breaks > 0 || (sources.controls.length === 0 && undecided.some(isBreak)) ? 'bad' : 'warn';
  return { level, sentence: `On ${mirror} ${listed(parts)}; ${of}.` };
}

const isBreak = ({ severity }: ShownFinding): boolean => severity === 'breaks';

/** Without a control mirror nothing is beyond doubt, and nothing is excused. */
function undecidedPart(undecided: readonly ShownFinding[], hasControl: boolean): string {
  const count = plural(undecided.length, hasControl ? 'difference' : 'kind');
  if (hasControl) return `${count} may be noise`;
  return `${count} of statement differ${undecided.length === 1 ? 's' : ''} (no control mirror tells what of it is noise)`;
}

const plural = (count: number, word: string): string => `${count} ${word}${count === 1 ? '' : 's'}`;

const listed = (parts: readonly string[]): string =>
  parts.length < 2 ? parts.join('') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`;

const plansOf = (plans: readonly StoredPlan[], fingerprint: string): readonly StoredPlan[] =>
  plans.filter((plan) => plan.fingerprint === fingerprint);

function shownFinding(
  finding: Finding,
  plans: readonly StoredPlan[],
  show: ShowValue,
  showsValues: boolean,
): ShownFinding {
  const { exemplars, ...rest } = finding;
  return {
    ...rest,
    unexplained: unexplained(finding),
    examples: exemplars.map((one) => shownExample(one, finding.class, show, showsValues)),
    plans: plansOf(plans, finding.fingerprint),
  };
}

function shownExample(exemplar: Exemplar, className: string, show: ShowValue, showsValues: boolean): ShownExample {
  const { envelope, exchange, statement, atUs } = exemplar;
  const captured = keptAnswer(exemplar.captured, exemplar);
  const replayed = keptAnswer(exemplar.replayed, exemplar);
  return {
    envelope: `${envelope.partition}:${envelope.offset}:${envelope.index}`,
    exchange,
    statement,
    atUs,
    sql: showsValues ? (exemplar.sql ?? '') : '',
    detail: showsValues || !tellsValues(className) ? exemplar.detail : '',
    captured: answerText(exemplar.captured, captured, showsValues),
    replayed: answerText(exemplar.replayed, replayed, showsValues),
    diff:
      captured === null && replayed === null ? null : redactDiff(diffAnswers(captured, replayed, maxDiffEntries), show),
  };
}

function keptAnswer(
  answer: ExemplarAnswer | undefined,
  { statement, rawTruncated, rawAlone }: Exemplar,
): DecodedAnswer | null {
  if (answer?.raw === undefined) return null;
  const bytes = Buffer.from(answer.raw, 'base64');
  return decodeAnswer({ bytes, statement: rawAlone ? 0 : statement, truncated: rawTruncated }, limits);
}

function answerText(answer: ExemplarAnswer | undefined, kept: DecodedAnswer | null, showsValues: boolean): string {
  if (answer === undefined) return '';
  if (answer.sqlState !== '') {
    const message = showsValues && kept?.error ? `: ${kept.error.message}` : '';
    return `${describeSqlState(answer.sqlState)}${message}`;
  }
  const rows = answer.rows > 0 ? `, ${plural(answer.rows, 'row')}` : '';
  return `${answer.commandTag || answer.end.toLowerCase()}${rows}`;
}
