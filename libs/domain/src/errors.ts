// The one error base: a closed code, where it happened, whether a retry can help, and what the operator should do.

/** Every code an error of this project can carry. */
export type ErrorCode =
  | 'badInput' // flags, configuration, API calls: exit code 2
  | 'missingPrerequisite' // Java, Maven, a binary
  | 'portTaken'
  | 'diskFull'
  | 'downloadFailed'
  | 'componentFailed' // a child process or server died: exit code 3
  | 'notReady' // a deadline passed while waiting for something to answer
  | 'kafkaUnavailable'
  | 'kafkaRefused'
  | 'sourceUnreachable'
  | 'targetUnreachable'
  | 'targetFull' // it has no connection to give: 53300
  | 'targetRefused'
  | 'targetIsSource' // exit code 4
  | 'authenticationFailed'
  | 'protocolViolation'
  | 'undecodable'
  | 'accountingViolated'
  | 'internal';

export interface ErrorDetails {
  /** The part of the system, e.g. `kafka-broker`, `replayer`. */
  readonly stage: string;
  /** Whether trying again can help without anybody acting. */
  readonly retryable?: boolean;
  /** What the operator should do, in one or two sentences. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/** An error an operator can read. The message names the place; it never holds a value of traffic or a secret. */
export class MirrorstreamError extends Error {
  override readonly name = 'MirrorstreamError';
  readonly code: ErrorCode;
  readonly stage: string;
  readonly retryable: boolean;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.stage = details.stage;
    this.retryable = details.retryable ?? false;
    this.hint = details.hint;
  }
}

/** Process exit codes of every mirrorstream command. */
export const exitCodes = {
  ok: 0,
  /** It did what it was asked to, and found what it was asked to look for. */
  found: 1,
  badInput: 2,
  componentFailed: 3,
  targetIsSource: 4,
  /** Stopped by whoever started it, and can be gone on with. */
  stopped: 5,
} as const;

/** The exit code that an error ends a command with. */
export function exitCodeOf(error: unknown): number {
  if (!(error instanceof MirrorstreamError)) return exitCodes.componentFailed;
  if (error.code === 'badInput') return exitCodes.badInput;
  return error.code === 'targetIsSource' ? exitCodes.targetIsSource : exitCodes.componentFailed;
}
