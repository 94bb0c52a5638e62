// Whether a difference is more than noise: its rate on the mirror against its rate on the control mirrors, with the interval of what
// is left.
//
// The rule begins with Diffy's (raw > noise, |raw − noise| / (raw + noise) > 20 %, |raw − noise| of all > 0.03 %) and asks for evidence on
// either side (docs/findings.md): `real` needs an excess whose 99 % interval lies above 0; `noise` needs that the control shows it, and that
// an excess as large as would matter is unlikely. All else is `undecided`, and shown as such.
import { newcombe, wilson } from './intervals.ts';
import type { Decision, Noise, Rate } from './model.ts';

export interface NoiseRule {
  /** Least |raw − noise| / (raw + noise) that matters. */
  readonly relative: number;
  /** Least excess that matters, of all statements compared. */
  readonly absolute: number;
  /** Below this many statements on the control nothing is called noise, and nothing real that the control might show as well. */
  readonly minControl: number;
  /** Noise is what is unlikely to be more than so many times the least excess that matters. */
  readonly ruledOut: number;
}

export const noiseRule: NoiseRule = { relative: 0.2, absolute: 0.0003, minControl: 30, ruledOut: 1.5 };

export interface Seen {
  readonly count: number;
  /** Of so many. */
  readonly compared: number;
}

export interface NoiseDecision {
  readonly rate: Rate;
  readonly noise: Noise | null;
  readonly decision: Decision;
  readonly why: string;
}

/** `control`: null, or nothing compared there: noise is not known. */
export function decide(raw: Seen, control: Seen | null, rule: NoiseRule = noiseRule): NoiseDecision {
  const rate = wilson(raw.count, raw.compared);
  if (control === null || control.compared === 0)
    return {
      rate,
      noise: null,
      decision: 'undecided',
      why: `raw ${percent(rate)}, n = ${raw.compared}; no control mirror saw this shape, so how much of it is noise is not known`,
    };
  const noiseRate = wilson(control.count, control.compared);
  const excess = newcombe(rate, noiseRate);
  const noise: Noise = { count: control.count, compared: control.compared, rate: noiseRate, excess };
  const { decision, because } = weigh(raw, control, noise, rule);
  const why = `raw ${percent(rate)}, noise ${percent(noiseRate)}, n = ${raw.compared} / ${control.compared}: ${because}`;
  return { rate, noise, decision, why };
}

function weigh(
  raw: Seen,
  control: Seen,
  { rate: noise, excess }: Noise,
  rule: NoiseRule,
): { readonly decision: Decision; readonly because: string } {
  const matters = leastExcess(noise.value, rule);
  if (excess.low > 0 && excess.value > matters && control.compared >= rule.minControl)
    return { decision: 'real', because: `${percentOf(excess.low)} to ${percentOf(excess.high)} more than noise` };
  if (control.compared < rule.minControl)
    return { decision: 'undecided', because: `too few on the control to tell (${rule.minControl} are needed)` };
  if (control.count === 0)
    return { decision: 'undecided', because: 'the control never shows it, yet it is too rare here to be sure' };
  if (raw.compared >= rule.minControl && excess.high <= rule.ruledOut * matters)
    return { decision: 'noise', because: 'the control shows it as often' };
  return { decision: 'undecided', because: 'the control shows it too; more statements will tell' };
}

/** The smallest excess that passes both of Diffy's thresholds: r − n > relative (r + n) ⇔ r − n > 2 relative n / (1 − relative). */
function leastExcess(noise: number, rule: NoiseRule): number {
  return Math.max(rule.absolute, (2 * rule.relative * noise) / (1 - rule.relative));
}

const percent = (rate: Rate): string => `${percentOf(rate.value)} [${percentOf(rate.low)}, ${percentOf(rate.high)}]`;

/** Two digits that say something. */
export function percentOf(share: number): string {
  const value = share * 100;
  const digits = Math.abs(value) >= 10 || value === 0 ? 0 : Math.abs(value) >= 1 ? 1 : Math.abs(value) >= 0.1 ? 2 : 3;
  return `${value.toFixed(digits)} %`;
}
