// What capture may keep of a session: every bound of the assembler, with its default.
import { MirrorstreamError } from '@mirrorstream/domain';

/** What is stored of production's answers. Tags, counts and SQLSTATE always are. */
export type AnswerPolicy = 'none' | 'digest' | 'full';

/** What is kept of answers: of all that is limited here the part that may change while a session lasts. */
export type AnswerRule = Pick<CaptureLimits, 'answers' | 'answerCapBytes'>;

export interface CaptureLimits {
  readonly answers: AnswerPolicy;
  /** `full`: an exchange whose answer is larger keeps digests instead of bytes. */
  readonly answerCapBytes: number;
  /** No encoded envelope part is larger. */
  readonly partBytes: number;
  /** A transaction that goes on longer publishes what it has, in parts. */
  readonly partAgeUs: number;
  /** After a gap a client that sends without waiting for answers is followed again from its first pause of this length. */
  readonly resyncPauseUs: number;
  /** What one session may hold unpublished; beyond it the transaction is given up (gap memoryLimit). */
  readonly sessionBufferBytes: number;
  /** Larger frames pass in pieces, without being collected. */
  readonly maxFrameBytes: number;
  /** Statements of one exchange that get an observation of their own. */
  readonly maxObservations: number;
  /** Settings remembered per session; with one more in force every envelope is marked `unknownSetting` until RESET ALL. */
  readonly maxSettings: number;
  readonly maxSettingBytes: number;
  /** Prepared statements remembered per session; using another marks the envelope `unknownStatement`. */
  readonly maxStatements: number;
  readonly maxStatementBytes: number;
}

export const defaultCaptureLimits: CaptureLimits = {
  answers: 'full',
  answerCapBytes: 64 * 1024,
  partBytes: 512 * 1024,
  partAgeUs: 1_000_000,
  resyncPauseUs: 50_000,
  sessionBufferBytes: 4 * 1024 * 1024,
  maxFrameBytes: 64 * 1024,
  maxObservations: 2048,
  maxSettings: 64,
  maxSettingBytes: 64 * 1024,
  maxStatements: 1000,
  maxStatementBytes: 1024 * 1024,
};

const leastPartBytes = 4 * 1024;

/** Throws `badInput` for limits no session could work with. */
export function checkCaptureLimits(limits: CaptureLimits): void {
  for (const [name, value] of Object.entries(limits)) {
    if (name !== 'answers' && !(Number.isFinite(value) && value >= 0))
      throw badLimit(name, 'must be a number of at least 0');
  }
  if (limits.partBytes < leastPartBytes) throw badLimit('partBytes', `must be at least ${leastPartBytes}`);
  if (limits.sessionBufferBytes < limits.partBytes) throw badLimit('sessionBufferBytes', 'must not be below partBytes');
}

function badLimit(name: string, problem: string): MirrorstreamError {
  return new MirrorstreamError('badInput', `capture limit ${name} ${problem}`, {
    stage: 'capture',
    hint: 'Leave it out to get the default.',
  });
}
