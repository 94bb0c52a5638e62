// The replayer's numbers for whoever scrapes them. No label carries SQL or a session.

import { type ShedStage, shedStages } from '@mirrorstream/domain';
import { bindingReasons, type LagHistogram } from '@mirrorstream/replay';
import type { Metric } from '@mirrorstream/service-kit';
import type { AdmissionKeeper } from './admission/admission-keeper.ts';
import type { Backpressure } from './backpressure.ts';
import type { IdKeeper } from './ids/id-keeper.ts';
import type { OrderKeeper } from './order-keeper.ts';
import type { Partition } from './partition.ts';
import type { Work } from './replayer-state.ts';
import type { ConnectionGate } from './target/connection-gate.ts';

export interface MetricSources {
  readonly work: Work;
  readonly gate: ConnectionGate;
  readonly admission: AdmissionKeeper;
  readonly backpressure: Backpressure;
  readonly resultBytes: () => number;
  readonly partitions: () => Iterable<Partition>;
  readonly order: OrderKeeper;
  readonly schedule: LagHistogram;
  readonly ids: IdKeeper | null;
}

export function replayerMetrics({
  work,
  gate,
  admission,
  backpressure,
  resultBytes,
  partitions,
  order,
  schedule,
  ids,
}: MetricSources): readonly Metric[] {
  const metric =
    (kind: Metric['kind'], suffix: string) =>
    (name: string, help: string, read: () => number): Metric => ({
      name: `mirrorstream_replayer_${name}${suffix}`,
      help,
      kind,
      read,
    });
  const counter = metric('counter', '_total');
  const gauge = metric('gauge', '');
  const sum = (read: (partition: Partition) => number) => () => {
    let total = 0;
    for (const partition of partitions()) total += read(partition);
    return total;
  };
  const lasting = (before: () => number, read: (partition: Partition) => number) => () => before() + sum(read)();
  return [
    counter('records', 'Envelope records read', () => work.records),
    counter('undecodable_records', 'Envelope records sent to the dead letter', () => work.undecodable),
    counter('cancels', 'Cancels replayed', () => work.cancels),
    counter('broken_lanes', 'Sessions given up because of a bug', () => work.brokenLanes),
    counter('cut_statements', 'Statements left out of results that were too large for Kafka', () => work.cutStatements),
    counter(
      'transactions_read',
      'Transactions taken over',
      lasting(
        () => work.read,
        (it) => it.read,
      ),
    ),
    counter(
      'transactions_resolved',
      'Transactions whose result Kafka has',
      lasting(
        () => work.resolved,
        (it) => it.resolved,
      ),
    ),
    counter(
      'duplicate_envelopes',
      'Transactions recognised as repeated',
      lasting(
        () => work.duplicates,
        (it) => it.duplicates,
      ),
    ),
    counter(
      'already_done',
      'Transactions an earlier owner had done',
      lasting(
        () => work.alreadyDone,
        (it) => it.alreadyDone,
      ),
    ),
    gauge('queued_bytes', 'Envelopes taken over and not played yet', () => backpressure.queuedBytes),
    gauge('queued_bytes_peak', 'The most of it there was', () => backpressure.peakBytes),
    gauge('paused_partitions', 'Partitions from which nothing is taken now', () => backpressure.pausedPartitions),
    gauge('exposure', 'Share of sessions to play', () => admission.admission.settings.exposure),
    gauge('exposed_sessions', 'Sessions played since the settings changed', () => admission.exposure.sessions.played),
    gauge('seen_sessions', 'Sessions seen since the settings changed', () => admission.exposure.sessions.seen),
    gauge('replay_paused', '1 while the operator has paused replay', () => (admission.paused ? 1 : 0)),
    gauge('shedding_stage', '0 none, 1 reads, 2 sessions, 3 skip', () =>
      stageNumber(admission.admission.shedding.stage),
    ),
    gauge('shed_session_share', 'Share of exposed sessions shed whole', () => admission.admission.shedding.share),
    gauge('result_bytes', 'Results not acknowledged yet', resultBytes),
    gauge(
      'unresolved_records',
      'Envelope records not settled yet',
      sum((it) => it.tracker.unresolvedRecords),
    ),
    gauge(
      'lanes',
      'Sessions under way',
      sum((it) => it.runners.size),
    ),
    {
      name: 'mirrorstream_replayer_schedule_lag_seconds',
      help: 'With timed pacing: how late exchanges were sent, since the start',
      kind: 'gauge',
      read: () =>
        [0.5, 0.99, 1].map((share) => ({
          labels: { quantile: String(share) },
          value: schedule.quantileUs(share) / 1e6,
        })),
    },
    counter('scheduled_sends', 'Sends that had their moment', () => schedule.total),
    gauge('order_waiting', 'Sessions that wait for what production had answered before', () => order.order.waiting),
    gauge('order_tickets', 'Exchanges whose order is kept or watched', () => order.order.size),
    counter(
      'order_given_up',
      'Pairs of exchanges sent out of order because waiting has a bound',
      () => order.order.counts.givenUp,
    ),
    counter(
      'order_overlaps_passed',
      'Overlapping exchanges not waited for to the end',
      () => order.order.overlapsPassed,
    ),
    counter(
      'order_retried',
      'Times a transaction was played again from its beginning, nothing of it having been committed',
      () => order.order.counts.retried,
    ),
    counter(
      'order_rolled_back',
      'Transactions rolled back because production failed to commit them',
      () => order.order.counts.rolledBack,
    ),
    counter('out_of_order', 'Exchanges sent out of order where nobody waits', () => order.order.counts.outOfOrder),
    counter(
      'diverged_by_order',
      'Transactions with a difference that were replayed out of order, or overlapped by a write in production',
      () => order.divergedByOrder,
    ),
    gauge('connections', 'Connections to the mirror', () => gate.stats.open),
    ...bindingReasons.map((reason) =>
      gauge(
        `lanes_bound_${reason.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`,
        'Pooled lanes that keep their connection for this reason',
        sum(({ runners }) => [...runners].filter(({ lane }) => lane.binding === reason).length),
      ),
    ),
    counter('connections_handed_on', 'Connections that went from one session to another', () => gate.stats.handedOn),
    gauge('waiting_for_connection', 'Sessions that wait for a connection', () => gate.stats.waiting),
    gauge(
      'connection_limit',
      'Connections to ask the mirror for at most, as it has given them',
      () => gate.stats.limit,
    ),
    gauge('addresses_taken_out', "The mirror's addresses that do not answer", () => gate.stats.takenOut),
    ...(ids === null ? [] : idMetrics(ids, counter, gauge)),
    gauge('target_down', '1 while the mirror does not answer', () => (gate.stats.down ? 1 : 0)),
  ];
}

