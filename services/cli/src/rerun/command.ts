// `mirrorstream rerun`: one transaction once more, taken back at its end, and compared again.
import {
  divergenceClasses,
  envelopesTopic,
  exitCodes,
  MirrorstreamError,
  type SourceServer,
  statusTopic,
} from '@mirrorstream/domain';
import { type Admin, connectKafka, type KafkaClient } from '@mirrorstream/kafka';
import { readTargetAddresses, SourceGuard, type TargetAddress } from '@mirrorstream/pg-target';
import { createSqlAnalyzer, mayEndTransaction, type SqlAnalyzer, transactionCommands } from '@mirrorstream/sql';
import { helpText } from '../command-line.ts';
import { readTarget } from '../history/target.ts';
import { formatEnvelopeName } from '../inspect/envelope-name.ts';
import { type CapturedTransaction, readCaptured } from '../inspect/read-envelopes.ts';
import { showValueOf } from '../inspect/redaction.ts';
import { type Story, type StoryStatement, tellStory } from '../inspect/story.ts';
import { storyLines } from '../inspect/story-text.ts';
import { followSnapshots } from '../snapshot-feed.ts';
import { checkAnswers, inTime, pause, type StackScope, stackScope } from '../stack-scope.ts';
import { wantsColour } from '../view/screen.ts';
import { judgeHere, readResults } from './judge-here.ts';
import { type Played, play } from './play.ts';
import { type RerunRequest, readRerunRequest, rerunCommand } from './request.ts';
import { type RolledBack, rolledBack } from './rolled-back.ts';
import { type TakenPlans, takePlans } from './take-plans.ts';

const lockTimeoutMs = 5_000;
/** Slower than in production by both: worth a plan. */
const slowerRatio = 1.5;
const slowerUs = 1_000;

interface Rerun {
  readonly story: Story;
  readonly changes: readonly string[];
  /** How the check in place of COMMIT ended; null: there was none. */
  readonly commitCheck: { readonly sqlState: string } | null;
  readonly endedByItself: boolean;
  readonly differs: boolean;
}

export async function rerun(argv: readonly string[]): Promise<number> {
  const request = readRerunRequest(argv);
  if (request === null) {
    process.stdout.write(helpText(rerunCommand));
    return exitCodes.ok;
  }
  const scope = await stackScope(rerunCommand, request.flags, 'anySource');
  const target = await readTarget(rerunCommand, request.flags, process.env, scope.embeddedMirrors);
  const mirrorAddress = await addressOf(target.arguments, { ...process.env, ...target.env });
  const sourceAddress =
    request.sourceVariable === null ? null : await addressOf(['--target-env', request.sourceVariable], process.env);
  const client = connectKafka({ ...scope.access, clientId: 'mirrorstream-rerun' });
  try {
    await checkAnswers(client, envelopesTopic(scope.source), scope);
    const admin = await client.admin();
    const sql = await createSqlAnalyzer();
    const guard = new SourceGuard({ servers: await capturedServers(client, scope) });
    const transaction = await readCaptured(client, admin, scope.source, request.name, scope.stage);
    const plan = planOf(transaction, sql);
    const played = await play(plan.envelopes, {
      address: mirrorAddress,
      guard,
      timeoutMs: request.timeoutMs,
      lockTimeoutMs,
    });
    const servers = { mirror: mirrorAddress, guard, source: sourceAddress };
    const found = await tell({ client, admin, sql }, scope, request, {
      transaction,
      plan,
      played,
      mirror: target.mirror,
      servers,
    });
    print(found, request);
    if (found.endedByItself) throw escaped(target.mirror);
    return found.differs ? exitCodes.found : exitCodes.ok;
  } finally {
    await Promise.race([client.close(), pause(1000)]);
  }
}

