// Numbers that can be looked at: hot paths count in plain numbers, and are read here when somebody asks.

export interface MetricSample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Metric {
  /** Prometheus name, e.g. `mirrorstream_capture_dropped_transactions_total`. */
  readonly name: string;
  readonly help: string;
  readonly kind: 'counter' | 'gauge';
  /** Labels must be bounded: no SQL text, no session ids. */
  readonly read: () => number | readonly MetricSample[];
}

/** A metric with what it reads now: plain data, fit to be sent to another process. */
export interface MetricFamily extends Pick<Metric, 'name' | 'help' | 'kind'> {
  readonly samples: readonly MetricSample[];
}

const namePattern = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;

export class MetricRegistry {
  readonly #metrics = new Map<string, Metric>();

  /** Throws on a name that is malformed or taken. The returned function takes the metric away. */
  register(metric: Metric): () => void {
    if (!namePattern.test(metric.name)) throw new TypeError(`${metric.name} is not a metric name`);
    if (this.#metrics.has(metric.name)) throw new TypeError(`metric ${metric.name} is registered twice`);
    this.#metrics.set(metric.name, metric);
    return () => {
      this.#metrics.delete(metric.name);
    };
  }

  all(): readonly Metric[] {
    return [...this.#metrics.values()];
  }

  families(): readonly MetricFamily[] {
    return this.all().map((metric) => ({
      name: metric.name,
      help: metric.help,
      kind: metric.kind,
      samples: samplesOf(metric),
    }));
  }

  /** Prometheus text format 0.0.4. */
  prometheusText(): string {
    const lines: string[] = [];
    for (const metric of this.#metrics.values()) {
      lines.push(`# HELP ${metric.name} ${metric.help.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')}`);
      lines.push(`# TYPE ${metric.name} ${metric.kind}`);
      for (const { labels, value } of samplesOf(metric))
        lines.push(`${metric.name}${labelText(labels)} ${numberText(value)}`);
    }
    return `${lines.join('\n')}\n`;
  }
}

export function samplesOf(metric: Metric): readonly MetricSample[] {
  const read = metric.read();
  return typeof read === 'number' ? [{ labels: {}, value: read }] : read;
}

function labelText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(
    ([name, value]) => `${name}="${value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')}"`,
  );
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
}
