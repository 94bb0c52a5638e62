// What the control topic says about capture: a record per source, newest wins, followed by every proxy of that source while it runs.
//
//   topic  mirrorstream.control, compacted, one partition
//   key    capture/<source>
//   value  JSON: {"version": 1, "capture": "on", "sampling": 0.1, …}; a field that is absent leaves the proxy's flag in force
//
// Fields are only ever added. A reader keeps what it does not know when it writes the record anew, and ignores it otherwise; a
// version it does not know it refuses, and what was in force stays so.
import { z } from 'zod';
import { MirrorstreamError } from './errors.ts';

export const answerPolicies = ['none', 'digest', 'full'] as const;
/** The largest answer that may be kept whole: it has to fit into one part of an envelope. */
export const maxAnswerCapBytes = 256 * 1024;

const captureControlSchema = z.looseObject({
  version: z.literal(1),
  /** off: nothing is copied any more; connections go on. */
  capture: z.enum(['on', 'off']).optional(),
  /** Share of the sessions that is captured: those whose draw is below it. */
  sampling: z.number().min(0).max(1).optional(),
  /** What is kept of production's answers, from the next exchange on. */
  answers: z.enum(answerPolicies).optional(),
  answerCapBytes: z.number().int().min(0).max(maxAnswerCapBytes).optional(),
});
export type CaptureControl = z.infer<typeof captureControlSchema>;

/** What a proxy does: the flags' values, and over them the control record's. */
export interface CaptureSettings {
  readonly capture: 'on' | 'off';
  readonly sampling: number;
  readonly answers: (typeof answerPolicies)[number];
  readonly answerCapBytes: number;
}

export const captureControlKey = (source: string): string => `capture/${source}`;

/** Throws `badInput` naming the field; never quotes the value. */
export function parseCaptureControl(json: string): CaptureControl {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw bad('it is no JSON', cause);
  }
  const parsed = captureControlSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw bad(`${issue?.path.join('.') || 'value'}: ${issue?.message ?? 'wrong'}`, undefined);
}

export const encodeCaptureControl = (control: CaptureControl): string => JSON.stringify(control);

/** The record after a change: what the change does not name stays, what nobody here knows too. */
export function changeCaptureControl(present: CaptureControl | null, change: Partial<CaptureSettings>): CaptureControl {
  return captureControlSchema.parse({ ...(present ?? { version: 1 }), ...change });
}

export function settingsInForce(flags: CaptureSettings, control: CaptureControl | null): CaptureSettings {
  return {
    capture: control?.capture ?? flags.capture,
    sampling: control?.sampling ?? flags.sampling,
    answers: control?.answers ?? flags.answers,
    answerCapBytes: control?.answerCapBytes ?? flags.answerCapBytes,
  };
}

function bad(problem: string, cause: unknown): MirrorstreamError {
  return new MirrorstreamError('badInput', `the control record is not usable: ${problem}`, {
    stage: 'control',
    hint: 'Write it anew with mirrorstream capture set.',
    ...(cause === undefined ? {} : { cause }),
  });
}
