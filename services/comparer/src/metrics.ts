// The comparer's numbers for whoever scrapes them. Labels come from closed lists only.
import { statementClasses, transactionOutcomes } from '@mirrorstream/domain';
import type { Batcher } from '@mirrorstream/kafka';
import type { Metric, MetricSample } from '@mirrorstream/service-kit';
import type { SqlAnalyzer } from '@mirrorstream/sql';
import type { FindingsWriter } from './findings-writer.ts';
import { lagStages } from './lag-guard.ts';
import { type LagRelief, reliefs } from './lag-relief.ts';
import type { PartitionLane } from './partition-lane.ts';

/** What this process has done since it started. The lasting counts are the ledgers'. */
export interface Work {
  records: number;
  results: number;
  undecodable: number;
  verdictsLost: number;
}

export interface MetricSources {
  readonly work: Work;
  readonly batcher: Batcher;
  readonly findings: FindingsWriter;
  readonly relief: LagRelief;
  readonly sql: SqlAnalyzer;
  readonly lanes: () => Iterable<PartitionLane>;
}

/** Counters over the partitions this process owns continue over restarts; they leave with a partition. */
export function comparerMetrics({ work, batcher, findings, relief, sql, lanes }: MetricSources): readonly Metric[] {
  const counter = (name: string, help: string, read: Metric['read']): Metric => ({
    name: `mirrorstream_comparer_${name}_total`,
    help,
    kind: 'counter',
    read,
  });
  const gauge = (name: string, help: string, read: Metric['read']): Metric => ({
    name: `mirrorstream_comparer_${name}`,
    help,
    kind: 'gauge',
    read,
  });
  const perLane = (read: (lane: PartitionLane) => number) => () => {
    let sum = 0;
    for (const lane of lanes()) sum += read(lane);
    return sum;
  };
  const perName =
    (label: string, names: readonly string[], read: (lane: PartitionLane, name: string) => number) => () =>
      names.map((name): MetricSample => ({ labels: { [label]: name }, value: perLane((lane) => read(lane, name))() }));
  return [
    counter('records', 'Results records read', () => work.records),
    counter('results', 'Results read, repeated ones included', () => work.results),
    counter('undecodable_records', 'Results records sent to the dead letter', () => work.undecodable),
    counter('lost_records', 'Verdicts and dead letters Kafka refused', () => work.verdictsLost),
    counter(
      'duplicates',
      'Results recognised as repeated',
      perLane((lane) => lane.ledger.counts.duplicates),
    ),
    counter(
      'transactions',
      'Transactions counted, by outcome',
      perName('outcome', transactionOutcomes, (lane, name) => countOf(lane.ledger.counts.outcomes, name)),
    ),
    counter(
      'statements',
      'Statements counted, by class',
      perName('class', statementClasses, (lane, name) => countOf(lane.ledger.counts.statements, name)),
    ),
    gauge(
      'queued_bytes',
      'Results fetched and not counted yet',
      perLane((lane) => lane.queuedBytes),
    ),
    gauge('buffered_bytes', 'Verdicts not yet acknowledged', () => batcher.stats().bufferedBytes),
    counter('findings_published', 'Records of aggregates acknowledged by Kafka', () => findings.published),
    counter(
      'findings_evicted',
      'Aggregates published and forgotten because memory was short',
      perLane((lane) => lane.findings.stats.evicted),
    ),
    gauge(
      'findings_shapes',
      'Aggregates in memory: one per statement shape and partition',
      perLane((lane) => lane.findings.stats.shapes),
    ),
    gauge(
      'findings_bytes',
      'Memory of aggregates, about',
      perLane((lane) => lane.findings.stats.sizeBytes),
    ),
    gauge(
      'findings_waiting_bytes',
      'Aggregates made into records and not acknowledged yet',
      perLane((lane) => lane.findings.stats.waitingBytes),
    ),
    gauge('lag_stage_partitions', 'Partitions by how much of the work is done', () =>
      lagStages.map(
        (stage): MetricSample => ({
          labels: { stage },
          value: [...lanes()].filter((lane) => lane.lag.stage === stage).length,
        }),
      ),
    ),
    counter('lag_dropped', 'Left out because the comparer was behind, by what', () =>
      reliefs.map((what): MetricSample => ({ labels: { what }, value: relief.dropped[what] })),
    ),
    counter('fingerprint_cache_lookups', 'Looks at the text of a statement, by whether its shape was known', () => {
      const { hits, misses } = sql.stats();
      return [
        { labels: { found: 'hit' }, value: hits },
        { labels: { found: 'miss' }, value: misses },
      ];
    }),
    counter('lexical_shapes', "Texts the parser rejects, whose shape is their tokens'", () => sql.stats().lexical),
    gauge(
      'fingerprint_cache_bytes',
      'Memory of the texts whose shape is remembered, about',
      () => sql.stats().sizeBytes,
    ),
    gauge('partitions', 'Partitions this process owns', () => [...lanes()].length),
  ];
}

function countOf(counts: Readonly<Record<string, number>>, name: string): number {
  return counts[name] ?? 0;
}
