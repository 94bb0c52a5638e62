// What `mirrorstream findings` prints: text for people, and `mirrorstream.findings/1`.
import {
  type Finding,
  findingsSchemaName,
  improvementsIn,
  type PerformanceEntry,
  regressionsIn,
  type SuppressionCount,
} from '@mirrorstream/findings';
import { formatCount, harmless } from '../view/text.ts';
import type { FindingsPlace, ReadFindings } from './read-findings.ts';

const maxSqlChars = 100;

export function findingsJson(
  { environment, mirror, run }: FindingsPlace,
  found: ReadFindings,
  asked: { readonly one: Finding | null; readonly written: string | null; readonly limit: number | null },
): string {
  return JSON.stringify({
    schema: findingsSchemaName,
    environment,
    mirror,
    run,
    controls: found.controls.map((control) => ({ mirror: control.mirror, run: control.run })),
    ...(asked.written === null ? {} : { written: asked.written }),
    ...(asked.one === null ? {} : { finding: asked.one }),
    ...(asked.limit === null
      ? {}
      : {
          findings: found.findings,
          regressions: regressionsIn(found.performance),
          improvements: improvementsIn(found.performance),
        }),
    suppressions: found.suppressions,
    unusableRecords: found.wishes.unusable,
  });
}

export function listText(
  { mirror, run }: FindingsPlace,
  found: ReadFindings,
  { all, limit }: { readonly all: boolean; readonly limit: number },
): string {
  const shown = found.findings.filter((finding) => all || isOpen(finding));
  const hidden = found.findings.length - shown.length;
  const slower = regressionsIn(found.performance);
  const faster = improvementsIn(found.performance);
  return [
    `${harmless(mirror)}, run ${harmless(run)}: ${headline(found, slower)}`,
    controlsText(found),
    '',
    ...section('findings', shown, limit, findingLines),
    ...(hidden === 0 ? [] : [`  and ${hidden} that are noise, acknowledged, resolved or suppressed: --all shows them`]),
    ...section('slower', slower, limit, performanceLines),
    ...section('faster', faster, limit, performanceLines),
    ...section('suppressions', found.suppressions, limit, suppressionLines),
    ...found.wishes.unusable.map((key) => `not usable, left out: ${harmless(key)} in the control topic`),
  ].join('\n');
}

/** What somebody has to look at. */
const isOpen = ({ status, decision }: Finding): boolean =>
  (status === 'open' || status === 'reopened') && decision !== 'noise';

function headline({ findings }: ReadFindings, slower: readonly PerformanceEntry[]): string {
  const open = findings.filter(isOpen);
  const real = open.filter(({ decision }) => decision === 'real').length;
  const noise = findings.filter(({ decision }) => decision === 'noise').length;
  return `${real} real, ${open.length - real} undecided, ${noise} noise; ${slower.length} shapes slower`;
}

function controlsText({ controls }: ReadFindings): string {
  if (controls.length === 0)
    return 'no control mirror: what is noise is not known (mirrorstream mirror set NAME --role control)';
  return `noise from ${controls.map(({ mirror, run }) => `${harmless(mirror)} (${harmless(run)})`).join(', ')}`;
}

function section<Item>(
  title: string,
  items: readonly Item[],
  limit: number,
  linesOf: (item: Item) => readonly string[],
): string[] {
  if (items.length === 0) return [];
  const left = items.length - limit;
  return [
    `${title}:`,
    ...items.slice(0, limit).flatMap((item) => linesOf(item).map((line) => `  ${line}`)),
    ...(left > 0 ? [`  and ${left} more: --limit`] : []),
  ];
}

function findingLines(finding: Finding): string[] {
  const { id, decision, severity, class: name, count, status, normalizedSql, why, columns, hidden } = finding;
  return [
    `${id}  ${decision.padEnd(9)} ${severity.padEnd(7)} ${name.padEnd(12)} ${formatCount(count).padStart(8)}  ${status}`,
    `    ${shortSql(normalizedSql)}`,
    `    ${why}`,
    ...(columns.length === 0
      ? []
      : [`    columns ${columns.map((one) => `${harmless(one.name)} (${one.decision})`).join(', ')}`]),
    ...(hidden > 0 ? [`    ${formatCount(hidden)} hidden by suppression ${finding.suppressions.join(', ')}`] : []),
    ...(finding.expiredSuppressions.length > 0
      ? [`    suppression ${finding.expiredSuppressions.join(', ')} has expired`]
      : []),
    ...(finding.suspects > 0 ? [`    ${formatCount(finding.suspects)} statements are suspect because of it`] : []),
  ];
}

export function findingText(finding: Finding): string {
  const { fingerprint, tables, statusBy, errors, exemplars, firstSeenUs, lastSeenUs, calls, compared } = finding;
  return [
    ...findingLines(finding),
    `    fingerprint ${fingerprint}${tables.length > 0 ? `, tables ${tables.map(harmless).join(', ')}` : ''}`,
    `    ${formatCount(calls)} calls, ${formatCount(compared)} compared; first seen ${atText(firstSeenUs)}, last ${atText(lastSeenUs)}`,
    ...(statusBy === undefined
      ? []
      : [`    ${finding.status} by ${harmless(statusBy.by)}: ${harmless(statusBy.reason)}`]),
    ...errors.map(
      ({ captured, replayed, count }) =>
        `    ${captured || 'no error'} → ${replayed || 'no error'}: ${formatCount(count)}`,
    ),
    ...finding.columns.map((column) => `    column ${harmless(column.name)}: ${column.why}`),
    ...exemplars.flatMap(({ envelope, detail, sql }) => [
      `    envelope ${envelope.partition}:${envelope.offset}:${envelope.index}  ${harmless(detail)}`,
      ...(sql === undefined ? [] : [`      ${shortSql(sql)}`]),
    ]),
  ].join('\n');
}

function performanceLines(entry: PerformanceEntry): string[] {
  const { captured, replayed, samples, totalLostUs, normalizedSql, why } = entry;
  const lost = `${totalLostUs >= 0 ? '+' : '−'}${msText(Math.abs(totalLostUs))} in all`;
  return [
    `${entry.fingerprint}  ${lost.padEnd(20)} n ${formatCount(samples)}  p95 ${msText(captured.p95Us)} → ${msText(replayed.p95Us)}`,
    `    ${shortSql(normalizedSql)}`,
    `    ${why}`,
  ];
}

function suppressionLines({
  id,
  owner,
  reason,
  expiresAtMs,
  scope,
  state,
  hides,
  findings,
}: SuppressionCount): string[] {
  const named = Object.entries(scope).map(([name, value]) => `${name} ${harmless(String(value))}`);
  const does = state === 'inForce' ? 'hides' : 'has expired; would hide';
  return [
    `${id}  ${does} ${formatCount(hides)} statements of ${findings} findings, until ${atText(expiresAtMs * 1000)}`,
    `    ${named.join(', ')}; ${harmless(owner)}: ${harmless(reason)}`,
  ];
}

const shortSql = (sql: string): string => {
  const line = harmless(sql);
  return line.length > maxSqlChars ? `${line.slice(0, maxSqlChars)}…` : line;
};

const atText = (atUs: number): string => new Date(atUs / 1000).toISOString().slice(0, 19).replace('T', ' ');

const msText = (us: number): string =>
  us >= 10_000_000 ? `${(us / 1e6).toFixed(1)} s` : `${(us / 1000).toFixed(us < 10_000 ? 2 : 0)} ms`;
