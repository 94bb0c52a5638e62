// Kafka before anything else runs on it: that it answers, and that the stack's topics are there.
import { changeMirrorControl, encodeMirrorControl, MirrorstreamError, mirrorControl } from '@mirrorstream/domain';
import { connectKafka, type KafkaClient } from '@mirrorstream/kafka';
import {
  ensureControlTopic,
  ensureMirrorTopics,
  ensureSourceTopics,
  ensureStatusTopic,
} from '@mirrorstream/service-kit';
import { readControl, writeControl } from '../control/record.ts';
import type { KafkaAccess } from '../kafka-plan.ts';
import type { StackPlan } from './stack-plan.ts';

/** Partitions of the embedded Kafka: enough for one machine, and quick to start. */
const embeddedPartitions = 8;
const ownKafkaPartitions = 32;
/** For a first answer of a Kafka of one's own. */
const firstAnswerMs = 10_000;

export function partitionsOf({ partitions, kafka }: StackPlan): number {
  return partitions ?? (kafka.kind === 'embedded' ? embeddedPartitions : ownKafkaPartitions);
}

/** Throws `kafkaUnavailable` unless it answers soon. */
export async function reachKafka(access: KafkaAccess): Promise<KafkaAccess> {
  const client = connectKafka({ ...access, clientId: 'mirrorstream-up', requestTimeoutMs: firstAnswerMs });
  try {
    await ensureStatusTopic(await client.admin());
    return access;
  } catch (error) {
    if (!(error instanceof MirrorstreamError) || error.code !== 'kafkaUnavailable') throw error;
    throw new MirrorstreamError('kafkaUnavailable', `Kafka cannot be reached: ${error.message}`, {
      stage: 'up',
      hint: 'Check --brokers (kafka.brokers in the file), TLS and SASL.',
      cause: error,
    });
  } finally {
    await client.close();
  }
}

export async function ensureStackTopics(client: KafkaClient, plan: StackPlan): Promise<void> {
  const options = { partitions: partitionsOf(plan) };
  const admin = await client.admin();
  await ensureStatusTopic(admin);
  await ensureSourceTopics(admin, plan.sourceName, options);
  for (const { name } of plan.mirrors) await ensureMirrorTopics(admin, plan.environment, name, options);
}

/** Says in the control topic what each mirror is for, where the file says so and the topic says otherwise. */
export async function declareRoles(client: KafkaClient, plan: StackPlan): Promise<void> {
  const declared = plan.mirrors.filter(({ role }) => role !== null);
  if (declared.length === 0) return;
  await ensureControlTopic(await client.admin());
  for (const { name, role } of declared) {
    const subject = mirrorControl(plan.environment, name);
    const { control } = await readControl(client, subject, quiet);
    if (role === null || control?.role === role) continue;
    await writeControl(client, subject.key, encodeMirrorControl(changeMirrorControl(control, { role })));
  }
}

const quiet = { debug() {}, info() {}, warn() {}, error() {} };
