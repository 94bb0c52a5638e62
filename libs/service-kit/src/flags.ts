// The flag table: from argv and environment to named strings, and the help text that describes them.
export interface Flag {
  /** Without the leading dashes, e.g. `brokers`. Environment fallback: `MIRRORSTREAM_BROKERS`. */
  readonly name: string;
  readonly description: string;
  /** Shown in the help text and used when neither flag nor environment gives a value. */
  readonly default?: string;
  /** A flag without a value: `true` when given. */
  readonly boolean?: boolean;
  /** May be given several times; environment values are split at commas. */
  readonly multiple?: boolean;
  /** What stands for the value in the help text, e.g. `HOST:PORT`. */
  readonly placeholder?: string;
  readonly required?: boolean;
}
export type FlagTable = readonly Flag[];
/** By flag name. Absent: not given and no default. */
export type FlagValues = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;
