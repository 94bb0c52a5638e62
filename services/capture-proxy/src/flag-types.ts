// What the values of flags look like: checked text that becomes numbers and addresses.
import { z } from 'zod';
import type { Address } from './forward/listener.ts';

export const address = z.string().transform((text, context): Address => {
  const found = readAddress(text);
  if (found !== null) return found;
  context.addIssue({ code: 'custom', message: 'must be HOST:PORT' });
  return z.NEVER;
});

/** Of servers: at least one, none with port 0. */
export const serverAddresses = z.string().transform((text, context): readonly Address[] => {
  const found = text.split(',').map((part) => readAddress(part.trim()));
  if (found.every((one) => one !== null && one.port > 0)) return found as Address[];
  context.addIssue({ code: 'custom', message: 'must be HOST:PORT, or several with commas' });
  return z.NEVER;
});

function readAddress(text: string): Address | null {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  return match !== null && port <= 65_535 ? { host: (match[1] ?? match[2]) as string, port } : null;
}

export const integer = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d+$/, 'must be a whole number')
    .transform(Number)
    .refine((value) => value >= min && value <= max, `must be from ${min} to ${max}`);

/** Becomes milliseconds. */
export const seconds = (min = 0) =>
  z
    .string()
    .regex(/^\d{1,9}(\.\d+)?$/, 'must be seconds')
    .transform((text) => Math.round(Number(text) * 1000))
    .refine((ms) => ms >= min * 1000, `must be at least ${min}`);
