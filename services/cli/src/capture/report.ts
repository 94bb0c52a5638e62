// What `mirrorstream capture` prints.
import type { CaptureControl } from '@mirrorstream/domain';
import { formatBytes, formatCount, harmless, padTo, widthOf } from '../view/text.ts';
import { hasAcknowledged, type ProxyState } from './states.ts';

export interface CaptureReport {
  readonly source: string;
  readonly control: CaptureControl | null;
  /** Of the control record; null: there has never been one. */
  readonly revision: bigint | null;
  readonly proxies: readonly ProxyState[];
}

/** Proxies that run and have not said that what the control topic says is in force. */
export function notAcknowledged({ proxies, revision }: CaptureReport): readonly ProxyState[] {
  return revision === null ? [] : proxies.filter((proxy) => !proxy.silent && !hasAcknowledged(proxy, revision));
}

export function captureJson(report: CaptureReport): string {
  const { source, control, revision, proxies } = report;
  return JSON.stringify({
    schema: 'mirrorstream.capture/1',
    source,
    control,
    revision: revision === null ? null : String(revision),
    acknowledged: notAcknowledged(report).length === 0,
    proxies: proxies.map((proxy) => ({
      ...proxy,
      acknowledged: revision === null || hasAcknowledged(proxy, revision),
    })),
  });
}

export function captureText(report: CaptureReport): string {
  const { source, control, revision, proxies } = report;
  const said = control === null ? 'nothing: the flags of each proxy hold' : settingsText(control);
  const lines = [`control topic for ${source}: ${said}${revision === null ? '' : ` (revision ${revision})`}`];
  if (proxies.length === 0)
    lines.push('no proxy of this source runs now; one that starts reads the control topic first');
  else lines.push(...table(report));
  return lines.join('\n');
}

function settingsText({ capture, sampling, answers, answerCapBytes }: CaptureControl): string {
  const parts = [
    ...(capture === undefined ? [] : [`capture ${capture}`]),
    ...(sampling === undefined ? [] : [`sampling ${sampling}`]),
    ...(answers === undefined ? [] : [`answers ${answers}`]),
    ...(answerCapBytes === undefined ? [] : [`answer cap ${formatBytes(answerCapBytes)}`]),
  ];
  return parts.length === 0 ? 'nothing: the flags of each proxy hold' : parts.join(', ');
}

function table({ proxies, revision }: CaptureReport): string[] {
  const head = ['proxy', 'capture', 'sampling', 'answers', 'cap', 'open', 'captured', 'left out', ''];
  const rows = proxies.map((proxy) => [
    `${harmless(proxy.node)}/${proxy.worker}`,
    proxy.capture,
    String(proxy.sampling),
    harmless(proxy.answers),
    formatBytes(proxy.answerCapBytes),
    formatCount(proxy.openSessions),
    formatCount(proxy.transactions),
    `${formatCount(proxy.leftOut.sessions)} sessions, ${formatBytes(proxy.leftOut.bytes)}`,
    remark(proxy, revision),
  ]);
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => widthOf(row[column] ?? ''))));
  return [head, ...rows].map((row) =>
    `  ${row.map((cell, column) => padTo(cell, widths[column] ?? 0)).join('  ')}`.trimEnd(),
  );
}

function remark(proxy: ProxyState, revision: bigint | null): string {
  if (proxy.silent) return 'silent: ended, or cut off from Kafka';
  return revision === null || hasAcknowledged(proxy, revision) ? '' : 'does not say so yet';
}
