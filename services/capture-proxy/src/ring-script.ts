// A seeded list of records for the ring's tests; as a worker's entry it pushes that list from another thread.
import { isMainThread, workerData } from 'node:worker_threads';
import { RecordKind, RingProducer } from './ring.ts';

export interface ScriptedRecord {
  readonly session: number;
  readonly size: number;
  readonly monoUs: number;
}

/** Sizes as traffic has them: mostly small, some of a whole read buffer, some empty. */
export function ringScript(seed: number, records: number): ScriptedRecord[] {
  let state = seed | 0;
  const draw = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return (state >>> 8) / 2 ** 24;
  };
  return Array.from({ length: records }, (_, i) => {
    const kind = draw();
    const size = kind < 0.9 ? draw() * 400 : kind < 0.99 ? draw() * 9_000 : draw() * 65_536;
    return { session: Math.floor(draw() * 1_000), size: Math.floor(size), monoUs: i * 1_000_003 };
  });
}

const pattern = Uint8Array.from({ length: 65_536 + 1_000 }, (_, i) => (i * 31 + (i >> 8)) & 255);

/** What a record of this session and size holds. */
export const expectedPayload = (session: number, size: number): Uint8Array => pattern.subarray(session, session + size);

if (!isMainThread && workerData?.memory instanceof SharedArrayBuffer) {
  const producer = new RingProducer(workerData.memory);
  for (const { session, size, monoUs } of ringScript(workerData.seed, workerData.records)) {
    while (!producer.push(RecordKind.client, session, monoUs, expectedPayload(session, size)));
  }
}
