// The property of exactness: whatever a client says to a real server, in whatever pieces it is captured, the envelopes hold it all, end
// where the server was idle, and replay alone.
//
// What is compared of a replay: for every exchange the sequence of ParseComplete, BindComplete, CloseComplete, NoData, ParameterDescription
// with its types, RowDescription with its names and types, number of rows, CommandComplete with its tag, PortalSuspended, EmptyQuery,
// COPY responses, SQLSTATE of errors, and the state in ReadyForQuery. Not compared: the rows' values. The mirror's data are in the
// source's state at each envelope because every envelope before it was played there, those too that cannot stand alone; where such a one
// is answered otherwise (its temporary table is missing), the rest of that conversation is counted as out of step, and not compared.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  BatchEncoder,
  type CaptureRecordDraft,
  decodeEnvelopeBatch,
  type Envelope,
  standsAlone,
} from '@mirrorstream/envelope';
import type { PostgresServer } from '@mirrorstream/local';
import { B, F, HEADER_BYTES, sqlState, uint16At } from '@mirrorstream/pg-wire';
import {
  createDatabase,
  execute as run,
  seededRandom,
  startPostgres,
  type TestDatabase,
  withClient,
} from '@mirrorstream/testkit';
import fc from 'fast-check';
import { contextFrames } from '../../libs/replay/src/context-frames.ts';
import {
  assemble,
  type Chunks,
  capturedBytes,
  envelopesIn,
  framesIn,
  RecordedClient,
  readyStates,
  requestBytes,
  type WireEvent,
} from './capture-exact-scene.ts';
import { conversation, type Step, talkSchema } from './capture-exact-talk.ts';

const seed = 20_261_121;
const conversations = 70;

let server: PostgresServer;
let source: TestDatabase;
let mirror: TestDatabase;
before(async () => {
  server = await startPostgres({ name: 'exact', settings: { max_prepared_transactions: '4' } });
  await run(server.url, 'CREATE ROLE limited');
  source = await createDatabase(server);
  mirror = await createDatabase(server);
});
after(() => server.stop());

/** Both databases as `talkSchema` says, whatever a failed run left behind. */
async function begin(): Promise<void> {
  for (const { url } of [source, mirror]) {
    await withClient(url, async (client) => {
      const { rows } = await client.query('SELECT gid FROM pg_prepared_xacts WHERE database = current_database()');
      for (const { gid } of rows as { gid: string }[]) await client.query(`ROLLBACK PREPARED '${gid}'`);
      await client.query(talkSchema.join(';'));
    });
  }
}

