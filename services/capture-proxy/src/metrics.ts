// The forwarding thread's numbers as metrics. What was captured is in the snapshots.
import type { MetricRegistry } from '@mirrorstream/service-kit';
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
}
