// Reading and changing records of the control topic, whatever they are about.
import type { z } from 'zod';
import { MirrorstreamError } from './errors.ts';

/** Throws `badInput` naming the field; never quotes the value. `command` writes such records. */
export function parseControlRecord<Control>(schema: z.ZodType<Control>, json: string, command: string): Control {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw bad('it is no JSON', command, cause);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw bad(`${issue?.path.join('.') || 'value'}: ${issue?.message ?? 'wrong'}`, command, undefined);
}

function bad(problem: string, command: string, cause: unknown): MirrorstreamError {
  return new MirrorstreamError('badInput', `the control record is not usable: ${problem}`, {
    stage: 'control',
    hint: `Write it anew with ${command}.`,
    ...(cause === undefined ? {} : { cause }),
  });
}
