// The flags that say what is played: exposure, filters, shedding.
import {
  type Filters,
  filterFlags,
  filtersSchema,
  type MirrorSettings,
  MirrorstreamError,
  neverShed,
  noFilters,
  type ShedSettings,
  shedFlags,
  shedProblem,
  shedSchema,
  sideEffects,
} from '@mirrorstream/domain';
import type { FlagTable, FlagValues } from '@mirrorstream/service-kit';
import { z } from 'zod';

export const admissionFlags: FlagTable = [
  { name: 'exposure', description: 'share of sessions to play, 0 to 1', default: '1', placeholder: 'SHARE' },
  {
    name: 'allow-side-effect',
    description: `let it happen on the mirror, too: ${sideEffects.join(', ')}, or all. Otherwise transactions that reach outside of the database are left out`,
    multiple: true,
    placeholder: 'NAME',
  },
  ...filterFlags.map(({ name, description, placeholder }) => ({ name, description, placeholder, multiple: true })),
  ...shedFlags.map(({ name, setting, description, placeholder }) => {
    const value = neverShed[setting];
    return { name, description, placeholder, ...(value === null ? {} : { default: String(value) }) };
  }),
];

const shedValue = z.coerce.number();

/** Throws `badInput` or zod errors by flag. */
export function parseAdmission(values: FlagValues): MirrorSettings {
  const { exposure, 'allow-side-effect': allowed } = z
    .object({
      exposure: z.coerce.number().min(0).max(1),
      'allow-side-effect': z.array(z.enum([...sideEffects, 'all'])).default([]),
    })
    .parse(values);
  const shed = parseByFlag(
    shedFlags.map(({ name, setting }) => {
      const given = values[name];
      return [name, setting, shedSchema.shape[setting], given === undefined ? null : shedValue.safeParse(given).data];
    }),
  );
  const filters = parseByFlag(
    filterFlags.map(({ name, filter }) => [name, filter, filtersSchema.shape[filter], values[name] ?? []]),
  );
  const settings: MirrorSettings = {
    replay: 'on',
    exposure,
    filters: { ...noFilters, ...(filters as Partial<Filters>) },
    shed: { ...neverShed, ...(shed as Partial<ShedSettings>) },
    allowSideEffects: allowed.includes('all') ? sideEffects : allowed.filter((name) => name !== 'all'),
  };
  const problem = shedProblem(settings.shed);
  if (problem === null) return settings;
  throw new MirrorstreamError('badInput', problem, {
    stage: 'flags',
    hint: 'Leave a stage out, or raise its threshold.',
  });
}

type Entry = readonly [flag: string, key: string, schema: z.ZodType, value: unknown];

/** Errors name the flag, as those of other flags do. */
function parseByFlag(entries: readonly Entry[]): Record<string, unknown> {
  const shape = Object.fromEntries(entries.map(([flag, , schema]) => [flag, schema]));
  const parsed = z.object(shape).parse(Object.fromEntries(entries.map(([flag, , , value]) => [flag, value])));
  return Object.fromEntries(entries.map(([flag, key]) => [key, parsed[flag]]));
}
