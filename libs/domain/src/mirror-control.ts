// What the control topic says about a mirror: a record each, newest wins, followed by every replayer of that mirror while it runs.
//
//   topic  mirrorstream.control, compacted, one partition
//   key    mirror/<environment>/<mirror>
//   value  JSON: {"version": 1, "exposure": 0.1, "filters": {"excludeTables": ["audit"]}, …}; what is absent leaves the replayer's flag in force
//
// Fields are only ever added. A field that a reader does not know it ignores and keeps; an unknown filter or threshold it refuses, because
// ignoring one would play what was to be left out. What was in force stays so then.
import { z } from 'zod';
import { parseControlRecord } from './control-record.ts';
import { type Filters, filtersSchema } from './filters.ts';
import { given } from './given.ts';
import { type ShedSettings, shedSchema } from './shed.ts';
import { type SideEffect, sideEffects } from './side-effects.ts';

export const mirrorRoles = ['candidate', 'control'] as const;
export type MirrorRole = (typeof mirrorRoles)[number];

const mirrorControlSchema = z.looseObject({
  version: z.literal(1),
  /** paused: transactions under way are finished, none begins; nothing is lost, the mirror falls behind. */
  replay: z.enum(['on', 'paused']).optional(),
  /** Share of the sessions that is played: those whose draw is below it. */
  exposure: z.number().min(0).max(1).optional(),
  filters: filtersSchema.partial().optional(),
  shed: shedSchema.partial().optional(),
  /** Side effects that may happen on the mirror, too. */
  allowSideEffects: z.array(z.enum(sideEffects)).optional(),
  /** control: it runs what production runs; what differs there is noise (docs/findings.md). Replayers do not care. */
  role: z.enum(mirrorRoles).optional(),
  /** Sessions under way follow exposure and filters, too, from their next transaction on. Otherwise they keep what they began with. */
  immediate: z.boolean().optional(),
});
export type MirrorControl = z.infer<typeof mirrorControlSchema>;

/** What a replayer does: the flags' values, and over them the control record's. */
export interface MirrorSettings {
  readonly replay: 'on' | 'paused';
  readonly exposure: number;
  readonly filters: Filters;
  readonly shed: ShedSettings;
  readonly allowSideEffects: readonly SideEffect[];
}

/** What is named is set; `immediate` is about this change alone. */
export type MirrorChange = {
  readonly replay?: MirrorSettings['replay'];
  readonly exposure?: number;
  readonly filters?: Partial<Filters>;
  readonly shed?: Partial<ShedSettings>;
  readonly allowSideEffects?: readonly SideEffect[];
  readonly role?: MirrorRole;
  readonly immediate?: boolean;
};

export const mirrorControlKey = (environment: string, mirror: string): string => `mirror/${environment}/${mirror}`;

/** Throws `badInput` naming the field; never quotes the value. */
export const parseMirrorControl = (json: string): MirrorControl =>
  parseControlRecord(mirrorControlSchema, json, 'mirrorstream mirror set');

/** For `ControlReader`: the record of a mirror's replayers. */
export const mirrorControl = (environment: string, mirror: string) => ({
  key: mirrorControlKey(environment, mirror),
  parse: parseMirrorControl,
});

export const encodeMirrorControl = (control: MirrorControl): string => JSON.stringify(control);

/** The record after a change: what the change does not name stays, what nobody here knows too. */
export function changeMirrorControl(present: MirrorControl | null, change: MirrorChange): MirrorControl {
  const { immediate, filters, shed, ...rest } = change;
  const { immediate: _before, ...kept } = present ?? { version: 1 };
  return mirrorControlSchema.parse({
    ...kept,
    ...rest,
    ...(filters === undefined ? {} : { filters: { ...present?.filters, ...filters } }),
    ...(shed === undefined ? {} : { shed: { ...present?.shed, ...shed } }),
    ...(immediate === true ? { immediate } : {}),
  });
}

/** The record once the flags of each replayer are to hold again: what the mirror is for stays. null: nothing is left. */
export function clearedMirrorControl(present: MirrorControl | null): MirrorControl | null {
  return present?.role === undefined ? null : { version: 1, role: present.role };
}

export function mirrorSettingsInForce(flags: MirrorSettings, control: MirrorControl | null): MirrorSettings {
  return {
    replay: control?.replay ?? flags.replay,
    exposure: control?.exposure ?? flags.exposure,
    filters: { ...flags.filters, ...given(control?.filters) },
    shed: { ...flags.shed, ...given(control?.shed) },
    allowSideEffects: control?.allowSideEffects ?? flags.allowSideEffects,
  };
}
