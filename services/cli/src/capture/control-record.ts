// Reads and writes the control record of a source.
import {
  type CaptureSettings,
  captureControlKey,
  changeCaptureControl,
  controlTopic,
  encodeCaptureControl,
} from '@mirrorstream/domain';
import type { KafkaClient, KafkaLogger } from '@mirrorstream/kafka';
import { ControlReader, type ControlState, ensureControlTopic } from '@mirrorstream/service-kit';

/** The record as it stands now; makes the topic where there is none. */
export async function readControl(client: KafkaClient, source: string, logger: KafkaLogger): Promise<ControlState> {
  const admin = await client.admin();
  if (!(await admin.partitionCounts([controlTopic])).has(controlTopic)) await ensureControlTopic(admin);
  const ignore = (): void => {};
  const reader = await ControlReader.start({ client, source, logger, onChange: ignore, onCrash: ignore });
  const { state } = reader;
  await reader.stop();
  return state;
}

/** Returns the offset of what was written. Of two operators at the same moment the later one wins. */
export async function writeControl(
  client: KafkaClient,
  source: string,
  present: ControlState,
  change: Partial<CaptureSettings> | 'clear',
): Promise<bigint> {
  const control = change === 'clear' ? null : changeCaptureControl(present.control, change);
  const producer = await client.producer();
  try {
    const [written] = await producer.send([
      {
        topic: controlTopic,
        partition: 0,
        key: captureControlKey(source),
        value: control === null ? null : Buffer.from(encodeCaptureControl(control)),
      },
    ]);
    if (written === undefined) throw new Error('an acknowledgement for each partition');
    return written.baseOffset;
  } finally {
    await producer.close();
  }
}
