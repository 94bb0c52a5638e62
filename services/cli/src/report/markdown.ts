// The report as Markdown: for a comment on a change, or a chat.
import { transactionOutcomes } from '@mirrorstream/domain';
import {
  classWords,
  formatCount,
  formatMoment,
  formatRatio,
  formatShare,
  formatUs,
  outcomeWords,
} from './html/words.ts';
import type { Report, ShownFinding, ShownPerformance } from './report.ts';

const maxFindings = 25;
const maxSqlChars = 160;

export function markdownReport(report: Report): string {
  const { verdict, sources, rules, real, undecided, noise, suppressed, regressions, improvements, balanced } = report;
  const { account, scope, fidelity } = sources;
  const sum = [...transactionOutcomes, 'inFlight' as const]
    .map((name) => `${formatCount(account[name])} ${outcomeWords[name] ?? name}`)
    .join(' + ');
  const lines = [
    `## ${text(verdict.sentence)}`,
    '',
    `${text(sources.source)} → **${text(scope.mirror)}**, ${scope.run === 'live' ? 'live replay' : `run ${text(scope.run)}`}, made ${formatMoment(sources.atMs)}`,
    '',
    `${formatCount(account.captured)} captured = ${sum}${balanced ? '' : ' — **the numbers do not add up**'}`,
    '',
    `Pacing ${fidelity.pacing ?? 'not known'}${fidelity.effectiveExposure === null ? '' : `, ${formatShare(fidelity.effectiveExposure)} of sessions`}, ${formatCount(report.compared)} statements compared.`,
    '',
  ];
  if (rules.length > 0)
    lines.push(
      '| rule | | |',
      '|---|---|---|',
      ...rules.map((rule) => `| ${code(rule.rule)} | ${rule.passed ? 'holds' : '**fails**'} | ${text(rule.said)} |`),
      '',
    );
  lines.push(...findingTable('What would break or change', real), ...findingTable('Not decided yet', undecided));
  lines.push(...performanceTable('Slower', regressions), ...performanceTable('Faster', improvements));
  const apart = [
    ...(noise.length > 0 ? [`${noise.length} findings are noise: as frequent on the control mirror.`] : []),
    ...(suppressed.length > 0 ? [`${suppressed.length} findings are suppressed.`] : []),
    ...Object.entries(sources.notCompared).map(
      ([reason, count]) => `${formatCount(count ?? 0)} statements not compared: ${reason}.`,
    ),
  ];
  lines.push(...apart.map((line) => `- ${text(line)}`));
  return `${lines.join('\n').trimEnd()}\n`;
}

function findingTable(title: string, findings: readonly ShownFinding[]): string[] {
  if (findings.length === 0) return [];
  const more = findings.length - maxFindings;
  return [
    `### ${title} (${findings.length})`,
    '',
    '| | statement | count | example |',
    '|---|---|--:|---|',
    ...findings
      .slice(0, maxFindings)
      .map(
        (one) =>
          `| ${classWords[one.class] ?? one.class} | ${code(one.normalizedSql)} | ${formatCount(one.count)} of ${formatCount(one.compared)} | ${text(one.examples[0]?.envelope ?? '')} |`,
      ),
    ...(more > 0 ? [`| | … and ${more} more | | |`] : []),
    '',
  ];
}

function performanceTable(title: string, entries: readonly ShownPerformance[]): string[] {
  if (entries.length === 0) return [];
  return [
    `### ${title} (${entries.length})`,
    '',
    '| statement | calls | p95 | ratio | in all |',
    '|---|--:|---|---|--:|',
    ...entries
      .slice(0, maxFindings)
      .map(
        ({ normalizedSql, samples, captured, replayed, netRatio, totalLostUs }) =>
          `| ${code(normalizedSql)} | ${formatCount(samples)} | ${formatUs(captured.p95Us)} → ${formatUs(replayed.p95Us)} | ${formatRatio(netRatio)} | ${formatUs(totalLostUs)} |`,
      ),
    '',
  ];
}

/** One line in which nothing is markup: no HTML, no link, no cell border. */
export function text(value: string): string {
  return oneLine(value).replace(/[\\`*_{}[\]()<>#+!|~@:]/g, (character) =>
    /[:()+]/.test(character) ? character : `&#${character.charCodeAt(0)};`,
  );
}

/** As code, in a table's cell: the text cannot close it. */
export function code(value: string): string {
  const line = oneLine(value).slice(0, maxSqlChars).replaceAll('`', 'ˋ').replaceAll('|', '¦');
  return line === '' ? '' : `\`${line}\``;
}

const oneLine = (value: string): string =>
  value.toWellFormed().replace(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]+/gu, ' ');
