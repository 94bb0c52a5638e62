// Findings on the page: what differs, how often, how sure that is, and examples side by side.
import type { Severity } from '@mirrorstream/findings';
import type { AnswerDiff, DiffRow } from '../../inspect/answer-diff.ts';
import { planCost, planLines, planShape, type StoredPlan } from '../../inspect/plan.ts';
import type { ShownExample, ShownFinding } from '../report.ts';
import { type Html, html, nothing } from './html.ts';
import { classWords, formatCount, formatMoment, formatShare } from './words.ts';

const lookOf: Readonly<Record<Severity, string>> = { breaks: 'bad', changes: 'warn', minor: '', info: '' };
const maxFindings = 200;
/** Whole; the others by name. */
const shownExamples = 2;
const maxTextChars = 4_000;

export interface Place {
  readonly mirror: string;
  readonly run: string;
  readonly showsValues: boolean;
}

export function findingList(findings: readonly ShownFinding[], place: Place, open = 1): Html {
  const more = findings.length - maxFindings;
  return html`${findings.slice(0, maxFindings).map((finding, i) => findingCard(finding, place, i < open))}${
    more > 0 ? html`<p class="soft">… and ${more} more; --format json has them all.</p>` : nothing
  }`;
}

function findingCard(finding: ShownFinding, place: Place, isOpen: boolean): Html {
  const {
    severity,
    normalizedSql,
    count,
    compared,
    rate,
    why,
    tables,
    examples,
    plans,
    id,
    columns,
    suspects,
    status,
  } = finding;
  return html`<details class="finding"${isOpen ? html` open` : nothing}><summary><span class="tag ${lookOf[severity]}">${
    classWords[finding.class] ?? finding.class
  }</span><code>${normalizedSql.slice(0, maxTextChars) || '(no text)'}</code><span class="count">${formatCount(count)}<span class="soft"> of ${formatCount(compared)}</span></span></summary><div>
<p class="soft">${formatShare(rate.value)} of its calls. ${why}</p>
${columns.length === 0 ? nothing : html`<p>Columns: ${columns.map((column, i) => html`${i > 0 ? ', ' : ''}<code>${column.name}</code> (${formatCount(column.count)}${column.decision === 'noise' ? ', noise' : ''})`)}</p>`}
${suspects === 0 ? nothing : html`<p>${formatCount(suspects)} further statements differ as a consequence; they are counted as <code>suspect</code>, not here.</p>`}
${finding.expiredSuppressions.length === 0 ? nothing : html`<p class="warn">A suppression of it has expired.</p>`}
${examples.slice(0, shownExamples).map((example) => exampleBlock(example, place))}
${otherExamples(examples.slice(shownExamples))}
${planBlock(plans, place.showsValues)}
<p class="meta">finding ${id}, ${status}${finding.statusBy === undefined ? '' : ` (${finding.statusBy.by}: ${finding.statusBy.reason})`} · ${
    tables.length === 0 ? '' : `tables ${tables.join(', ')} · `
  }first ${formatMoment(finding.firstSeenUs / 1000)}, last ${formatMoment(finding.lastSeenUs / 1000)}</p></div></details>`;
}

function otherExamples(examples: readonly ShownExample[]): Html {
  if (examples.length === 0) return nothing;
  return html`<p class="meta">Other examples: ${examples.map(({ envelope }) => envelope).join(', ')}</p>`;
}

function exampleBlock(example: ShownExample, { mirror, run }: Place): Html {
  const { envelope, exchange, statement, detail, sql, captured, replayed, diff } = example;
  const runFlag = run === 'live' ? '' : ` --run ${run}`;
  return html`<h3>Example ${envelope} <span class="soft">exchange ${exchange}, statement ${statement}</span></h3>
${detail === '' ? nothing : html`<p>${detail}</p>`}
${sql === '' ? nothing : html`<pre>${sql.slice(0, maxTextChars)}</pre>`}
${captured === '' && replayed === '' ? nothing : html`<div class="sides"><div class="side"><b>production</b><div class="mono">${captured}</div></div><div class="side"><b>mirror</b><div class="mono">${replayed}</div></div></div>`}
${diff === null ? nothing : diffTable(diff)}
<p class="meta"><code>mirrorstream inspect ${envelope} --mirror ${mirror}${runFlag}</code></p>`;
}