async function record(steps: readonly Step[]): Promise<WireEvent[]> {
  const client = await RecordedClient.connect(source.url, {
    application_name: 'talk',
    options: '-c statement_timeout=20000',
  });
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

function randomChunks(chunkSeed: number): Chunks {
  const random = seededRandom(chunkSeed);
  const most = random.pick([3, 40, 400]);
  return (size) => {
    const ends: number[] = [];
    for (let at = random.integer(1, most); at < size; at += random.integer(1, most)) ends.push(at);
    return [...ends, size];
  };
}

/** As a consumer reads them: encoded, and decoded by the generated code. */
function published(records: readonly CaptureRecordDraft[]): Envelope[] {
  const encoder = new BatchEncoder({ source: 's', captureNode: 'n', incarnation: 'i', worker: 0, partition: 0 });
  for (const record of records) encoder.add(record);
  return decodeEnvelopeBatch(encoder.take()).records.flatMap(({ record }) =>
    record.case === 'envelope' ? [record.value] : [],
  );
}

/** What an answer looks like, but for the values in its rows and what may come at any time. */
function shapeOf(answer: Buffer): string {
  const words: string[] = [];
  let rows = 0;
  for (const { type, start, end } of framesIn(answer)) {
    const body = answer.subarray(start + HEADER_BYTES, end);
    if (type === B.NoticeResponse || type === B.NotificationResponse || type === B.ParameterStatus) continue;
    if (type === B.DataRow || type === B.CopyData) {
      rows += 1;
      continue;
    }
    if (rows > 0) words.push(`${rows} rows`);
    rows = 0;
    const letter = String.fromCharCode(type);
    if (type === B.ErrorResponse) words.push(`error ${sqlState(answer, start, end)}`);
    else if (type === B.RowDescription) words.push(`columns ${columnsOf(body)}`);
    else words.push(`${letter}${body.toString('latin1').replaceAll('\0', '')}`);
  }
  return words.join(', ');
}

/** Names and types. */
function columnsOf(body: Buffer): string {
  const columns: string[] = [];
  for (let at = 2, i = 0; i < uint16At(body, 0); i++) {
    const nameEnd = body.indexOf(0, at);
    columns.push(`${body.toString('utf8', at, nameEnd)}:${body.readInt32BE(nameEnd + 7)}`);
    at = nameEnd + 19;
  }
  return columns.join(' ');
}

/** Plays an envelope on a connection of its own, after its context; the shape of each exchange's answer. */
async function replayAlone(envelope: Envelope): Promise<string[]> {
  const { context, exchanges } = envelope;
  assert.ok(context);
  const parameters = Object.fromEntries(context.startupParameters.map(({ name, value }) => [name, value]));
  const client = await RecordedClient.connect(mirror.url, parameters);
  try {
    const frames = contextFrames(context, 'fresh');
    assert.notEqual(frames, 'damaged');
    if (frames !== null) {
      const bytes = Buffer.from(frames as Uint8Array);
      const ready = [...framesIn(bytes)].filter(({ type }) => type === F.Query || type === F.Sync).length;
      await client.send([bytes], { ready });
    }
    const shapes: string[] = [];
    for (const { request } of exchanges) {
      const from = client.events.length;
      await client.send([request], { ready: 1 });
      shapes.push(
        shapeOf(Buffer.concat(client.events.slice(from).flatMap(([leg, bytes]) => (leg === 'B' ? [bytes] : [])))),
      );
    }
    await client.terminate();
    return shapes;
  } finally {
    client.destroy();
  }
}

const counts = { compared: 0, outOfStep: 0, excluded: new Map<string, number>() };

async function replaysAlone(envelopes: readonly Envelope[]): Promise<void> {
  let inStep = true;
  for (const envelope of envelopes) {
    if (envelope.exchanges.some(({ answer }) => (answer?.status ?? '') === '')) return;
    const { standsAlone: alone, reasons } = standsAlone(envelope);
    const captured = envelope.exchanges.map(({ answer }) => shapeOf(Buffer.from(answer?.raw ?? [])));
    const replayed = await replayAlone(envelope);
    for (const reason of reasons) counts.excluded.set(reason, (counts.excluded.get(reason) ?? 0) + 1);
    if (alone && inStep) {
      const requests = envelope.exchanges.map(({ request }) => Buffer.from(request).toString('latin1'));
      assert.deepEqual(replayed, captured, `envelope ${envelope.sessionSeq}: ${JSON.stringify(requests)}`);
      counts.compared += 1;
    } else if (alone) {
      counts.outOfStep += 1;
    }
    if (envelope.writes && replayed.join() !== captured.join()) inStep = false;
  }
}

function isExact(events: readonly WireEvent[], chunkSeed: number): readonly CaptureRecordDraft[] {
  const records = assemble(events);
  assert.ok(requestBytes(records).equals(capturedBytes(events)), 'the requests are what the client sent');
  const states = envelopesIn(records).map((it) => it.exchanges.map(({ answer }) => answer?.status ?? '').join(''));
  assert.equal(states.join(''), readyStates(events), 'every ReadyForQuery ends one exchange');
  states.forEach((state, i) => {
    const isLast = i === states.length - 1;
    assert.match(
      state,
      isLast ? /^[TE]*I?$/ : /^[TE]*I$/,
      'a transaction ends where the server says idle, and nowhere else',
    );
  });
  assert.deepEqual(assemble(events, { chunks: randomChunks(chunkSeed) }), records, 'in other chunks it is the same');
  return records;
}

describe('a captured conversation', { timeout: 280_000 }, () => {
  it(`is whole, exact in its boundaries and replays alone, for ${conversations} of them (seed ${seed})`, async (t) => {
    await fc.assert(
      fc.asyncProperty(conversation, fc.nat(), async (steps, chunkSeed) => {
        await begin();
        await replaysAlone(published(isExact(await record(steps), chunkSeed)));
      }),
      { seed, numRuns: conversations, reporter },
    );
    const { compared, outOfStep, excluded } = counts;
    const excludedBy = [...excluded].map(([reason, count]) => `${reason} ${count}`).join(', ');
    t.diagnostic(`compared ${compared}, out of step ${outOfStep}, not able to stand alone: ${excludedBy}`);
    const others = outOfStep + [...excluded.values()].reduce((sum, count) => sum + count, 0);
    assert.ok(compared > 2 * others, 'most envelopes stand alone');
  });
});

/** The smallest conversation that fails, in words. */
function reporter(result: fc.RunDetails<[Step[], number]>): void {
  if (!result.failed) return;
  const steps = (result.counterexample?.[0] ?? []).map(({ what }) => `  ${what}`).join('\n');
  throw new Error(`seed ${result.seed}, path ${result.counterexamplePath}:\n${steps}\n${String(result.errorInstance)}`);
}
