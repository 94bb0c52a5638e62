// From digested answers to the observations of a result, and production's answer made comparable to the mirror's.
import type { AnswerDigester } from '@mirrorstream/compare';
import {
  type Answer,
  AnswerStorage,
  type Observation,
  type ObservationDraft,
  StatementEnd,
} from '@mirrorstream/envelope';
import { frameEndAt } from '@mirrorstream/pg-wire';

/** One that was stored, with numbers and halves instead of bigints. */
function draftOf(stored: Observation): ObservationDraft {
  return {
    end: stored.end,
    commandTag: stored.commandTag,
    rows: Number(stored.rows),
    sqlState: stored.sqlState,
    severity: stored.severity,
    sizeBytes: Number(stored.sizeBytes),
    digested: stored.digested,
    orderedHi: highHalf(stored.orderedDigest),
    orderedLo: lowHalf(stored.orderedDigest),
    multisetHi: highHalf(stored.multisetDigest),
    multisetLo: lowHalf(stored.multisetDigest),
    columnsHi: highHalf(stored.columnsDigest),
    columnsLo: lowHalf(stored.columnsDigest),
    columnCount: stored.columnCount,
    latencyUs: Number(stored.latencyUs),
    firstRowUs: Number(stored.firstRowUs),
    errorHi: highHalf(stored.errorDigest),
    errorLo: lowHalf(stored.errorDigest),
  };
}

const highHalf = (digest: bigint): number => (digest === 0n ? 0 : Number(digest >> 32n));
const lowHalf = (digest: bigint): number => (digest === 0n ? 0 : Number(digest & 0xffff_ffffn));

/** A statement that has no answer of its own: discarded after an error, or the connection was lost first. */
export function withoutAnswer(end: typeof StatementEnd.SKIPPED | typeof StatementEnd.UNANSWERED): ObservationDraft {
  return {
    end,
    commandTag: '',
    rows: 0,
    sqlState: '',
    severity: '',
    sizeBytes: 0,
    digested: false,
    orderedHi: 0,
    orderedLo: 0,
    multisetHi: 0,
    multisetLo: 0,
    columnsHi: 0,
    columnsLo: 0,
    columnCount: 0,
    latencyUs: 0,
    firstRowUs: 0,
    errorHi: 0,
    errorLo: 0,
  };
}

/**
 * Production's observations, digested. A kept answer is digested here, the same way as the mirror's. Observations that capture made
 * for statements without an answer stay where they are.
 */
export function capturedObservations(
  answer: Answer | undefined,
  digester: AnswerDigester,
): readonly ObservationDraft[] {
  if (answer === undefined) return [];
  const { observations, raw } = answer;
  if (answer.storage !== AnswerStorage.FULL || raw.length === 0) return observations.map(draftOf);
  const digested = digestRaw(raw, digester);
  if (observations.length === 0) return digested;
  let at = 0;
  return observations.map((stored) => {
    if (stored.end === StatementEnd.SKIPPED || stored.end === StatementEnd.UNANSWERED) return draftOf(stored);
    const draft = digested[at++];
    if (draft === undefined) return draftOf(stored);
    draft.latencyUs = Number(stored.latencyUs);
    draft.firstRowUs = Number(stored.firstRowUs);
    return draft;
  });
}

/** Whole frames only: a kept answer ends at a frame's end, or where capture lost it. */
function digestRaw(raw: Uint8Array, digester: AnswerDigester): readonly ObservationDraft[] {
  digester.reset();
  for (let start = 0, end = 0; start < raw.length; start = end) {
    end = frameEndAt(raw, start, raw.length);
    if (end < 0) break;
    digester.frame(raw, start, end, 0);
  }
  const observations = digester.observations();
  digester.reset();
  return observations;
}