export function diffTable(diff: AnswerDiff): Html {
  if (diff.rows.length === 0 && diff.columnChanges.length === 0) return nothing;
  const width = Math.max(diff.columns.length, ...diff.rows.map(widthOf));
  const names = Array.from({ length: width }, (_, i) => diff.columns[i] ?? String(i + 1));
  const changes = diff.columnChanges.map(
    ({ captured, replayed }) =>
      html`<tr><td>column</td><td class="was"><span class="d">${captured ?? '(none)'}</span></td><td class="is"><span class="d">${replayed ?? '(none)'}</span></td></tr>`,
  );
  return html`${changes.length === 0 ? nothing : html`<div class="scroll"><table class="diff">${changes}</table></div>`}${
    diff.rows.length === 0
      ? nothing
      : html`<div class="scroll"><table class="diff"><tr><th></th>${names.map((name) => html`<th>${name}</th>`)}</tr>${diff.rows.map((row) => diffRow(row, width))}</table></div>`
  }${diff.notShown > 0 ? html`<p class="soft">… and ${diff.notShown} more rows of the difference.</p>` : nothing}${
    diff.cut ? html`<p class="soft">What was kept of an answer ends before the answer did.</p>` : nothing
  }`;
}

function widthOf(row: DiffRow): number {
  return row.kind === 'onlyReplayed' ? row.replayed.length : row.captured.length;
}

function diffRow(row: DiffRow, width: number): Html {
  switch (row.kind) {
    case 'same':
      return html`<tr class="gap"><td></td><td colspan="${width}">${row.rows} equal ${row.rows === 1 ? 'row' : 'rows'}</td></tr>`;
    case 'changed': {
      const differs = new Set(row.columns);
      return html`<tr class="was"><td>production</td>${cells(row.captured, differs)}</tr><tr class="is"><td>mirror</td>${cells(row.replayed, differs)}</tr>`;
    }
    case 'onlyCaptured':
      return html`<tr class="was"><td>${row.elsewhere ? 'production, here' : 'only production'}</td>${cells(row.captured, null)}</tr>`;
    case 'onlyReplayed':
      return html`<tr class="is"><td>${row.elsewhere ? 'mirror, here' : 'only mirror'}</td>${cells(row.replayed, null)}</tr>`;
    default:
      return row satisfies never;
  }
}

const cells = (row: readonly (string | null)[], differs: ReadonlySet<number> | null): readonly Html[] =>
  row.map((cell, i) => {
    const text = cell === null ? html`<i>NULL</i>` : cell === '' ? html`<i>empty</i>` : html`${cell}`;
    return html`<td>${differs === null || differs.has(i) ? html`<span class="d">${text}</span>` : text}</td>`;
  });

/** The newest of each side, beside each other. */
export function planBlock(plans: readonly StoredPlan[], showsValues: boolean): Html {
  const newest = (side: StoredPlan['side']): StoredPlan | undefined =>
    plans.filter((plan) => plan.side === side).at(-1);
  const [source, mirror] = [newest('source'), newest('mirror')];
  if (source === undefined && mirror === undefined) return nothing;
  const changed = source !== undefined && mirror !== undefined && planShape(source) !== planShape(mirror);
  return html`<h3>Plans${changed ? html` <span class="tag warn">they differ</span>` : nothing}</h3><div class="sides">${[
    source,
    mirror,
  ].map((plan) =>
    plan === undefined
      ? nothing
      : html`<div class="side"><b>${plan.side === 'source' ? 'production' : 'mirror'}, ${plan.serverVersion}, cost ${planCost(plan) ?? 'not known'}</b><pre>${planLines(plan, showsValues).join('\n')}</pre></div>`,
  )}</div>`;
}
