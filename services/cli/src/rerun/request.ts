// What the command line of `mirrorstream rerun` asks for.
import { badFlag, type CommandSpec, type GivenFlags, parseCommandLine } from '../command-line.ts';
import { parseDuration } from '../duration.ts';
import { targetFlags } from '../history/target.ts';
import { type EnvelopeName, readEnvelopeName } from '../inspect/envelope-name.ts';
import { scopeFlags } from '../stack-scope.ts';

export const defaultSourceVariable = 'MIRRORSTREAM_SOURCE_URL';

export const rerunCommand: CommandSpec = {
  name: 'rerun',
  words: 'ENVELOPE',
  summary:
    'Plays one captured transaction once more on a mirror, inside a transaction that is rolled back, and compares the answers again. ' +
    'ENVELOPE is PARTITION:OFFSET:INDEX, as verdicts, findings and reports print it. What a ROLLBACK cannot take back is refused before ' +
    'anything is sent: a COMMIT in its middle, VACUUM, CREATE INDEX CONCURRENTLY, files, other servers, setval(). Numbers that ' +
    'sequences give out are not taken back by PostgreSQL; nor does anything else the mirror plays meanwhile wait without need: locks ' +
    'are waited for 5 s at most.',
  flags: [
    ...targetFlags,
    {
      name: 'timeout',
      placeholder: 'DURATION',
      defaultText: '30s',
      description: 'for the whole transaction; then it is rolled back',
    },
    {
      name: 'explain',
      placeholder: 'WHICH',
      description:
        'take plans on the mirror with the real parameters (EXPLAIN, never ANALYZE), of the statements that differ or were slower: ' +
        'differing; or of all; at most 2 per statement in 15 minutes. They are kept, for inspect and reports',
    },
    {
      name: 'explain-source',
      description: 'with --explain: on the source, too; reads nothing there but its catalogue and its statistics',
    },
    {
      name: 'source-env',
      placeholder: 'NAME',
      defaultText: defaultSourceVariable,
      description: 'with --explain-source: environment variable that holds the source’s URL',
    },
    { name: 'show-values', description: 'show what the application sent and what it was answered' },
    { name: 'json', description: 'print one JSON object (mirrorstream.rerun/1)' },
    ...scopeFlags,
  ],
  exitCodes:
    'Exit codes: 0 every answer is equal, or differs only as it may; 1 some answer differs; 2 bad flags, or it cannot be rolled back; ' +
    '3 the mirror or Kafka failed; 4 the mirror is the captured source.',
  examples: [
    {
      command: 'mirrorstream rerun 3:18204:0 --mirror candidate',
      does: 'on a mirror that the running stack brought along',
    },
    {
      command:
        'mirrorstream rerun 3:18204:0 --mirror candidate --target-env PG18_URL --explain differing --brokers kafka1:9092 --source-name shop',
      does: 'after an index was made, with the plan it has now',
    },
  ],
};

export interface RerunRequest {
  readonly flags: GivenFlags;
  readonly name: EnvelopeName;
  readonly timeoutMs: number;
  readonly explain: 'none' | 'differing' | 'all';
  /** null: never on the source. */
  readonly sourceVariable: string | null;
}

/** null: help is asked for. Throws `badInput`. */
export function readRerunRequest(argv: readonly string[]): RerunRequest | null {
  const words = argv.slice(0, argv.findIndex((word) => word.startsWith('-')) >>> 0);
  const flags = parseCommandLine(rerunCommand, argv.slice(words.length));
  if (flags.has('help')) return null;
  const explain = flags.last('explain') ?? 'none';
  if (explain !== 'none' && explain !== 'differing' && explain !== 'all')
    throw badFlag(rerunCommand, '--explain', 'is neither differing nor all', 'Write --explain differing.');
  for (const flag of ['explain-source', 'source-env'])
    if (flags.has(flag) && (explain === 'none' || !flags.has('explain-source')))
      throw badFlag(rerunCommand, `--${flag}`, 'does nothing here', 'Write --explain differing --explain-source.');
  const timeout = flags.last('timeout');
  const timeoutMs = timeout === undefined ? 30_000 : parseDuration(timeout);
  if (timeoutMs === undefined || timeoutMs > 3_600_000)
    throw badFlag(rerunCommand, '--timeout', 'is no duration up to 1h', 'For example 30s or 5m.');
  if (words.length > 1) throw badFlag(rerunCommand, 'ENVELOPE', 'is given twice', 'Name one envelope.');
  return {
    flags,
    name: readEnvelopeName('rerun', words[0]),
    timeoutMs,
    explain,
    sourceVariable: flags.has('explain-source') ? (flags.last('source-env') ?? defaultSourceVariable) : null,
  };
}
