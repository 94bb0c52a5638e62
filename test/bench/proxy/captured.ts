// What became of the transactions that went through a capture proxy: its final snapshot says.
import { type CaptureSnapshot, snapshotSchema, statusTopic } from '@mirrorstream/domain';
import { connectKafka } from '@mirrorstream/kafka';
import type { CaptureOutcome } from './report.ts';

/** Reads the status topic; the proxy has stopped. */
export async function captureOutcome(
  brokers: string,
  contender: string,
  sourceName: string,
  sent: number,
): Promise<CaptureOutcome> {
  const client = connectKafka({ brokers: [brokers], clientId: 'bench' });
  try {
    const admin = await client.admin();
    const ends = await admin.offsets(statusTopic);
    const newest = new Map<string, CaptureSnapshot>();
    const ranges = ends.map(({ partition, low, high }) => ({ partition, from: low, to: high }));
    await client.readRange(statusTopic, ranges, ({ records }) => {
      for (const { value } of records) {
        const snapshot = snapshotSchema.parse(JSON.parse(String(value)));
        if (snapshot.kind === 'capture' && snapshot.source === sourceName) newest.set(snapshot.incarnation, snapshot);
      }
    });
    await admin.close();
    const all = [...newest.values()];
    return {
      contender,
      sent,
      captured: all.reduce((sum, { transactions }) => sum + transactions, 0),
      dropped: all.reduce((sum, { dropped }) => sum + dropped.transactions, 0),
    };
  } finally {
    await client.close();
  }
}
