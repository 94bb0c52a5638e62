// What `mirrorstream mirror` prints.
import type { MirrorControl } from '@mirrorstream/domain';
import { formatDuration } from '../duration.ts';
import { formatCount, harmless, padTo, widthOf } from '../view/text.ts';
import { effectiveExposure, hasAcknowledged, type ReplayerState } from './states.ts';

export interface MirrorReport {
  readonly mirror: string;
  readonly control: MirrorControl | null;
  /** Of the control record; null: there has never been one. */
  readonly revision: bigint | null;
  readonly replayers: readonly ReplayerState[];
}

/** Replayers that run and have not said that what the control topic says is in force. */
export function notAcknowledged({ replayers, revision }: MirrorReport): readonly ReplayerState[] {
  return revision === null ? [] : replayers.filter((each) => !each.silent && !hasAcknowledged(each, revision));
}

export function mirrorJson(environment: string, reports: readonly MirrorReport[]): string {
  return JSON.stringify({
    schema: 'mirrorstream.mirror/1',
    environment,
    mirrors: reports.map((report) => ({
      mirror: report.mirror,
      control: report.control,
      revision: report.revision === null ? null : String(report.revision),
      acknowledged: notAcknowledged(report).length === 0,
      effectiveExposure: {
        sessions: effectiveExposure(report.replayers, 'sessions'),
        transactions: effectiveExposure(report.replayers, 'transactions'),
      },
      replayers: report.replayers,
    })),
  });
}

export function mirrorText(reports: readonly MirrorReport[]): string {
  if (reports.length === 0) return 'no replayer runs now; name a mirror to see what the control topic says about it';
  return reports.map((report) => lines(report).join('\n')).join('\n\n');
}

function lines(report: MirrorReport): string[] {
  const { mirror, control, revision, replayers } = report;
  const said = control === null ? nothing : settingsText(control);
  const head = `control topic for ${harmless(mirror)}: ${said}${revision === null ? '' : ` (revision ${revision})`}`;
  if (replayers.length === 0)
    return [head, 'no replayer of this mirror runs now; one that starts reads the control topic first'];
  return [head, ...table(report), ...replayers.slice(0, 1).flatMap(limits)];
}

const nothing = 'nothing: the flags of each replayer hold';

function settingsText({ role, replay, exposure, filters, shed }: MirrorControl): string {
  const parts = [
    ...(role === undefined ? [] : [`role ${role}`]),
    ...(replay === undefined ? [] : [replay === 'paused' ? 'paused' : 'not paused']),
    ...(exposure === undefined ? [] : [`exposure ${exposure}`]),
    ...(filters === undefined ? [] : [`filters ${named(filters)}`]),
    ...(shed === undefined ? [] : [`shedding ${named(shed)}`]),
  ];
  return parts.length === 0 ? nothing : parts.join(', ');
}

/** What is in force beyond exposure, of one replayer: they have the same unless their flags differ. */
function limits({ filters, shed }: ReplayerState): string[] {
  return [
    ...(Object.keys(filters).length === 0 ? [] : [`  filters in force: ${named(filters)}`]),
    ...(Object.keys(shed).length === 0 ? [] : [`  shedding in force: ${named(shed)}`]),
  ];
}

function named(values: Readonly<Record<string, unknown>>): string {
  const texts = Object.entries(values).map(([name, value]) => {
    const text = Array.isArray(value) ? value.join(',') || 'none' : String(value ?? 'off');
    return harmless(`${name}=${text}`);
  });
  return texts.length === 0 ? 'none' : texts.join(' ');
}

function table({ replayers, revision }: MirrorReport): string[] {
  const head = ['replayer', 'replay', 'exposure', 'sessions', 'transactions', 'behind', 'shedding', ''];
  const rows = replayers.map((each) => [
    harmless(each.instance),
    each.replay,
    String(each.exposure),
    shareText(each.sessions),
    shareText(each.transactions),
    formatDuration(each.behindSourceMs),
    sheddingText(each),
    remark(each, revision),
  ]);
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => widthOf(row[column] ?? ''))));
  return [head, ...rows].map((row) =>
    `  ${row.map((cell, column) => padTo(cell, widths[column] ?? 0)).join('  ')}`.trimEnd(),
  );
}

function shareText({ seen, played }: { readonly seen: number; readonly played: number }): string {
  const share = seen === 0 ? '' : ` (${((100 * played) / seen).toFixed(1)} %)`;
  return `${formatCount(played)} of ${formatCount(seen)}${share}`;
}

function sheddingText({ shedding, shed }: ReplayerState): string {
  if (Object.keys(shed).length === 0) return 'off';
  const { stage, cause, share } = shedding;
  if (stage === 'none') return 'nothing';
  const sessions = share > 0 ? `, ${share * 100} % of the sessions` : '';
  return `${stage}${sessions} (${cause})`;
}

function remark(each: ReplayerState, revision: bigint | null): string {
  if (each.silent) return 'silent: ended, or cut off from Kafka';
  return revision === null || hasAcknowledged(each, revision) ? '' : 'does not say so yet';
}