/** The first address: a rerun is for one server. */
async function addressOf(
  place: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<TargetAddress> {
  const [flag, value = ''] = place;
  const [first] = await readTargetAddresses(flag === '--target-file' ? { file: value } : { env: value }, env);
  return first as TargetAddress;
}

/** What any capture proxy on this Kafka captures from, also under another source's name: it is nowhere a mirror. */
async function capturedServers(client: KafkaClient, scope: StackScope): Promise<() => readonly SourceServer[]> {
  await checkAnswers(client, statusTopic, scope);
  const servers = new Map<string, SourceServer>();
  const feed = await followSnapshots(
    client,
    (snapshot) => {
      if (snapshot.kind === 'capture' && snapshot.server !== undefined)
        servers.set(`${snapshot.source}/${snapshot.captureNode}/${snapshot.worker ?? 0}`, snapshot.server);
    },
    () => {},
  );
  await inTime(feed.caughtUp(), scope);
  await feed.stop();
  return () => [...servers.values()];
}

/** Throws `badInput` where it cannot be taken back. */
function planOf(transaction: CapturedTransaction, sql: SqlAnalyzer): RolledBack {
  const { parts, complete } = transaction;
  const found = rolledBack(
    parts.map(({ envelope }) => envelope),
    { commands: transactionCommands, mayEndTransaction, sideEffects: (text) => sql.sideEffects(text) },
  );
  if (!('refused' in found)) return found;
  const name = parts[0] === undefined ? '' : formatEnvelopeName(parts[0].name);
  throw new MirrorstreamError('badInput', `envelope ${name} is not played: ${found.refused}`, {
    stage: rerunCommand.name,
    hint:
      found.hint ||
      (complete ? 'mirrorstream inspect shows what it did and what came of it.' : 'Its end is not captured yet.'),
  });
}

interface Outcome {
  readonly transaction: CapturedTransaction;
  readonly plan: RolledBack;
  readonly played: Played;
  readonly mirror: string;
  readonly servers: Parameters<typeof takePlans>[2];
}

async function tell(
  tools: { readonly client: KafkaClient; readonly admin: Admin; readonly sql: SqlAnalyzer },
  scope: StackScope,
  request: RerunRequest,
  { transaction, plan, played, mirror, servers }: Outcome,
): Promise<Rerun> {
  const { sql } = tools;
  const { environment } = scope;
  const all = readResults(played.results, plan.cut, { environment, mirror, partition: request.name.partition });
  const judgements = await judgeHere(all, sql);
  const showValues = request.flags.has('show-values');
  const storyOf = ({ plans, notes }: TakenPlans): Story =>
    tellStory(
      {
        transaction,
        mirror,
        run: 'rerun',
        results: all,
        judgementOf: (exchange, statement) => judgements.get(`${exchange}/${statement}`) ?? null,
        plansOf: (fingerprint) => plans.filter((one) => one.fingerprint === fingerprint),
        notes: [...plan.changes, ...notes],
      },
      {
        show: showValueOf(showValues),
        redacts: !showValues,
        normalize: (text) => sql.normalize(text),
        fingerprint: (text) => sql.fingerprint(text),
      },
    );
  const without = storyOf({ plans: [], notes: [] });
  const wanted = wantedPlans(without, request.explain);
  const place = { environment, mirror, envelope: formatEnvelopeName(request.name) };
  const parts = transaction.parts.map(({ envelope }) => envelope);
  const taken = wanted.length === 0 ? null : await takePlans(tools, place, servers, parts, wanted);
  const check = played.results
    .flatMap(({ statements }) => statements)
    .find(({ exchange }) => exchange === plan.commitCheck);
  return {
    story: taken === null ? without : storyOf(taken),
    changes: plan.changes,
    commitCheck: plan.commitCheck === null ? null : { sqlState: check?.replayed.sqlState ?? '' },
    endedByItself: played.endedByItself,
    differs:
      without.exchanges.some(({ statements }) => statements.some(isDivergence)) ||
      (check?.replayed.sqlState ?? '') !== '' ||
      all.at(-1)?.reason !== '',
  };
}

const isDivergence = ({ judgement }: StoryStatement): boolean =>
  divergenceClasses.some((name) => name === judgement?.class);

function isSlower({ captured, replayed }: StoryStatement): boolean {
  if (captured === null || replayed === null || captured.sqlState !== '' || replayed.sqlState !== '') return false;
  return replayed.latencyUs > captured.latencyUs * slowerRatio && replayed.latencyUs > captured.latencyUs + slowerUs;
}

function wantedPlans({ exchanges }: Story, explain: RerunRequest['explain']) {
  if (explain === 'none') return [];
  return exchanges.flatMap(({ index, statements }) =>
    statements
      .filter((one) => one.judgement !== null && (explain === 'all' || isDivergence(one) || isSlower(one)))
      .map((one) => ({ exchange: index, statement: one.statement, fingerprint: one.judgement?.fingerprint ?? '' })),
  );
}

function print({ story, ...rest }: Rerun, { flags }: RerunRequest): void {
  if (flags.has('json')) {
    process.stdout.write(`${JSON.stringify({ schema: 'mirrorstream.rerun/1', ...rest, story })}\n`);
    return;
  }
  const options = {
    columns: process.stdout.columns ?? 160,
    colour: wantsColour(process.env, process.stdout.isTTY),
    showValues: flags.has('show-values'),
  };
  const check = rest.commitCheck?.sqlState ? [`COMMIT would fail on the mirror: ${rest.commitCheck.sqlState}`] : [];
  const verdict = rest.differs
    ? 'The mirror answers otherwise than production did.'
    : 'The mirror answers as production did.';
  process.stdout.write(`${[...storyLines(story, options), '', ...check, verdict].join('\n')}\n`);
}

function escaped(mirror: string): MirrorstreamError {
  return new MirrorstreamError('componentFailed', `the transaction ended on ${mirror} before it was rolled back`, {
    stage: rerunCommand.name,
    hint: 'What it had done until then may be kept there. Please report what it did: this should have been refused.',
  });
}
