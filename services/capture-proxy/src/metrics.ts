// The forwarding thread's numbers as metrics. What was captured is in the snapshots.
import type { Metric, MetricRegistry, MetricSample } from '@mirrorstream/service-kit';
import type { CaptureThread } from './capture-thread.ts';
import type { ForwardCounts } from './forward/tap.ts';

export const metricPrefix = 'mirrorstream_capture_proxy';

export function registerMetrics(
  metrics: MetricRegistry,
  counts: Readonly<ForwardCounts>,
  capture: CaptureThread | null,
): void {
  const counter = (name: string, help: string, read: () => number): void => {
    metrics.register({ name: `${metricPrefix}_${name}`, help, kind: 'counter', read });
  };
  counter('forwarded_bytes_total', 'Bytes forwarded, both directions.', () => counts.bytes);
  counter('sessions_total', 'Sessions that reached the source.', () => counts.sessionsTotal);
  metrics.register({
    name: `${metricPrefix}_sessions_open`,
    help: 'Sessions open now.',
    kind: 'gauge',
    read: () => counts.sessionsOpen,
  });
  if (capture === null) return;
  const { tap } = capture;
  counter('ring_dropped_bytes_total', 'Bytes not captured because the ring was full.', () => tap.counts.droppedBytes);
  counter('ring_overflows_total', 'How often the ring ran full.', () => tap.counts.overflows);
  registerControl(metrics, capture);
  registerBounds(metrics, capture);
}

/** Every buffer with its limit, and what was lost because one was full. docs/bounds.md says what each is. */
function registerBounds(metrics: MetricRegistry, capture: CaptureThread): void {
  const register = (kind: Metric['kind'], name: string, help: string, read: Metric['read']): void => {
    metrics.register({ name: `${metricPrefix}_${name}`, help, kind, read });
  };
  const byBuffer = (values: Readonly<Record<string, number>>): MetricSample[] =>
    Object.entries(values).map(([buffer, value]) => ({ labels: { buffer }, value }));
  register('gauge', 'buffer_used_bytes', 'Bytes in use of each buffer.', () =>
    byBuffer({ ring: capture.ringUsedBytes(), ...capture.numbers().buffers }),
  );
  register('gauge', 'buffer_limit_bytes', 'What each buffer may hold.', () => byBuffer(capture.limits()));
  register('counter', 'dropped_transactions_total', 'Forwarded, but not captured, by reason.', () =>
    Object.entries(capture.numbers().dropped).map(([reason, value]) => ({ labels: { reason }, value })),
  );
  register(
    'gauge',
    'untold_gaps',
    'Sessions with a gap that Kafka has not been told yet.',
    () => capture.numbers().untoldGaps,
  );
  register(
    'counter',
    'cancel_notes_lost_total',
    'Cancels that were passed on, but are noted nowhere, by reason.',
    () => [
      { labels: { reason: 'late' }, value: capture.numbers().lateCancels },
      { labels: { reason: 'ringFull' }, value: capture.tap.counts.lostCancels },
    ],
  );
  register(
    'gauge',
    'untold_gaps_limit',
    'As many are told one by one, the others together.',
    () => capture.gapSessionsLimit,
  );
  register('gauge', 'spool_diverted', 'Whether records go through the spool (1).', () => capture.numbers().diverted);
  register('counter', 'spool_failures_total', 'How often the disk refused.', () => capture.numbers().spoolFailures);
}

/** What the control topic, or without its word the flags, have put in force; and what is left out for it. */
function registerControl(metrics: MetricRegistry, capture: CaptureThread): void {
  const gauge = (name: string, help: string, read: () => number): void => {
    metrics.register({ name: `${metricPrefix}_${name}`, help, kind: 'gauge', read });
  };
  gauge('capture_on', 'Whether capture is on (1) or switched off (0).', () =>
    capture.settings.capture === 'on' ? 1 : 0,
  );
  gauge('sampling_share', 'Share of the sessions that is captured, 0 to 1.', () => capture.settings.sampling);
  gauge('control_revision', 'Offset of the control record in force; -1: none, the flags hold.', () =>
    Number(capture.settings.revision ?? -1),
  );
  const { unsampled, captureOff } = capture.tap.counts;
  const leftOut = (name: string, help: string, pick: (counts: typeof unsampled) => number): void => {
    const read = () => [
      { labels: { reason: 'unsampled' }, value: pick(unsampled) },
      { labels: { reason: 'captureOff' }, value: pick(captureOff) },
    ];
    metrics.register({ name: `${metricPrefix}_${name}`, help, kind: 'counter', read });
  };
  leftOut(
    'left_out_sessions_total',
    'Sessions that began outside the sample, or while capture was off.',
    (one) => one.sessions,
  );
  leftOut('left_out_bytes_total', 'Bytes forwarded and left out on purpose.', (one) => one.bytes);
}
