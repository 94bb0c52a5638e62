// What every command of history works with: Kafka, the records of runs, and an orderly end.
import { envelopesTopic, statusTopic } from '@mirrorstream/domain';
import { type Admin, connectKafka, type KafkaClient, type Producer } from '@mirrorstream/kafka';
import { ensureStatusTopic } from '@mirrorstream/service-kit';
import { checkAnswers, pause, type StackScope } from '../stack-scope.ts';
import { RunStore } from './run-store.ts';

export interface HistorySession {
  readonly client: KafkaClient;
  readonly admin: Admin;
  readonly producer: Producer;
  readonly store: RunStore;
}

const closeGraceMs = 1_000;

/** `needs`: which topic must be there already. Throws `badInput`, `kafkaUnavailable`. */
export async function withHistory<T>(
  scope: StackScope,
  needs: 'source' | 'status' | 'nothing',
  work: (session: HistorySession) => Promise<T>,
): Promise<T> {
  const client = connectKafka({ ...scope.access, clientId: `mirrorstream-${scope.stage}` });
  try {
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
  } finally {
    await Promise.race([client.close(), pause(closeGraceMs)]);
  }
}
