// The property of fidelity: whatever a client says to a server, a lane brings the same out of an identical copy, and leaves it identical.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { BatchEncoder, type CaptureRecordDraft, decodeEnvelopeBatch, type Envelope } from '@mirrorstream/envelope';
import type { PostgresServer } from '@mirrorstream/local';
import { createDatabase, execute as run, startPostgres, type TestDatabase, withClient } from '@mirrorstream/testkit';
import fc from 'fast-check';
import { assemble, RecordedClient, type WireEvent } from './capture-exact-scene.ts';
import { conversation, type Step, talkSchema } from './capture-exact-talk.ts';
import { playEnvelopes } from './replay-lane.ts';

const seed = 20_261_122;
const conversations = 40;

describe('a replayed conversation', { timeout: 280_000 }, () => {
  let server: PostgresServer;
  let source: TestDatabase;
  let mirror: TestDatabase;
  before(async () => {
    server = await startPostgres({ name: 'replay-exact', settings: { max_prepared_transactions: '4' } });
    await run(server.url, 'CREATE ROLE limited');
    source = await createDatabase(server);
    mirror = await createDatabase(server);
  });
  after(() => server.stop());

  it(`is answered alike, statement by statement, for ${conversations} of them (seed ${seed})`, async (t) => {
    let equal = 0;
    let skipped = 0;
    await fc.assert(
      fc.asyncProperty(conversation, async (steps) => {
        for (const { url } of [source, mirror]) await begin(url);
        const envelopes = published(assemble(await record(source.url, steps)));
        const results = await playEnvelopes(envelopes, mirror.url);
        const others: string[] = [];
        for (const { outcome, reason, statements, ref } of results) {
          if (outcome !== 'replayed') others.push(`#${ref.sessionSeq} ${outcome} ${reason}`);
          for (const it of statements) {
            if (it.equal) equal += 1;
            else if (it.notCompared === 'skipped') skipped += 1;
            else others.push(`#${ref.sessionSeq} ${it.notCompared || 'different'}: ${it.sql}`);
          }
        }
        assert.deepEqual(others, []);
        assert.equal(results.filter(({ sessionEnd }) => !sessionEnd).length, envelopes.length);
        assert.equal(await contentsOf(mirror.url), await contentsOf(source.url));
      }),
      { seed, numRuns: conversations, reporter },
    );
    t.diagnostic(`${equal} statements equal, ${skipped} skipped by both servers`);
    assert.ok(equal > 10 * conversations);
  });
});

/** Databases as `talkSchema` says, whatever a failed run left behind. */
async function begin(url: string): Promise<void> {
  await withClient(url, async (client) => {
    const { rows } = await client.query('SELECT gid FROM pg_prepared_xacts WHERE database = current_database()');
    for (const { gid } of rows as { gid: string }[]) await client.query(`ROLLBACK PREPARED '${gid}'`);
    await client.query(talkSchema.join(';'));
  });
}

async function record(url: string, steps: readonly Step[]): Promise<WireEvent[]> {
  const client = await RecordedClient.connect(url, { application_name: 'talk', options: '-c statement_timeout=20000' });
  try {
    for (const step of steps) await step.run(client);
    await client.query('ROLLBACK');
    await client.terminate();
  } catch (error) {
    // A server that gives up (SAVEPOINT in a pipeline can do that to PostgreSQL 17) ends the conversation, and it is checked so far.
    if (!client.ended) throw error;
  } finally {
    client.destroy();
  }
  return client.events;
}

/** As a consumer reads them: encoded, and decoded by the generated code. */
function published(records: readonly CaptureRecordDraft[]): Envelope[] {
  const encoder = new BatchEncoder({ source: 's', captureNode: 'n', incarnation: 'i', worker: 0, partition: 0 });
  for (const each of records) encoder.add(each);
  return decodeEnvelopeBatch(encoder.take()).records.flatMap(({ record: it }) =>
    it.case === 'envelope' ? [it.value] : [],
  );
}

async function contentsOf(url: string): Promise<string> {
  return withClient(url, async (client) => {
    const { rows } = await client.query(
      `SELECT (SELECT array_agg(a ORDER BY a) FROM public.t) AS t, (SELECT count(*) FROM public.hidden) AS hidden,
         to_regclass('public.d')::text AS d, (SELECT last_value FROM public.s) AS s`,
    );
    return JSON.stringify(rows);
  });
}

/** The smallest conversation that fails, in words. */
function reporter(result: fc.RunDetails<[Step[]]>): void {
  if (!result.failed) return;
  const steps = (result.counterexample?.[0] ?? []).map(({ what }) => `  ${what}`).join('\n');
  throw new Error(`seed ${result.seed}, path ${result.counterexamplePath}:\n${steps}\n${String(result.errorInstance)}`);
}
