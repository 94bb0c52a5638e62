// Thresholds as a pipeline writes them: `divergence.rate<0.1%`, `p95.regression<10%`, `errors.new==0`. Parsed before anything runs.
import { MirrorstreamError, nearestWord } from '@mirrorstream/domain';
import { type Metric, type MetricUnit, metricNamed, metricNames } from './metrics.ts';

export const operators = ['<=', '>=', '==', '!=', '<', '>'] as const;
export type Operator = (typeof operators)[number];

export interface Rule {
  /** As it was given. */
  readonly text: string;
  readonly metric: string;
  readonly operator: Operator;
  /** In the metric's unit: counts, shares (0.001 for 0.1 %), ms. */
  readonly value: number;
}

export interface RuleResult {
  readonly rule: string;
  readonly metric: string;
  /** null: not known, which never passes. */
  readonly actual: number | null;
  readonly passed: boolean;
  /** For people. */
  readonly said: string;
}

const durations: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** Throws `badInput` that says what is wrong with it. */
export function parseRule(text: string): Rule {
  const match = /^\s*([A-Za-z0-9.]+)\s*(<=|>=|==|!=|<|>)\s*(-?\d+(?:\.\d+)?(?:e-?\d+)?)\s*(%|us|ms|s|m|h)?\s*$/.exec(
    text,
  );
  const shown = JSON.stringify(text.slice(0, 80));
  if (match === null)
    throw bad(`${shown} is no rule`, 'Write METRIC, one of < <= > >= == !=, and a number: divergence.rate<0.1%.');
  const [, name = '', operator = '', digits = '', unit] = match;
  const metric = metricNamed(name);
  if (metric === undefined) {
    const meant = nearestWord(name, metricNames);
    const hint = meant === undefined ? `There are: ${metricNames.join(', ')}.` : `Did you mean ${meant}?`;
    throw bad(`${shown}: there is no metric ${JSON.stringify(name)}`, hint);
  }
  return {
    text: text.trim(),
    metric: name,
    operator: operator as Operator,
    value: thresholdOf(metric, Number(digits), unit, shown),
  };
}

function thresholdOf({ name, unit }: Metric, number: number, given: string | undefined, shown: string): number {
  switch (unit) {
    case 'count':
      if (given === undefined) return number;
      throw bad(`${shown}: ${name} is a number of things`, `Write it without ${given}.`);
    case 'share':
      if (given === undefined) return number;
      if (given === '%') return number / 100;
      throw bad(`${shown}: ${name} is a share`, 'Write 0.1%, or 0.001.');
    case 'ms': {
      const factor = durations[given ?? ''];
      if (factor !== undefined) return number * factor;
      throw bad(`${shown}: ${name} is a duration`, 'Write it with its unit: 500ms, 30s, 5m.');
    }
    default:
      return unit satisfies never;
  }
}

export function judgeRule(rule: Rule, actual: number | null): RuleResult {
  const { unit } = metricNamed(rule.metric) as Metric;
  const passed = actual !== null && holds(actual, rule.operator, rule.value);
  const known = actual === null ? 'is not known: too little was compared' : `is ${formatMetric(actual, unit)}`;
  return { rule: rule.text, metric: rule.metric, actual, passed, said: `${rule.metric} ${known}` };
}

function holds(actual: number, operator: Operator, value: number): boolean {
  switch (operator) {
    case '<':
      return actual < value;
    case '<=':
      return actual <= value;
    case '>':
      return actual > value;
    case '>=':
      return actual >= value;
    case '==':
      return actual === value;
    case '!=':
      return actual !== value;
    default:
      return operator satisfies never;
  }
}

export function formatMetric(value: number, unit: MetricUnit): string {
  switch (unit) {
    case 'count':
      return String(value);
    case 'share':
      return `${Number((value * 100).toPrecision(3))} %`;
    case 'ms':
      return `${Number(value.toPrecision(4))} ms`;
    default:
      return unit satisfies never;
  }
}

function bad(message: string, hint: string): MirrorstreamError {
  return new MirrorstreamError('badInput', `--fail-on ${message}`, { stage: 'report', hint });
}
