// What Kafka holds of a soak: the envelopes, folded as they are read, and the last snapshot of each incarnation.
import { type CaptureSnapshot, envelopesTopic, snapshotSchema, statusTopic } from '@mirrorstream/domain';
import { decodeEnvelopeBatch } from '@mirrorstream/envelope';
import { connectKafka, type IncomingBatch } from '@mirrorstream/kafka';
import { Account } from './account.ts';

export async function readBooks(
  bootstrap: string,
  source: string,
): Promise<{ readonly account: Account; readonly snapshots: readonly CaptureSnapshot[] }> {
  const account = new Account();
  // A request that Kafka did not answer in time is sent again: its records have the numbers they had.
  const newest = new Map<string, number>();
  await readAll(bootstrap, envelopesTopic(source), ({ partition, records }) => {
    for (const { value, headers } of records) {
      const place = `${headers['incarnation']}/${partition}`;
      const number = Number(headers['record']);
      if (value === null || number <= (newest.get(place) ?? 0)) continue;
      newest.set(place, number);
      account.add(decodeEnvelopeBatch(value));
    }
  });
  return { account, snapshots: await readSnapshots(bootstrap) };
}

export async function readSnapshots(bootstrap: string): Promise<readonly CaptureSnapshot[]> {
  const snapshots = new Map<string, CaptureSnapshot>();
  await readAll(bootstrap, statusTopic, ({ records }) => {
    for (const { value } of records) {
      const snapshot = snapshotSchema.parse(JSON.parse(String(value)));
      if (snapshot.kind === 'capture') snapshots.set(snapshot.incarnation, snapshot);
    }
  });
  return [...snapshots.values()];
}

async function readAll(bootstrap: string, topic: string, onBatch: (batch: IncomingBatch) => void): Promise<void> {
  const client = connectKafka({ brokers: [bootstrap], clientId: 'soak' });
  try {
    const admin = await client.admin();
    const ends = (await admin.offsets(topic)).filter(({ low, high }) => low < high);
    const ranges = ends.map(({ partition, low, high }) => ({ partition, from: low, to: high }));
    await client.readRange(topic, ranges, onBatch);
  } finally {
    await client.close();
  }
}
