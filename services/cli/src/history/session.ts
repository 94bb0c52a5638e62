// What every command of history works with: Kafka, the records of runs, and an orderly end.
import { envelopesTopic, statusTopic } from '@mirrorstream/domain';
import type { Admin, KafkaClient, Producer } from '@mirrorstream/kafka';
import { ensureStatusTopic } from '@mirrorstream/service-kit';
import { closeGraceMs, withKafka } from '../stack-kafka.ts';
import { checkAnswers, pause, type StackScope } from '../stack-scope.ts';
import { RunStore } from './run-store.ts';

export interface HistorySession {
  readonly client: KafkaClient;
  readonly admin: Admin;
  readonly producer: Producer;
  readonly store: RunStore;
}

/** `needs`: which topic must be there already. Throws `badInput`, `kafkaUnavailable`. */
export async function withHistory<T>(
  scope: StackScope,
  needs: 'source' | 'status' | 'nothing',
  work: (session: HistorySession) => Promise<T>,
): Promise<T> {
  return await withKafka(scope, async (client) => {
    if (needs !== 'nothing') {
      const topic = needs === 'source' ? envelopesTopic(scope.source) : statusTopic;
      await checkAnswers(client, topic, scope);
    }
    const [admin, producer] = await Promise.all([client.admin(), client.producer({ compression: 'zstd' })]);
    await ensureStatusTopic(admin);
    const store = await RunStore.open(client, scope);
    try {
      return await work({ client, admin, producer, store });
    } finally {
      await Promise.race([Promise.all([store.stop(), producer.close(), admin.close()]), pause(closeGraceMs)]);
    }
  });
}
