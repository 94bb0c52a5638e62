// What the command line of `mirrorstream report` asks for.
import { checkName, liveRun } from '@mirrorstream/domain';
import { badFlag, type CommandSpec, type GivenFlags, parseCommandLine } from '../command-line.ts';
import { targetFlags } from '../history/target.ts';
import { scopeFlags } from '../stack-scope.ts';
import { parseRule, type Rule } from './rules.ts';

const formats = ['html', 'json', 'md', 'junit'] as const;
export type ReportFormat = (typeof formats)[number];

export const reportCommand: CommandSpec = {
  name: 'report',
  summary:
    'What would break on a mirror, what would be slower, what is only noise, and how sure that is: one HTML file that can be forwarded, ' +
    'without scripts and without requests to anywhere; or JSON, Markdown, JUnit. Values of the application are left out unless ' +
    '--show-values is given. Rules give the exit code for a pipeline; docs/report.md lists their metrics.',
  flags: [
    ...targetFlags.map((flag) =>
      flag.name === 'mirror'
        ? {
            ...flag,
            description:
              'the mirror; with a URL (or one of the next flags), its version and settings are asked for, too',
          }
        : flag,
    ),
    { name: 'run', placeholder: 'NAME', defaultText: 'live', description: 'of that run over a window of the past' },
    {
      name: 'source-env',
      placeholder: 'NAME',
      description: 'environment variable with the source’s URL: ask its version and settings, too',
    },
    { name: 'format', placeholder: 'KIND', defaultText: 'html', description: `one of ${formats.join(', ')}` },
    { name: 'out', placeholder: 'FILE', defaultText: 'stdout', description: 'where it goes' },
    {
      name: 'fail-on',
      placeholder: 'RULE',
      repeatable: true,
      description: 'what must hold, or the exit code is 1: divergence.rate<0.1%, p95.regression<10%, errors.new==0',
    },
    {
      name: 'show-values',
      description: 'examples with what the application sent and was answered: the file is then as secret as the data',
    },
    ...scopeFlags,
  ],
  exitCodes:
    'Exit codes: 0 every rule holds; 1 one does not, or what it is about is not known; 2 bad flags or a wrong rule, before anything is read; ' +
    '3 Kafka failed, or the numbers do not add up.',
  examples: [
    { command: 'mirrorstream report --mirror candidate --out candidate.html', does: 'of the stack that runs here' },
    {
      command:
        "mirrorstream report --mirror candidate --run nightly --format junit --out nightly.xml --fail-on 'errors.new==0' --fail-on 'p95.regression<10%' --brokers kafka1:9092",
      does: 'in a pipeline, of a run',
    },
  ],
};

export interface ReportRequest {
  readonly flags: GivenFlags;
  readonly run: string;
  readonly format: ReportFormat;
  readonly out: string | null;
  readonly rules: readonly Rule[];
  readonly sourceVariable: string | null;
  readonly showValues: boolean;
}

/** null: help is asked for. Throws `badInput`. */
export function readReportRequest(argv: readonly string[]): ReportRequest | null {
  const flags = parseCommandLine(reportCommand, argv);
  if (flags.has('help')) return null;
  const rules = flags.all('fail-on').map(parseRule);
  if (!flags.has('mirror'))
    throw badFlag(reportCommand, '--mirror', 'is missing', 'Name the mirror the report is about.');
  const named = flags.last('format') ?? 'html';
  const format = formats.find((one) => one === named);
  if (format === undefined)
    throw badFlag(reportCommand, '--format', `is none of ${formats.join(', ')}`, 'Leave it out for HTML.');
  const run = flags.last('run') ?? liveRun;
  return {
    flags,
    run: run === liveRun ? run : checkName('run', run),
    format,
    out: flags.last('out') ?? null,
    rules,
    sourceVariable: flags.last('source-env') ?? null,
    showValues: flags.has('show-values'),
  };
}