type MetricMaker = (name: string, help: string, read: () => number) => Metric;

function idMetrics({ map }: IdKeeper, counter: MetricMaker, gauge: MetricMaker): readonly Metric[] {
  const { counts } = map;
  return [
    gauge('ids_known', 'Ids whose counterpart on the mirror is known', () => map.size),
    gauge('ids_bytes', 'Memory of them', () => map.sizeBytes),
    counter('ids_learned', 'Ids learnt from answers of both sides', () => counts.learned),
    counter('ids_differing', 'Of these, ids that the mirror gave otherwise', () => counts.differing),
    counter('ids_evicted', 'Ids forgotten because there were too many', () => counts.evicted),
    counter('ids_rewritten', 'Values sent with the id of the mirror in place', () => counts.rewritten),
    counter('ids_unmapped', 'Values sent that should have a counterpart, and none is known', () => counts.unmapped),
    counter('ids_unpaired', 'Answers whose rows do not go together: nothing learnt', () => counts.unpaired),
    counter('ids_not_kept', 'Answers not kept whole on both sides: nothing learnt', () => counts.notKept),
    counter('ids_unread', 'Texts that could not be looked into', () => counts.unread),
  ];
}

const stageNumber = (stage: ShedStage): number => shedStages.indexOf(stage);
