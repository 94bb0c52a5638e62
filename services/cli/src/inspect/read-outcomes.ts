// Finds what became of a transaction on a mirror: its results and its verdicts, which know the envelope they are about.
import { resultsTopic, verdictsTopic } from '@mirrorstream/domain';
import {
  decodeResultBatch,
  decodeVerdictBatch,
  type EnvelopeRef,
  type Result,
  type Verdict,
} from '@mirrorstream/envelope';
import type { Admin, KafkaClient } from '@mirrorstream/kafka';
import type { CapturedPart } from './read-envelopes.ts';
import { readSlice } from './read-envelopes.ts';

export interface Outcomes {
  readonly results: readonly Result[];
  readonly verdicts: readonly Verdict[];
  /** Records looked at, of both topics. */
  readonly looked: number;
  /** There was more to look at. */
  readonly gaveUp: boolean;
}

export interface OutcomesOf {
  readonly environment: string;
  readonly mirror: string;
  readonly run: string;
}

/** A mirror may be far behind: results are looked for from the moment of capture on, so many records at most. */
const maxRecords = 300_000;
const sliceRecords = 2_000n;
const clockMarginMs = 10_000;

export async function readOutcomes(
  client: KafkaClient,
  admin: Admin,
  { environment, mirror, run }: OutcomesOf,
  parts: readonly CapturedPart[],
): Promise<Outcomes> {
  const results = await search(client, admin, resultsTopic(environment, mirror, run), parts, (value) =>
    decodeResultBatch(value).results.filter(({ sessionEnd }) => !sessionEnd),
  );
  const verdicts = await search(
    client,
    admin,
    verdictsTopic(environment, mirror, run),
    parts,
    (value) => decodeVerdictBatch(value).verdicts,
  );
  return {
    results: results.found,
    verdicts: verdicts.found,
    looked: results.looked + verdicts.looked,
    gaveUp: results.gaveUp || verdicts.gaveUp,
  };
}

/** One per part, in their order. What cannot be decoded is passed over. */
async function search<T extends { readonly ref?: EnvelopeRef | undefined }>(
  client: KafkaClient,
  admin: Admin,
  topic: string,
  parts: readonly CapturedPart[],
  decode: (value: Uint8Array) => readonly T[],
): Promise<{ readonly found: readonly T[]; readonly looked: number; readonly gaveUp: boolean }> {
  const first = parts[0] as CapturedPart;
  const { partition } = first.name;
  if (!(await admin.partitionCounts([topic])).has(topic)) return { found: [], looked: 0, gaveUp: false };
  const log = (await admin.offsets(topic)).find((one) => one.partition === partition);
  if (log === undefined) return { found: [], looked: 0, gaveUp: false };
  const sinceMs = Math.max(0, Number(first.envelope.startedAtUs / 1000n) - clockMarginMs);
  const start = (await admin.offsetsByTime(topic, sinceMs)).get(partition) ?? log.high;
  const wanted = new Map(parts.map(({ name }, i) => [`${name.offset}:${name.index}`, i]));
  const found = new Map<number, T>();
  let looked = 0;
  for (let from = start; from < log.high && found.size < parts.length; from += sliceRecords) {
    if (looked >= maxRecords) return { found: inOrder(found), looked, gaveUp: true };
    const to = from + sliceRecords < log.high ? from + sliceRecords : log.high;
    for (const { value } of await readSlice(client, topic, partition, from, to)) {
      looked++;
      for (const one of attempt(decode, value)) {
        const part = wanted.get(`${one.ref?.offset}:${one.ref?.index}`);
        if (part !== undefined && !found.has(part)) found.set(part, one);
      }
    }
  }
  return { found: inOrder(found), looked, gaveUp: false };
}

const inOrder = <T>(found: ReadonlyMap<number, T>): T[] => [...found].sort(([a], [b]) => a - b).map(([, one]) => one);

function attempt<T>(decode: (value: Uint8Array) => readonly T[], value: Uint8Array | null): readonly T[] {
  try {
    return value === null ? [] : decode(value);
  } catch {
    return [];
  }
}
