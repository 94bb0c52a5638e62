// What the control topic says about capture: a record per source, newest wins, followed by every proxy of that source while it runs.
//
//   topic  mirrorstream.control, compacted, one partition
//   key    capture/<source>
//   value  JSON: {"version": 1, "capture": "on", "sampling": 0.1, …}; a field that is absent leaves the proxy's flag in force
//
// Fields are only ever added. A reader keeps what it does not know when it writes the record anew, and ignores it otherwise; a
// version it does not know it refuses, and what was in force stays so.
import { z } from 'zod';
import { parseControlRecord } from './control-record.ts';

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
export const parseCaptureControl = (json: string): CaptureControl =>
  parseControlRecord(captureControlSchema, json, 'mirrorstream capture set');

/** For `ControlReader`: the record of a source's proxies. */
export const captureControl = (source: string) => ({ key: captureControlKey(source), parse: parseCaptureControl });

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
