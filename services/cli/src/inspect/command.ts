// `mirrorstream inspect`: the whole story of a transaction, or of an example of a finding.
import { checkName, envelopesTopic, exitCodes, liveRun } from '@mirrorstream/domain';
import type { Verdict } from '@mirrorstream/envelope';
import { type Admin, connectKafka, type KafkaClient } from '@mirrorstream/kafka';
import { createSqlAnalyzer } from '@mirrorstream/sql';
import { badFlag, type CommandSpec, type GivenFlags, helpText, parseCommandLine } from '../command-line.ts';
import { readFindings } from '../findings/read-findings.ts';
import { checkAnswers, pause, type StackScope, scopeFlags, stackScope } from '../stack-scope.ts';
import { wantsColour } from '../view/screen.ts';
import { type EnvelopeName, formatEnvelopeName, readEnvelopeName } from './envelope-name.ts';
import { readPlans } from './plan-store.ts';
import { readCaptured } from './read-envelopes.ts';
import { readOutcomes } from './read-outcomes.ts';
import { showValueOf } from './redaction.ts';
import { type StatementJudgement, type Story, tellStory } from './story.ts';
import { storyLines } from './story-text.ts';

export const inspectCommand: CommandSpec = {
  name: 'inspect',
  words: 'FINDING|ENVELOPE',
  summary:
    'Shows the whole story of one captured transaction and what a mirror made of it: session, statements with their parameters, timings, ' +
    'both answers row by row, the verdict, and plans that were taken. ENVELOPE is PARTITION:OFFSET:INDEX, as verdicts, findings and ' +
    'reports print it; FINDING is the id of one, of which the newest example is shown. Values (parameters, constants, cells, messages) are redacted unless --show-values is given.',
  flags: [
    { name: 'mirror', placeholder: 'NAME', description: 'whose answer is shown; without it, production’s side alone' },
    { name: 'run', placeholder: 'NAME', defaultText: 'live', description: 'of that run over a window of the past' },
    { name: 'show-values', description: 'show what the application sent and what it was answered' },
    { name: 'json', description: 'print one JSON object (mirrorstream.story/1)' },
    ...scopeFlags,
  ],
  examples: [
    { command: 'mirrorstream inspect 3:18204:0 --mirror candidate', does: 'on the stack that runs here' },
    { command: 'mirrorstream inspect 9f3c21ab77de --mirror candidate', does: 'an example of a finding' },
    {
      command:
        'mirrorstream inspect 3:18204:0 --mirror candidate --show-values --json --brokers kafka1:9092 --source-name shop',
      does: 'everything, for a program',
    },
  ],
};

export async function inspect(argv: readonly string[]): Promise<number> {
  const words = argv.slice(0, argv.findIndex((word) => word.startsWith('-')) >>> 0);
  const flags = parseCommandLine(inspectCommand, argv.slice(words.length));
  if (flags.has('help')) {
    process.stdout.write(helpText(inspectCommand));
    return exitCodes.ok;
  }
  if (words.length > 1)
    throw badFlag(inspectCommand, JSON.stringify(words[1]?.slice(0, 40)), 'is one word too many', 'Name one envelope.');
  const mirror = flags.last('mirror');
  if (mirror !== undefined) checkName('mirror', mirror);
  const run = flags.last('run') ?? liveRun;
  if (run !== liveRun) checkName('run', run);
  const finding = /^[0-9a-f]{12}$/.test(words[0] ?? '') ? (words[0] ?? '') : null;
  if (finding !== null && mirror === undefined)
    throw badFlag(inspectCommand, '--mirror', 'is missing', 'A finding is one of a mirror: name it.');
  const named = finding === null ? readEnvelopeName('inspect', words[0]) : null;
  const scope = await stackScope(inspectCommand, flags, 'anySource');
  const client = connectKafka({ ...scope.access, clientId: 'mirrorstream-inspect' });
  try {
    await checkAnswers(client, envelopesTopic(scope.source), scope);
    const admin = await client.admin();
    const { name, notes } =
      named === null
        ? await exampleOf(client, { environment: scope.environment, mirror: mirror ?? '', run }, finding ?? '')
        : { name: named, notes: [] };
    const story = await readStory(
      client,
      admin,
      scope,
      { name, mirror: mirror ?? null, run, notes },
      flags.has('show-values'),
    );
    print(story, flags);
    return exitCodes.ok;
  } finally {
    await Promise.race([client.close(), pause(1000)]);
  }
}

