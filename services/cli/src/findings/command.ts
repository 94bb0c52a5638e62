// `mirrorstream findings`: shows what is known of a mirror's findings, and writes down what people say about them.
import { randomBytes } from 'node:crypto';
import { userInfo } from 'node:os';
import { controlTopic, exitCodes, MirrorstreamError, statusTopic } from '@mirrorstream/domain';
import { type SuppressionRecord, statusKey, suppressionKey } from '@mirrorstream/findings';
import { connectKafka, type KafkaClient } from '@mirrorstream/kafka';
import { ensureControlTopic } from '@mirrorstream/service-kit';
import { helpText } from '../command-line.ts';
import { writeControl } from '../control/record.ts';
import { checkAnswers, pause, stackScope } from '../stack-scope.ts';
import { type FindingsPlace, type ReadFindings, readFindings } from './read-findings.ts';
import { type FindingsAction, findingsCommand, readFindingsRequest } from './request.ts';
import { findingsJson, findingText, listText } from './text.ts';

export async function findings(argv: readonly string[]): Promise<number> {
  const request = readFindingsRequest(argv, { user: userInfo().username, nowMs: Date.now() });
  if (request === null) {
    process.stdout.write(helpText(findingsCommand));
    return exitCodes.ok;
  }
  const scope = await stackScope(findingsCommand, request.flags);
  const client = connectKafka({ ...scope.access, clientId: 'mirrorstream-findings' });
  try {
    await checkAnswers(client, statusTopic, scope);
    const place = { environment: scope.environment, mirror: request.mirror, run: request.run };
    const before = await readFindings(client, place, Date.now());
    const written = await carryOut(client, place, before, request.action);
    const found = written === null ? before : await readFindings(client, place, Date.now());
    process.stdout.write(`${textOf(place, found, request.action, written, request.flags.has('json'))}\n`);
    return exitCodes.ok;
  } finally {
    await Promise.race([client.close(), pause(1000)]);
  }
}

/** Returns the id of what was written; null: nothing was. */
async function carryOut(
  client: KafkaClient,
  { environment, mirror }: FindingsPlace,
  found: ReadFindings,
  action: FindingsAction,
): Promise<string | null> {
  switch (action.kind) {
    case 'list':
      return null;
    case 'show':
      findingIn(found, action.id);
      return null;
    case 'status': {
      findingIn(found, action.id);
      const { status, by, reason, id } = action;
      await write(client, statusKey(environment, mirror, id), { version: 1, status, by, reason, atMs: Date.now() });
      return id;
    }
    case 'suppress': {
      const id = randomBytes(6).toString('hex');
      await write(client, suppressionKey(environment, mirror, id), suppressionOf(found, action));
      return id;
    }
    case 'unsuppress':
      if (!found.wishes.records.suppressions.has(action.id)) throw unknown('suppression', action.id);
      await write(client, suppressionKey(environment, mirror, action.id), null);
      return action.id;
    default:
      return action satisfies never;
  }
}

function suppressionOf(
  found: ReadFindings,
  action: Extract<FindingsAction, { readonly kind: 'suppress' }>,
): SuppressionRecord {
  const named = action.finding === null ? null : findingIn(found, action.finding);
  const { owner, reason, expiresAtMs } = action;
  return {
    version: 1,
    owner,
    reason,
    createdAtMs: Date.now(),
    expiresAtMs,
    scope: { ...(named === null ? {} : { fingerprint: named.fingerprint, class: named.class }), ...action.scope },
  };
}

async function write(client: KafkaClient, key: string, record: object | null): Promise<void> {
  const admin = await client.admin();
  if (!(await admin.partitionCounts([controlTopic])).has(controlTopic)) await ensureControlTopic(admin);
  await writeControl(client, key, record === null ? null : JSON.stringify(record));
}

function textOf(
  place: FindingsPlace,
  found: ReadFindings,
  action: FindingsAction,
  written: string | null,
  json: boolean,
): string {
  const one = action.kind === 'show' || action.kind === 'status' ? findingIn(found, action.id) : null;
  if (json) return findingsJson(place, found, { one, written, limit: action.kind === 'list' ? action.limit : null });
  if (one !== null) return findingText(one);
  if (action.kind === 'suppress') {
    const suppression = found.suppressions.find(({ id }) => id === written);
    return `suppression ${written} hides ${suppression?.hides ?? 0} statements of ${suppression?.findings ?? 0} findings`;
  }
  if (action.kind === 'unsuppress') return `suppression ${written} is taken back`;
  return listText(place, found, action.kind === 'list' ? action : { all: false, limit: 20 });
}

function findingIn({ findings: all }: ReadFindings, id: string): ReadFindings['findings'][number] {
  const found = all.find((one) => one.id === id);
  if (found === undefined) throw unknown('finding', id);
  return found;
}

const unknown = (what: string, id: string): MirrorstreamError =>
  new MirrorstreamError('badInput', `there is no ${what} ${id} of this mirror`, {
    stage: 'findings',
    hint: 'mirrorstream findings list --all shows those there are.',
  });
