// What people said about findings: records of the control topic, newest wins. Readers apply them when they look; no service follows them.
//
//   topic  mirrorstream.control, compacted, one partition
//   key    findings/<environment>/<mirror>/status/<finding>          {"version": 1, "status": "acknowledged", "by": …, "reason": …, "atMs": …}
//          findings/<environment>/<mirror>/suppression/<suppression> {"version": 1, "owner": …, "reason": …, "expiresAtMs": …, "scope": {…}}
//   value  null: taken back
//
// Fields are only ever added; what a reader does not know it ignores, but for an unknown part of a scope: ignoring that would hide more
// than was asked for, so the record is refused.
import { parseControlRecord, statementClasses } from '@mirrorstream/domain';
import { z } from 'zod';

const atMs = z.number().int().nonnegative();

const statusRecordSchema = z.looseObject({
  version: z.literal(1),
  /** `reopened`: somebody said so. That it was seen again follows from its counts. */
  status: z.enum(['acknowledged', 'resolved', 'reopened']),
  by: z.string().min(1),
  reason: z.string(),
  atMs,
});
export type StatusRecord = z.infer<typeof statusRecordSchema>;

/** All that is named must fit. */
export const suppressionScopeSchema = z
  .strictObject({
    fingerprint: z
      .string()
      .regex(/^[0-9a-f]{16}$/)
      .optional(),
    class: z.enum(statementClasses).optional(),
    column: z.string().min(1).optional(),
    /** `table` fits it in every schema, `schema.table` in one. */
    table: z.string().min(1).optional(),
  })
  .refine((scope) => Object.values(scope).some((value) => value !== undefined), 'names nothing');
export type SuppressionScope = z.infer<typeof suppressionScopeSchema>;

const suppressionRecordSchema = z.looseObject({
  version: z.literal(1),
  owner: z.string().min(1),
  reason: z.string().min(1),
  createdAtMs: atMs,
  /** From then on it hides nothing, and what it hid is seen again. */
  expiresAtMs: atMs,
  scope: suppressionScopeSchema,
});
export type SuppressionRecord = z.infer<typeof suppressionRecordSchema>;

/** All that was said about a mirror's findings. */
export interface FindingRecords {
  readonly statuses: ReadonlyMap<string, StatusRecord>;
  readonly suppressions: ReadonlyMap<string, SuppressionRecord>;
}

export const noRecords: FindingRecords = { statuses: new Map(), suppressions: new Map() };

const prefix = (environment: string, mirror: string): string => `findings/${environment}/${mirror}/`;
export const statusKey = (environment: string, mirror: string, finding: string): string =>
  `${prefix(environment, mirror)}status/${finding}`;
export const suppressionKey = (environment: string, mirror: string, suppression: string): string =>
  `${prefix(environment, mirror)}suppression/${suppression}`;

/** What a key of the control topic is to this mirror's findings; null: nothing. */
export function findingKeyOf(
  environment: string,
  mirror: string,
  key: string,
): { readonly kind: 'status' | 'suppression'; readonly id: string } | null {
  if (!key.startsWith(prefix(environment, mirror))) return null;
  const [kind, id, ...rest] = key.slice(prefix(environment, mirror).length).split('/');
  if ((kind !== 'status' && kind !== 'suppression') || id === undefined || id === '' || rest.length > 0) return null;
  return { kind, id };
}

const command = 'mirrorstream findings';
/** These throw `badInput` naming the field, never the value. */
export const parseStatusRecord = (json: string): StatusRecord => parseControlRecord(statusRecordSchema, json, command);
export const parseSuppressionRecord = (json: string): SuppressionRecord =>
  parseControlRecord(suppressionRecordSchema, json, command);
