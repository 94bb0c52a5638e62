// The two plots as SVG: p95 against p95 on logarithmic axes, and lag over time.
import type { LagPoint } from '../sources.ts';
import { type Html, html, joined, nothing } from './html.ts';
import { formatUs } from './words.ts';

export interface SpeedPoint {
  readonly capturedUs: number;
  readonly replayedUs: number;
  readonly samples: number;
  readonly look: 'equal' | 'differs' | 'breaks';
  readonly title: string;
}

const size = { width: 720, height: 460, left: 74, right: 14, top: 14, bottom: 46 };
const maxPoints = 2_000;

/** Points above the dashed line are slower on the mirror. */
export function speedPlot(points: readonly SpeedPoint[]): Html {
  const shown = points.filter(({ capturedUs, replayedUs }) => capturedUs > 0 && replayedUs > 0).slice(0, maxPoints);
  if (shown.length === 0) return nothing;
  const values = shown.flatMap(({ capturedUs, replayedUs }) => [capturedUs, replayedUs]);
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))));
  const x = (us: number): number =>
    size.left + ((Math.log10(us) - low) / (high - low)) * (size.width - size.left - size.right);
  const y = (us: number): number =>
    size.height - size.bottom - ((Math.log10(us) - low) / (high - low)) * (size.height - size.top - size.bottom);
  const decades = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
  const [first, last] = [10 ** low, 10 ** high];
  return html`<svg class="plot" viewBox="0 0 ${size.width} ${size.height}" role="img" aria-label="95th percentile on the mirror against production, logarithmic">
${decades.map((us) => html`<line class="axis" x1="${n(x(us))}" x2="${n(x(us))}" y1="${size.top}" y2="${size.height - size.bottom}"/><line class="axis" x1="${size.left}" x2="${size.width - size.right}" y1="${n(y(us))}" y2="${n(y(us))}"/><text x="${n(x(us))}" y="${size.height - size.bottom + 18}" text-anchor="middle">${formatUs(us)}</text><text x="${size.left - 8}" y="${n(y(us) + 4)}" text-anchor="end">${formatUs(us)}</text>`)}
<line class="even" x1="${n(x(first))}" y1="${n(y(first))}" x2="${n(x(last))}" y2="${n(y(last))}"/>
<text x="${n((size.left + size.width) / 2)}" y="${size.height - 8}" text-anchor="middle">p95 in production</text>
<text x="${size.left + 8}" y="${size.top + 16}">↑ slower on the mirror</text>
${joined(shown.map((point) => html`<circle class="dot ${point.look}" cx="${n(x(point.capturedUs))}" cy="${n(y(point.replayedUs))}" r="${n(radius(point.samples))}"><title>${point.title}</title></circle>`))}
</svg>`;
}

const radius = (samples: number): number => Math.min(11, 3 + Math.log10(Math.max(1, samples)) * 1.4);
const n = (value: number): string => value.toFixed(1);

const lagSize = { width: 720, height: 180, left: 74, right: 14, top: 12, bottom: 34 };

export function lagPlot(points: readonly LagPoint[]): Html {
  const first = points[0];
  const last = points.at(-1);
  if (first === undefined || last === undefined || last.atMs <= first.atMs) return nothing;
  const most = Math.max(1, ...points.map(({ lagMs }) => lagMs));
  const x = (atMs: number): number =>
    lagSize.left + ((atMs - first.atMs) / (last.atMs - first.atMs)) * (lagSize.width - lagSize.left - lagSize.right);
  const y = (lagMs: number): number =>
    lagSize.height - lagSize.bottom - (lagMs / most) * (lagSize.height - lagSize.top - lagSize.bottom);
  const path = points.map(({ atMs, lagMs }, i) => `${i === 0 ? 'M' : 'L'}${n(x(atMs))} ${n(y(lagMs))}`).join('');
  const bottom = lagSize.height - lagSize.bottom;
  return html`<svg class="plot" viewBox="0 0 ${lagSize.width} ${lagSize.height}" role="img" aria-label="lag over time">
<line class="axis" x1="${lagSize.left}" x2="${lagSize.width - lagSize.right}" y1="${bottom}" y2="${bottom}"/>
<line class="axis" x1="${lagSize.left}" x2="${lagSize.width - lagSize.right}" y1="${n(y(most))}" y2="${n(y(most))}"/>
<text x="${lagSize.left - 8}" y="${n(y(most) + 4)}" text-anchor="end">${formatUs(most * 1000)}</text><text x="${lagSize.left - 8}" y="${bottom + 4}" text-anchor="end">0</text>
<text x="${lagSize.left}" y="${lagSize.height - 10}">${timeOf(first.atMs)}</text><text x="${lagSize.width - lagSize.right}" y="${lagSize.height - 10}" text-anchor="end">${timeOf(last.atMs)}</text>
<path class="line" d="${path}"/></svg>`;
}

const timeOf = (ms: number): string => new Date(ms).toISOString().slice(11, 19);
