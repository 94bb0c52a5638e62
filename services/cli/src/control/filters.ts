// Filters from the flags of a command.
import { type FilterName, type Filters, filterFlags, filtersSchema } from '@mirrorstream/domain';
import { badFlag, type CommandSpec, type GivenFlags } from '../command-line.ts';

/** Those that are named; each value is split at commas. Throws `badInput` naming the flag. */
export function givenFilters(command: CommandSpec, flags: GivenFlags): Partial<Filters> {
  const found: Partial<Record<FilterName, unknown>> = {};
  for (const { name, filter } of filterFlags) {
    if (!flags.has(name)) continue;
    const values = flags
      .all(name)
      .flatMap((text) => text.split(','))
      .map((text) => text.trim())
      .filter((text) => text !== '');
    const parsed = filtersSchema.shape[filter].safeParse(values);
    if (!parsed.success) {
      const problem = parsed.error.issues[0]?.message ?? 'is wrong';
      throw badFlag(command, `--${name}`, problem, `See --${name} in mirrorstream ${command.name} --help.`);
    }
    found[filter] = parsed.data;
  }
  return found as Partial<Filters>;
}
