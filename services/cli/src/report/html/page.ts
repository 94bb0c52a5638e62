// The report as one HTML file: no script, no request, and a policy that would forbid both.
import { transactionOutcomes } from '@mirrorstream/domain';
import type { Report, ShownFinding, ShownPerformance } from '../report.ts';
import { findingList, type Place, planBlock } from './findings.ts';
import { type Html, html, nothing } from './html.ts';
import { lagPlot, type SpeedPoint, speedPlot } from './plots.ts';
import { style } from './style.ts';
import { formatCount, formatMoment, formatRatio, formatShare, formatUs, outcomeWords, reasonWords } from './words.ts';

const maxRows = 100;

export function htmlReport(report: Report): string {
  const { sources, verdict, showsValues } = report;
  const { scope } = sources;
  const place: Place = { mirror: scope.mirror, run: scope.run, showsValues };
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="referrer" content="no-referrer"><title>${scope.mirror}: mirrorstream report</title><style>${style}</style></head><body><main>
<h1>mirrorstream report</h1>
<p class="verdict ${verdict.level}">${verdict.sentence}</p>
<p class="meta">${sources.source} → ${scope.mirror} · environment ${scope.environment} · ${scope.run === 'live' ? 'live replay' : `run ${scope.run}`} · ${windowOf(report)} · made ${formatMoment(sources.atMs)}</p>
${rulesSection(report)}
${accountSection(report)}
${fidelitySection(report)}
${differenceSections(report, place)}
${performanceSection(report)}
${errorSection(report)}
${lagSection(report)}
${report.noise.length === 0 ? nothing : findingsSection('Noise', report.noise, { ...place }, '', `These differ as often on the control mirror (${report.controls.join(', ')}): they say nothing about this one.`, 0)}
${suppressionSection(report, place)}
${notComparedSection(report)}
${serverSection(report)}
${notesSection(report)}
<footer>${showsValues ? 'This file holds values of the application: it is as confidential as the database.' : 'Values of the application are left out: lengths are shown instead.'} Counts are of statements unless said otherwise. “Not compared” never counts as equal.</footer>
</main></body></html>
`;
  return page.text;
}

function windowOf({ sources }: Report): string {
  const { window } = sources.scope;
  return window === null ? 'all that was replayed' : `${formatMoment(window.fromMs)} to ${formatMoment(window.toMs)}`;
}

function rulesSection({ rules, passed }: Report): Html {
  if (rules.length === 0) return nothing;
  return html`<div class="card"><b class="${passed ? 'good' : 'bad'}">${passed ? 'Every rule holds.' : `${rules.filter((rule) => !rule.passed).length} of ${rules.length} rules do not hold.`}</b>
<div class="scroll"><table><tr><th>rule</th><th>result</th></tr>${rules.map(({ rule, passed: holds, said }) => html`<tr><td><code>${rule}</code></td><td><span class="tag ${holds ? 'good' : 'bad'}">${holds ? 'holds' : 'fails'}</span> ${said}</td></tr>`)}</table></div></div>`;
}

function accountSection({ sources, balanced }: Report): Html {
  const { account, reasons } = sources;
  const parts = [...transactionOutcomes, 'inFlight'] as const;
  const why = Object.entries(reasons).filter(([, count]) => count > 0);
  return html`<h2>Every transaction</h2><div class="card"><div class="account"><b>${formatCount(account.captured)}</b> captured = ${parts.map((name, i) => html`${i > 0 ? ' + ' : ''}<b>${formatCount(account[name])}</b> ${outcomeWords[name] ?? name}`)}</div>
<div class="bar" aria-hidden="true">${parts.map((name) => (account[name] === 0 || account.captured === 0 ? nothing : html`<i class="o-${name}" style="width:${((account[name] / account.captured) * 100).toFixed(2)}%" title="${outcomeWords[name] ?? name}"></i>`))}</div>
${balanced ? nothing : html`<p class="bad">The numbers do not add up: something was lost, or counted twice. Nothing in this report is to be relied on.</p>`}
${why.length === 0 ? nothing : html`<div class="scroll"><table><tr><th>not replayed because</th><th class="num">transactions</th></tr>${why.slice(0, maxRows).map(([reason, count]) => html`<tr><td><code>${reason}</code> <span class="soft">${reasonWords[reason.split('/')[1] ?? ''] ?? ''}</span></td><td class="num">${formatCount(count)}</td></tr>`)}</table></div>`}</div>`;
}

function fidelitySection({ sources, compared }: Report): Html {
  const { fidelity } = sources;
  const lag = fidelity.scheduleLagMs;
  const facts: readonly (readonly [string, string] | null)[] = [
    [
      fidelity.pacing === null
        ? 'not known'
        : `${fidelity.pacing}${fidelity.speed === null || fidelity.speed === 1 ? '' : ` × ${fidelity.speed}`}`,
      'pacing',
    ],
    fidelity.effectiveExposure === null
      ? null
      : [
          formatShare(fidelity.effectiveExposure),
          `of sessions played${fidelity.configuredExposure === null ? '' : `, ${formatShare(fidelity.configuredExposure)} wanted`}`,
        ],
    lag === null
      ? null
      : [
          `${formatUs(lag.p50 * 1000)} · ${formatUs(lag.p99 * 1000)} · ${formatUs(lag.max * 1000)}`,
          `late: half, 99 %, the latest of ${formatCount(lag.sends)} requests`,
        ],
    fidelity.orderGivenUp === null || fidelity.pacing !== 'ordered'
      ? null
      : [formatCount(fidelity.orderGivenUp), 'sent before what had come first in production'],
    fidelity.outOfOrder === null || fidelity.pacing === 'ordered'
      ? null
      : [formatCount(fidelity.outOfOrder), 'sent in another order than production’s'],
    fidelity.behindSourceMs === null ? null : [formatUs(fidelity.behindSourceMs * 1000), 'behind production now'],
    fidelity.shedding === null || fidelity.shedding === 'none' ? null : [fidelity.shedding, 'shedding load'],
    [formatCount(compared), 'statements compared'],
    fidelity.captureDropped === 0
      ? null
      : [formatCount(fidelity.captureDropped), 'transactions that capture could not keep'],
    fidelity.duplicates === 0 ? null : [formatCount(fidelity.duplicates), 'results that came twice, counted once'],
  ];
  return html`<h2>How faithful the replay was</h2><div class="facts">${facts.map((fact) => (fact === null ? nothing : html`<div class="fact"><b>${fact[0]}</b><span>${fact[1]}</span></div>`))}</div>${
    fidelity.filters.length === 0 ? nothing : html`<p class="soft">Filters: ${fidelity.filters.join(', ')}</p>`
  }`;
}

function findingsSection(
  title: string,
  findings: readonly ShownFinding[],
  place: Place,
  none: string,
  explained = '',
  open = 1,
): Html {
  return html`<h2>${title}${findings.length > 0 ? html` <span class="soft">${findings.length}</span>` : nothing}</h2>${explained === '' ? nothing : html`<p class="soft">${explained}</p>`}${
    findings.length === 0 ? html`<p class="good">${none}</p>` : findingList(findings, place, open)
  }`;
}

function differenceSections({ real, undecided, controls }: Report, place: Place): Html {
  if (controls.length === 0 && undecided.length > 0)
    return findingsSection(
      'What differs',
      [...real, ...undecided],
      place,
      '',
      'No control mirror: how much of it is noise is not known.',
    );
  const why = 'Seen too rarely, or too close to what control mirrors show, to say whether it is noise.';
  return html`${findingsSection('What would break or change', real, place, 'No difference that is beyond doubt.')}${
    undecided.length === 0 ? nothing : findingsSection('Not decided yet', undecided, place, '', why)
  }`;
}

function performanceSection(report: Report): Html {
  const { regressions, improvements, sources } = report;
  const entries = sources.performance;
  if (entries.length === 0)
    return html`<h2>Speed</h2><p class="soft">No statement was answered without an error on both sides.</p>`;
  const count = (decision: string): number => entries.filter((one) => one.decision === decision).length;
  return html`<h2>Speed</h2><p>${regressions.length} slower, ${improvements.length} faster, ${count('same')} as fast, ${count('undecided')} undecided, ${count('tooFew')} seen too rarely.${
    report.controls.length === 0
      ? html` <span class="soft">No control mirror: what replay itself costs is not taken off.</span>`
      : nothing
  }</p>
<div class="card">${speedPlot(speedPoints(report))}<div class="legend"><span><i class="i-equal"></i>answers equal</span><span><i class="i-differs"></i>some differ</span><span><i class="i-breaks"></i>would break</span><span>size: calls; dashed: as fast as production</span></div></div>
${regressions.length === 0 ? nothing : performanceTable('Slower, by the time it costs in all', regressions, report.showsValues)}
${improvements.length === 0 ? nothing : performanceTable('Faster, by the time it saves in all', improvements, report.showsValues)}`;
}

function speedPoints({ real, undecided, sources }: Report): readonly SpeedPoint[] {
  const looks = new Map<string, SpeedPoint['look']>();
  for (const { fingerprint, severity } of [...undecided, ...real])
    if (looks.get(fingerprint) !== 'breaks') looks.set(fingerprint, severity === 'breaks' ? 'breaks' : 'differs');
  return sources.performance.map(({ fingerprint, normalizedSql, samples, captured, replayed }) => ({
    capturedUs: captured.p95Us,
    replayedUs: replayed.p95Us,
    samples,
    look: looks.get(fingerprint) ?? 'equal',
    title: `${normalizedSql.slice(0, 160)}\n${formatUs(captured.p95Us)} → ${formatUs(replayed.p95Us)}, ${samples} calls`,
  }));
}

function performanceTable(title: string, entries: readonly ShownPerformance[], showsValues: boolean): Html {
  return html`<h3>${title}</h3><div class="card scroll"><table><tr><th>statement</th><th class="num">calls</th><th class="num">p50</th><th class="num">p95</th><th class="num">p99</th><th class="num">ratio [99 %]</th><th class="num">in all</th></tr>${entries
    .slice(0, maxRows)
    .map(
      (one) =>
        html`<tr><td><code>${one.normalizedSql.slice(0, 600)}</code>${planBlock(one.plans, showsValues)}</td><td class="num">${formatCount(one.samples)}</td>${(
          ['p50Us', 'p95Us', 'p99Us'] as const
        ).map(
          (name) => html`<td class="num">${formatUs(one.captured[name])}<br>${formatUs(one.replayed[name])}</td>`,
        )}<td class="num">${formatRatio(one.netRatio)}</td><td class="num">${formatUs(one.totalLostUs)}</td></tr>`,
    )}</table></div><p class="soft">Each pair: production above, mirror below.${entries.length > maxRows ? ` The first ${maxRows} of ${entries.length}.` : ''}</p>`;
}

function errorSection({ real, undecided, suppressed, noise }: Report): Html {
  const sums = new Map<string, { captured: string; replayed: string; count: number; shapes: Set<string> }>();
  for (const { errors, fingerprint, normalizedSql } of [...real, ...undecided, ...suppressed, ...noise])
    for (const { captured, replayed, count } of errors) {
      const key = `${captured} ${replayed}`;
      const sum = sums.get(key) ?? { captured, replayed, count: 0, shapes: new Set<string>() };
      // A shape has its transitions once, whatever classes its findings are of.
      if (!sum.shapes.has(fingerprint + normalizedSql)) sum.count += count;
      sum.shapes.add(fingerprint + normalizedSql);
      sums.set(key, sum);
    }
  if (sums.size === 0) return nothing;
  const rows = [...sums.values()].sort((a, b) => b.count - a.count);
  return html`<h2>Errors, before and after</h2><div class="card scroll"><table><tr><th>production</th><th>mirror</th><th class="num">statements</th><th class="num">kinds</th></tr>${rows
    .slice(0, maxRows)
    .map(
      ({ captured, replayed, count, shapes }) =>
        html`<tr><td><code>${captured || 'no error'}</code></td><td><code>${replayed || 'no error'}</code></td><td class="num">${formatCount(count)}</td><td class="num">${shapes.size}</td></tr>`,
    )}</table></div>`;
}

function lagSection({ sources }: Report): Html {
  if (sources.lag.length < 2) return nothing;
  return html`<h2>Lag over time</h2><div class="card">${lagPlot(sources.lag)}<p class="soft">From the moment production began a transaction to the moment the mirror was done with it; the largest of each step.</p></div>`;
}

function suppressionSection({ suppressed, sources }: Report, place: Place): Html {
  if (sources.suppressions.length === 0 && suppressed.length === 0) return nothing;
  return html`<h2>Hidden on purpose</h2>${
    sources.suppressions.length === 0
      ? nothing
      : html`<div class="card scroll"><table><tr><th>suppression</th><th>owner</th><th>reason</th><th>until</th><th class="num">hides</th></tr>${sources.suppressions
          .slice(0, maxRows)
          .map(
            (one) =>
              html`<tr><td><code>${one.id}</code>${one.state === 'expired' ? html` <span class="tag warn">expired</span>` : nothing}</td><td>${one.owner}</td><td>${one.reason}</td><td>${formatMoment(one.expiresAtMs)}</td><td class="num">${formatCount(one.hides)}</td></tr>`,
          )}</table></div>`
  }${findingList(suppressed, place, 0)}`;
}

function notComparedSection({ sources }: Report): Html {
  const rows = Object.entries(sources.notCompared).filter(([, count]) => (count ?? 0) > 0);
  const { suspect, numericEpsilon, maskedMatch } = sources.statements;
  const apart: readonly (readonly [string, number, string])[] = [
    ['suspect', suspect, 'differ as the consequence of an earlier difference'],
    ['numericEpsilon', numericEpsilon, 'the same values, written otherwise'],
    ['maskedMatch', maskedMatch, 'equal but for what differs by nature'],
  ];
  const counted = apart.filter(([, count]) => count > 0);
  if (rows.length === 0 && counted.length === 0) return nothing;
  return html`<h2>What was not compared, and what is counted apart</h2><div class="card scroll"><table><tr><th>why</th><th class="num">statements</th></tr>${rows.map(
    ([reason, count]) =>
      html`<tr><td><code>${reason}</code> <span class="soft">${reasonWords[reason] ?? ''}</span></td><td class="num">${formatCount(count ?? 0)}</td></tr>`,
  )}${counted.map(([name, count, what]) => html`<tr><td><code>${name}</code> <span class="soft">${what}</span></td><td class="num">${formatCount(count)}</td></tr>`)}</table></div>`;
}

function serverSection({ sources }: Report): Html {
  const { servers } = sources;
  if (servers.length === 0) return nothing;
  const names = [...new Set(servers.flatMap(({ facts }) => Object.keys(facts)))];
  const differs = (name: string): boolean => new Set(servers.map(({ facts }) => facts[name] ?? '')).size > 1;
  const shown = [...names.filter(differs), ...names.filter((name) => !differs(name))];
  return html`<h2>The servers</h2><div class="card scroll"><table><tr><th></th>${servers.map(({ role, name }) => html`<th>${role === 'source' ? 'production' : name}</th>`)}</tr>${shown.map(
    (name) =>
      html`<tr><td>${name}${differs(name) ? html` <span class="tag warn">differs</span>` : nothing}</td>${servers.map(({ facts }) => html`<td><code>${facts[name] ?? ''}</code></td>`)}</tr>`,
  )}</table></div>`;
}

function notesSection({ sources }: Report): Html {
  if (sources.notes.length === 0) return nothing;
  return html`<h2>What this report does not know</h2><ul>${sources.notes.map((note) => html`<li>${note}</li>`)}</ul>`;
}
