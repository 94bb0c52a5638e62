// Real drivers in their own languages, straight to the server and through the proxy: the same outcomes, and every transaction captured.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { StatementEnd, TransactionOutcome } from '@mirrorstream/envelope';
import { checkAccounts } from './runner/account-checks.ts';
import type { CapturedSession } from './runner/capture-log.ts';
import { type CapturedTable, expectedTable, linesOf } from './runner/captured-table.ts';
import { type Case, type CaseName, caseNames, cases, type Outcome, type Seen } from './runner/cases.ts';
import { wholeExchanges } from './runner/notation.ts';
import { folderOrSkip } from './runner/presence.ts';
import { driverPassword, type Leg, type Scene, startScene } from './runner/scene.ts';
import type { Stack } from './runner/stack.ts';
import { stacks } from './runner/stacks.ts';
import { build, run } from './runner/toolchain.ts';

/** A cold build of everything on a small machine, with the other tests beside it. */
const timeout = 20 * 60_000;
const programDeadlineMs = 120_000;
/** What the cases work on. */
const schema = readFileSync(join(import.meta.dirname, 'schema.sql'), 'utf8');

type Told = Readonly<Partial<Record<string, { readonly outcome?: Outcome; readonly error?: string }>>>;

interface Driven {
  readonly told: Told;
  readonly sessions: readonly CapturedSession[];
}

describe('drivers', { timeout }, () => {
  let scene: Scene;
  before(async () => {
    scene = await startScene();
  });
  after(() => scene.close());

  for (const [place, stack] of stacks.entries()) {
    it(`${stack.name} cannot tell the proxy from the server, and capture misses nothing of it`, {
      timeout,
    }, async (t) => {
      // While this one runs, the next ones are built.
      for (const next of stacks.slice(place, place + 3)) void build(next.build);
      const dir = await folderOrSkip(t, stack.name, stack.build);
      if (dir === undefined) return;
      const [direct, proxied] = await Promise.all([
        drive(scene, stack, dir, 'direct'),
        drive(scene, stack, dir, 'proxied'),
      ]);
      const seen = Object.fromEntries(caseNames.map((name) => [name, sessionsOf(stack, name, proxied.sessions)]));
      const expected = expectedTable(stack, tableOf(stack, seen));
      for (const name of caseNames) {
        const lacking = stack.lacks[name];
        if (lacking !== undefined) {
          await t.test(`${name}: not with this driver, ${lacking}`, () => {
            for (const { told } of [direct, proxied]) assert.match(told[name]?.error ?? '', new RegExp(name));
          });
        } else {
          await t.test(name, () => checkCase(stack, name, [direct.told, proxied.told], seen[name] ?? [], expected));
        }
      }
      await t.test('no password, no authentication message, no gap', () => {
        for (const secret of [driverPassword, 'not the password', 'SCRAM-SHA-256', 'n=,r='])
          assert.equal(scene.log.contains(secret), false, `${secret} is in Kafka`);
        assert.deepEqual(scene.log.gaps(), []);
        const known = caseNames.map((name) => `${stack.name}/${name}`);
        const strangers = proxied.sessions.filter(({ applicationName }) => !known.includes(applicationName));
        assert.deepEqual(linesOf(strangers), [], 'sessions of no case');
      });
    });
  }
});

/** Runs all cases in a database of their own. */
async function drive(scene: Scene, stack: Stack, dir: string, leg: Leg): Promise<Driven> {
  const database = await scene.prepareDatabase(schema);
  try {
    const { plain, tls } = scene.urls(database.name, leg);
    const program = stack.program(dir);
    const args = [...program.args, plain, tls, scene.caFile, ...caseNames];
    const { lines, printed } = await run(`driver ${stack.name}`, { ...program, args }, programDeadlineMs);
    const told: Record<string, { outcome?: Outcome; error?: string }> = {};
    for (const line of printed.filter((text) => text.startsWith('{'))) {
      const { case: name, ...rest } = JSON.parse(line) as { case: string; outcome?: Outcome; error?: string };
      told[name] = rest;
    }
    assert.deepEqual(Object.keys(told), caseNames, `${stack.name} ${leg} did not tell all:\n${lines.join('\n')}`);
    return { told, sessions: leg === 'proxied' ? await scene.captured(database.name) : [] };
  } finally {
    await database.drop();
  }
}

const sessionsOf = (stack: Stack, name: CaseName, sessions: readonly CapturedSession[]): CapturedSession[] =>
  sessions.filter(({ applicationName }) => applicationName === `${stack.name}/${name}`);

function tableOf(stack: Stack, seen: Readonly<Record<string, readonly CapturedSession[]>>): CapturedTable {
  const names = caseNames.filter((name) => stack.lacks[name] === undefined);
  return Object.fromEntries(names.map((name) => [name, linesOf(seen[name] ?? [])]));
}

function checkCase(
  stack: Stack,
  name: CaseName,
  [direct, proxied]: readonly [Told, Told],
  sessions: readonly CapturedSession[],
  expected: CapturedTable,
): void {
  const own: Case = cases[name];
  assert.deepEqual(direct[name], { outcome: stack.outcomes[name] ?? own.outcome }, 'straight to the server');
  assert.deepEqual(proxied[name], direct[name], 'through the proxy');
  checkAccounts(sessions);
  checkSeen(own.seen, sessions, name === 'cancel');
  assert.deepEqual(linesOf(sessions), expected[name], 'captured');
}

/** What must be there whatever the driver: the table alone would be as good as the capture it was written from. */
function checkSeen(seen: Seen, sessions: readonly CapturedSession[], isCancelled: boolean): void {
  const transactions = sessions.flatMap((session) => session.transactions);
  const exchanges = transactions.flatMap(wholeExchanges);
  const observations = exchanges.flatMap((exchange) => exchange.observations);
  for (const [tag, count] of Object.entries(seen.tags ?? {})) {
    const found = observations.filter(({ commandTag }) => commandTag === tag).length;
    assert.ok(found >= count, `${tag} was captured ${found} times, not ${count}`);
  }
  const rows = observations.reduce((sum, observation) => sum + Number(observation.rows), 0);
  assert.ok(rows >= (seen.rows ?? 0), `${rows} rows were captured, not ${seen.rows}`);
  const errors = observations.filter(({ end }) => end === StatementEnd.ERROR).map(({ sqlState }) => sqlState);
  assert.deepEqual(errors, seen.errors ?? []);
  const outcomes = transactions.map((parts) => parts.at(-1)?.outcome);
  for (const [name, count] of Object.entries(seen.outcomes ?? {})) {
    const value = { committed: TransactionOutcome.COMMITTED, failed: TransactionOutcome.FAILED }[name];
    const found = outcomes.filter((outcome) => outcome === (value ?? TransactionOutcome.ROLLED_BACK)).length;
    assert.ok(found >= count, `${found} transactions ${name}, not ${count}`);
  }
  const requests = Buffer.concat(exchanges.map(({ request }) => request));
  if (seen.bytes !== undefined) assert.ok(requests.includes(seen.bytes), `${seen.bytes} is in no request`);
  assert.equal(
    exchanges.some((exchange) => exchange.isCancelled),
    isCancelled,
    'the mark of a cancelled exchange',
  );
}
