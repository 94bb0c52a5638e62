// From digested answers to the observations of a result, and production's answer made comparable to the mirror's.
import type { AnswerDigester } from '@mirrorstream/compare';
import {
  type Answer,
  AnswerStorage,
  type Observation,
  type ObservationDraft,
  StatementEnd,
} from '@mirrorstream/envelope';
import { FrameEvent, FrameSplitter } from '@mirrorstream/pg-wire';

/** An observation's fields as a result carries them. */
export type ObservationFields = Omit<Observation, '$typeName' | '$unknown'>;

export function observationOf(draft: ObservationDraft): ObservationFields {
  return {
    end: draft.end,
    commandTag: draft.commandTag,
    rows: BigInt(draft.rows),
    sqlState: draft.sqlState,
    severity: draft.severity,
    sizeBytes: BigInt(draft.sizeBytes),
    digested: draft.digested,
    orderedDigest: joined(draft.orderedHi, draft.orderedLo),
    multisetDigest: joined(draft.multisetHi, draft.multisetLo),
    columnsDigest: joined(draft.columnsHi, draft.columnsLo),
    columnCount: draft.columnCount,
    latencyUs: BigInt(draft.latencyUs),
  };
}

const joined = (hi: number, lo: number): bigint => (hi === 0 && lo === 0 ? 0n : (BigInt(hi) << 32n) | BigInt(lo));

/** A statement that has no answer of its own: discarded after an error, or the connection was lost first. */
export function withoutAnswer(end: typeof StatementEnd.SKIPPED | typeof StatementEnd.UNANSWERED): ObservationFields {
  return {
    end,
    commandTag: '',
    rows: 0n,
    sqlState: '',
    severity: '',
    sizeBytes: 0n,
    digested: false,
    orderedDigest: 0n,
    multisetDigest: 0n,
    columnsDigest: 0n,
    columnCount: 0,
    latencyUs: 0n,
  };
}

/**
 * Production's observations, digested. A kept answer is digested here, the same way as the mirror's. Observations that capture made
 * for statements without an answer stay where they are.
 */
export function capturedObservations(
  answer: Answer | undefined,
  digester: AnswerDigester,
): readonly ObservationFields[] {
  if (answer === undefined) return [];
  if (answer.storage !== AnswerStorage.FULL || answer.raw.length === 0) return answer.observations;
  const digested = digestRaw(answer.raw, digester);
  if (answer.observations.length === 0) return digested.map(observationOf);
  let at = 0;
  return answer.observations.map((stored) => {
    if (stored.end === StatementEnd.SKIPPED || stored.end === StatementEnd.UNANSWERED) return stored;
    const draft = digested[at++];
    return draft === undefined ? stored : { ...observationOf(draft), latencyUs: stored.latencyUs };
  });
}

function digestRaw(raw: Uint8Array, digester: AnswerDigester): readonly ObservationDraft[] {
  const splitter = new FrameSplitter({ maxFrameBytes: Number.MAX_SAFE_INTEGER });
  digester.reset();
  splitter.feed(raw);
  while (splitter.next() === FrameEvent.frame) digester.frame(splitter.buffer, splitter.start, splitter.end, 0);
  const observations = digester.observations();
  digester.reset();
  return observations;
}
