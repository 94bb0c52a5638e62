// Finds a captured transaction in the log by the name of one of its envelopes: that record, and its later parts.
import { envelopesTopic, MirrorstreamError } from '@mirrorstream/domain';
import { decodeEnvelopeBatch, type Envelope, type EnvelopeBatch } from '@mirrorstream/envelope';
import type { Admin, IncomingRecord, KafkaClient } from '@mirrorstream/kafka';
import { type EnvelopeName, formatEnvelopeName } from './envelope-name.ts';

export interface CapturedPart {
  readonly name: EnvelopeName;
  readonly envelope: Envelope;
}

export interface CapturedTransaction {
  readonly source: string;
  readonly captureNode: string;
  /** In order, from the one that was named on. */
  readonly parts: readonly CapturedPart[];
  /** Its last part was found. */
  readonly complete: boolean;
}

/** Later parts leave capture each second: so many records on, a transaction without its end is taken for one. */
const maxRecordsAhead = 20_000n;
const sliceRecords = 500n;

/** Throws `badInput` where there is no such envelope, or not any more. */
export async function readCaptured(
  client: KafkaClient,
  admin: Admin,
  source: string,
  name: EnvelopeName,
  stage: string,
): Promise<CapturedTransaction> {
  const topic = envelopesTopic(source);
  const log = (await admin.offsets(topic)).find(({ partition }) => partition === name.partition);
  if (log === undefined) throw notThere(stage, name, `${topic} has no partition ${name.partition}`);
  if (name.offset < log.low)
    throw notThere(stage, name, `${topic} keeps it no longer: partition ${name.partition} begins at ${log.low}`);
  if (name.offset >= log.high)
    throw notThere(stage, name, `partition ${name.partition} of ${topic} ends at ${log.high}`);
  const [first] = await readSlice(client, topic, name.partition, name.offset, name.offset + 1n);
  if (first === undefined) throw notThere(stage, name, `there is no record at that offset of ${topic}`);
  const batch = decodeEnvelopeBatch(first.value ?? new Uint8Array(0));
  const record = batch.records[name.index]?.record;
  if (record?.case !== 'envelope')
    throw notThere(
      stage,
      name,
      `the record at that offset has ${record === undefined ? 'no' : 'another kind of'} entry there`,
    );
  const parts: CapturedPart[] = [{ name, envelope: record.value }];
  const ofSameBatch = laterParts(batch, name, parts, name.index + 1);
  const complete = ofSameBatch || (await readFurther(client, topic, name, log.high, parts));
  return { source: batch.source, captureNode: batch.captureNode, parts, complete };
}

async function readFurther(
  client: KafkaClient,
  topic: string,
  name: EnvelopeName,
  high: bigint,
  parts: CapturedPart[],
): Promise<boolean> {
  const limit = name.offset + maxRecordsAhead < high ? name.offset + maxRecordsAhead : high;
  for (let from = name.offset + 1n; from < limit; from += sliceRecords) {
    const to = from + sliceRecords < limit ? from + sliceRecords : limit;
    for (const { offset, value } of await readSlice(client, topic, name.partition, from, to)) {
      const batch = decoded(value);
      if (batch !== null && laterParts(batch, { ...name, offset }, parts, 0)) return true;
    }
  }
  return false;
}

/** Adds what a batch holds of the transaction; true: its last part is there. */
function laterParts(batch: EnvelopeBatch, at: EnvelopeName, parts: CapturedPart[], from: number): boolean {
  const newest = (): Envelope => (parts.at(-1) as CapturedPart).envelope;
  for (let index = from; index < batch.records.length && !newest().lastPart; index++) {
    const record = batch.records[index]?.record;
    if (record?.case !== 'envelope') continue;
    const { sessionId, sessionSeq, part } = record.value;
    // A record that came again brings parts that are there already.
    if (sessionId === newest().sessionId && sessionSeq === newest().sessionSeq && part === newest().part + 1)
      parts.push({ name: { ...at, index }, envelope: record.value });
  }
  return newest().lastPart;
}

function decoded(value: Uint8Array | null): EnvelopeBatch | null {
  try {
    return decodeEnvelopeBatch(value ?? new Uint8Array(0));
  } catch {
    return null; // In the dead letter, and none of the parts that can be read.
  }
}

export async function readSlice(
  client: KafkaClient,
  topic: string,
  partition: number,
  from: bigint,
  to: bigint,
): Promise<readonly IncomingRecord[]> {
  const records: IncomingRecord[] = [];
  await client.readRange(topic, [{ partition, from, to }], (batch) => records.push(...batch.records));
  return records;
}

function notThere(stage: string, name: EnvelopeName, why: string): MirrorstreamError {
  return new MirrorstreamError('badInput', `there is no envelope ${formatEnvelopeName(name)}: ${why}`, {
    stage,
    hint: 'Names are those of one source: is it the right one (--source-name)? How long traffic is kept, its topic’s retention says.',
  });
}
