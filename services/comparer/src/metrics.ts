// The comparer's numbers for whoever scrapes them. Labels come from closed lists only.
import { statementClasses, transactionOutcomes } from '@mirrorstream/domain';
import type { Batcher } from '@mirrorstream/kafka';
import type { Metric, MetricSample } from '@mirrorstream/service-kit';
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
  readonly lanes: () => Iterable<PartitionLane>;
}

/** Counters over the partitions this process owns continue over restarts; they leave with a partition. */
export function comparerMetrics({ work, batcher, lanes }: MetricSources): readonly Metric[] {
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
    gauge('partitions', 'Partitions this process owns', () => [...lanes()].length),
  ];
}

function countOf(counts: Readonly<Record<string, number>>, name: string): number {
  return counts[name] ?? 0;
}
