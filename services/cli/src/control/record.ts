// Reads and writes records of the control topic.
import { controlTopic } from '@mirrorstream/domain';
import type { KafkaClient, KafkaLogger } from '@mirrorstream/kafka';
import { ControlReader, type ControlState, type ControlSubject, ensureControlTopic } from '@mirrorstream/service-kit';

/** The record as it stands now; makes the topic where there is none. */
export async function readControl<Control>(
  client: KafkaClient,
  subject: ControlSubject<Control>,
  logger: KafkaLogger,
): Promise<ControlState<Control>> {
  const admin = await client.admin();
  if (!(await admin.partitionCounts([controlTopic])).has(controlTopic)) await ensureControlTopic(admin);
  const ignore = (): void => {};
  const reader = await ControlReader.start({ client, subject, logger, onChange: ignore, onCrash: ignore });
  const { state } = reader;
  await reader.stop();
  return state;
}

/** Returns the offset of what was written; null takes the record away. Of two operators at the same moment the later one wins. */
export async function writeControl(client: KafkaClient, key: string, json: string | null): Promise<bigint> {
  const producer = await client.producer();
  try {
    const value = json === null ? null : Buffer.from(json);
    const [written] = await producer.send([{ topic: controlTopic, partition: 0, key, value }]);
    if (written === undefined) throw new Error('an acknowledgement for each partition');
    return written.baseOffset;
  } finally {
    await producer.close();
  }
}