interface Asked {
  readonly name: EnvelopeName;
  readonly mirror: string | null;
  readonly run: string;
  readonly notes: readonly string[];
}

/** The newest example of a finding, and where the others are. Throws `badInput`. */
async function exampleOf(
  client: KafkaClient,
  place: { readonly environment: string; readonly mirror: string; readonly run: string },
  id: string,
): Promise<{ readonly name: EnvelopeName; readonly notes: readonly string[] }> {
  const { findings } = await readFindings(client, place, Date.now());
  const found = findings.find((one) => one.id === id);
  const names = (found?.exemplars ?? [])
    .toSorted((a, b) => b.atUs - a.atUs)
    .map(({ envelope }) => ({ partition: envelope.partition, offset: BigInt(envelope.offset), index: envelope.index }));
  const [name, ...others] = names;
  if (found === undefined || name === undefined)
    throw badFlag(
      inspectCommand,
      id,
      found === undefined ? `is no finding of ${place.mirror}` : 'is a finding without an example',
      'mirrorstream findings list says which there are.',
    );
  const more = others.length === 0 ? '' : `; other examples: ${others.map(formatEnvelopeName).join(', ')}`;
  return { name, notes: [`finding ${id}: ${found.class}, ${found.count} statements, ${found.decision}${more}`] };
}

async function readStory(
  client: KafkaClient,
  admin: Admin,
  scope: StackScope,
  { name, mirror, run, notes: told }: Asked,
  showValues: boolean,
): Promise<Story> {
  const { environment, source } = scope;
  const transaction = await readCaptured(client, admin, source, name, scope.stage);
  const sql = await createSqlAnalyzer();
  const outcomes =
    mirror === null ? null : await readOutcomes(client, admin, { environment, mirror, run }, transaction.parts);
  const plans = mirror === null ? [] : await readPlans(client, admin, environment, mirror);
  const judgements = judgementsOf(outcomes?.verdicts ?? [], name.partition);
  const notes = [...told];
  if (outcomes?.results.length === 0)
    notes.push(
      outcomes.gaveUp
        ? `among the ${outcomes.looked} records since it was captured there is no result; the mirror may have played it later`
        : 'there is no result of it: the mirror has not come to it yet, or its results are not kept any more',
    );
  return tellStory(
    {
      transaction,
      mirror,
      run,
      results: outcomes?.results ?? [],
      judgementOf: (exchange, statement) => judgements.get(`${exchange}/${statement}`) ?? null,
      plansOf: (fingerprint) => plans.filter((plan) => plan.fingerprint === fingerprint),
      notes,
    },
    {
      show: showValueOf(showValues),
      redacts: !showValues,
      normalize: (text) => sql.normalize(text),
      fingerprint: (text) => sql.fingerprint(text),
    },
  );
}

function judgementsOf(verdicts: readonly Verdict[], partition: number): ReadonlyMap<string, StatementJudgement> {
  const found = new Map<string, StatementJudgement>();
  for (const { statements } of verdicts)
    for (const one of statements) {
      const { cause } = one;
      found.set(`${one.exchange}/${one.statement}`, {
        class: one.class,
        notCompared: one.notCompared,
        detail: one.detail,
        fingerprint: one.fingerprint,
        columns: one.columns,
        cause:
          cause === undefined
            ? null
            : { envelope: formatEnvelopeName({ ...cause, partition }), fingerprint: cause.fingerprint },
      });
    }
  return found;
}

function print(story: Story, flags: GivenFlags): void {
  const text = flags.has('json')
    ? JSON.stringify(story)
    : storyLines(story, {
        columns: process.stdout.columns ?? 160,
        colour: wantsColour(process.env, process.stdout.isTTY),
        showValues: flags.has('show-values'),
      }).join('\n');
  process.stdout.write(`${text}\n`);
}
