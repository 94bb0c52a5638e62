// OpenTelemetry, only when an exporter endpoint is configured: loading its SDK costs 200 ms.
import type { MetricRegistry } from './metrics.ts';
import { samplesOf } from './metrics.ts';

export interface Telemetry {
  stop(): Promise<void>;
}

/**
 * Exports the registry's numbers by OTLP, configured by OpenTelemetry's own OTEL_* variables. Metrics registered later are
 * exported too.
 */
export async function startTelemetry(
  service: string,
  metrics: MetricRegistry,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Telemetry | undefined> {
  if (!environment['OTEL_EXPORTER_OTLP_ENDPOINT']) return undefined;
  process.env['OTEL_METRICS_EXPORTER'] ??= 'otlp';
  const [{ NodeSDK }, api] = await Promise.all([import('@opentelemetry/sdk-node'), import('@opentelemetry/api')]);
  const sdk = new NodeSDK({ serviceName: `mirrorstream-${service}` });
  sdk.start();
  const meter = api.metrics.getMeter('mirrorstream');
  const exported = new Set<string>();
  const exportNew = (): void => {
    for (const metric of metrics.all()) {
      if (exported.has(metric.name)) continue;
      exported.add(metric.name);
      const make = metric.kind === 'counter' ? meter.createObservableCounter : meter.createObservableGauge;
      make.call(meter, metric.name, { description: metric.help }).addCallback((result) => {
        for (const { labels, value } of samplesOf(metric)) result.observe(value, labels);
      });
    }
  };
  exportNew();
  const timer = setInterval(exportNew, 5_000);
  timer.unref();
  return {
    async stop() {
      clearInterval(timer);
      await sdk.shutdown();
    },
  };
}
