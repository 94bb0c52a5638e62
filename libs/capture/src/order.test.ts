// Order across sessions: doneSeq and afterSeq say what happened and nothing else, whatever is chunked, pipelined, cut or missed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CaptureRecordDraft } from '@mirrorstream/envelope';
import {
  copyIn,
  data,
  envelopesOf,
  error,
  greeting,
  play,
  query,
  ready,
  stepBytes,
  tag,
} from './conversation-script.fixture.ts';
import { defaultCaptureLimits } from './limits.ts';
import { seededRandom } from './seeded-random.fixture.ts';
import { createSequencer, type Sequencer } from './sequencer.ts';
import { openSession } from './session.ts';
import type { SessionCapture } from './session-capture.ts';

/** Numbers of the chunks in which a query's first byte and the last byte of its answer came. */
interface Happened {
  sentAt: number;
  doneAt: number;
}

interface Asked {
  readonly name: string;
  readonly answer: Uint8Array;
  /** Where it begins and ends in the bytes under way. */
  from: number;
  to: number;
}

/** One client and its server, with bytes under way in both directions that arrive in pieces. */
class TestClient {
  readonly session: SessionCapture;
  readonly #name: string;
  readonly #happened: Map<string, Happened>;
  #queries = 0;
  #open = false;
  #toServer = Buffer.alloc(0);
  #toClient = Buffer.alloc(0);
  #asked: Asked[] = [];
  #answered: { readonly name: string; to: number }[] = [];

  constructor(name: string, session: SessionCapture, happened: Map<string, Happened>) {
    this.#name = name;
    this.session = session;
    this.#happened = happened;
    for (const step of greeting)
      this.#pass(step[0] === 'F' ? 'client' : 'server', Buffer.from(stepBytes(step)), 1, false);
  }

  get unanswered(): number {
    return this.#asked.length + this.#answered.length;
  }

  ask(choice: number): void {
    this.#queries += 1;
    const sql = choice < 0.4 ? (this.#open ? 'COMMIT' : 'BEGIN') : 'SELECT 1';
    if (choice < 0.4) this.#open = !this.#open;
    const name = `${this.#name}.${this.#queries};`;
    const from = this.#toServer.length;
    this.#toServer = Buffer.concat([this.#toServer, stepBytes(['F', query(`${sql} -- ${name}`)])]);
    const answer = stepBytes(['B', tag(sql), ready(this.#open ? 'T' : 'I')]);
    this.#asked.push({ name, answer, from, to: this.#toServer.length });
    this.#happened.set(name, { sentAt: Number.POSITIVE_INFINITY, doneAt: Number.POSITIVE_INFINITY });
  }

  send(atMost: number, event: number, missed: boolean): void {
    const chunk = this.#toServer.subarray(0, atMost);
    this.#toServer = this.#toServer.subarray(chunk.length);
    for (const asked of this.#asked) {
      if (asked.from >= 0 && asked.from < chunk.length) this.#of(asked.name).sentAt = event;
      asked.from -= chunk.length;
      asked.to -= chunk.length;
    }
    this.#pass('client', chunk, event, missed);
    while (this.#asked[0] !== undefined && this.#asked[0].to <= 0) this.#answer(this.#asked.shift() as Asked);
  }

  reply(atMost: number, event: number, missed: boolean): void {
    const chunk = this.#toClient.subarray(0, atMost);
    this.#toClient = this.#toClient.subarray(chunk.length);
    for (const answered of this.#answered) {
      if (answered.to <= chunk.length) this.#of(answered.name).doneAt = event;
      answered.to -= chunk.length;
    }
    this.#answered = this.#answered.filter(({ to }) => to > 0);
    this.#pass('server', chunk, event, missed);
  }

  #answer({ name, answer }: Asked): void {
    this.#toClient = Buffer.concat([this.#toClient, answer]);
    this.#answered.push({ name, to: this.#toClient.length });
  }

  #of(name: string): Happened {
    return this.#happened.get(name) as Happened;
  }

  #pass(direction: 'client' | 'server', chunk: Buffer, event: number, missed: boolean): void {
    if (chunk.length === 0) return;
    if (missed) this.session.missed(direction, chunk.length, event * 10);
    else if (direction === 'client') this.session.clientChunk(chunk, 0, chunk.length, event * 10);
    else this.session.serverChunk(chunk, 0, chunk.length, event * 10);
  }
}

interface Numbered extends Happened {
  readonly name: string;
  readonly afterSeq: number;
  readonly doneSeq: number;
}

interface History {
  readonly numbered: readonly Numbered[];
  /** A draft came that a watermark had said would not. */
  readonly broken: readonly string[];
}

/** Eight clients of one worker; `missing`: the share of chunks the ring had no room for. */
function history(seed: number, missing: number): History {
  const random = seededRandom(seed);
  const below = (limit: number): number => Math.floor(random() * limit);
  const sequencer = createSequencer();
  const happened = new Map<string, Happened>();
  const numbered: Numbered[] = [];
  const broken: string[] = [];
  const promised = { doneUs: 0, doneSeq: 0 };
  const emit = (draft: CaptureRecordDraft): void => {
    if (draft.kind !== 'envelope') return;
    for (const { request, afterSeq, doneSeq, doneUs } of draft.exchanges) {
      const name = /-- (\S+;)/.exec(Buffer.from(request).toString())?.[1] ?? '';
      numbered.push({ name, afterSeq, doneSeq, ...(happened.get(name) as Happened) });
      if (doneSeq === 0) continue;
      if (doneSeq <= promised.doneSeq || draft.startedMonoUs + doneUs <= promised.doneUs) broken.push(name);
    }
  };
  const clients = Array.from(
    { length: 8 },
    (_, i) => new TestClient(`c${i}`, open(`s-${i}`, sequencer, emit), happened),
  );
  for (let event = 100; event < 3_000; event++) {
    const client = clients[below(clients.length)] as TestClient;
    const choice = random();
    const missed = random() < missing;
    // Half of them pipeline when there are gaps, too: those are followed again only after a pause, which these histories have none of.
    const ahead = missing > 0 && clients.indexOf(client) % 2 === 0 ? 1 : 4;
    if (choice < 0.3 && client.unanswered < ahead) client.ask(random());
    else if (choice < 0.6) client.send(1 + below(60), event, missed);
    else if (choice < 0.9) client.reply(1 + below(40), event, missed);
    else if (choice < 0.92) for (const { session } of clients) session.tick(event * 10);
    else if (choice < 0.94) promise(promised, event * 10, sequencer, clients);
  }
  for (const { session } of clients) session.close(30_000);
  return { numbered, broken };
}

function open(sessionId: string, sequencer: Sequencer, emit: (draft: CaptureRecordDraft) => void): SessionCapture {
  const limits = { ...defaultCaptureLimits, partAgeUs: 2_000 };
  return openSession({ sessionId, samplingDraw: 0, clock: { wallUsAtMonoZero: 0 }, sequencer, limits, emit });
}

/** What a heartbeat would say now. */
function promise(
  promised: { doneUs: number; doneSeq: number },
  nowUs: number,
  { lastDoneSeq }: Sequencer,
  clients: readonly TestClient[],
): void {
  const held = clients.flatMap(({ session }) => session.oldestHeld ?? []);
  promised.doneUs = Math.min(nowUs, ...held.map(({ doneUs }) => doneUs)) - 1;
  promised.doneSeq = Math.min(lastDoneSeq + 1, ...held.map(({ doneSeq }) => doneSeq)) - 1;
}

test('an exchange is claimed to come after another exactly if that one was answered before its first byte was sent', () => {
  for (let seed = 1; seed <= 15; seed++) {
    const { numbered, broken } = history(seed, 0);
    assert.ok(numbered.length > 300, `history ${seed} has only ${numbered.length} exchanges`);
    assert.deepEqual(broken, [], `history ${seed}: what a watermark promised`);
    for (const a of numbered) {
      for (const b of numbered) {
        const claimed = a.doneSeq > 0 && a.doneSeq <= b.afterSeq;
        assert.equal(claimed, a.doneAt < b.sentAt, `history ${seed}: ${a.name} before ${b.name}`);
      }
    }
  }
});

test('chunks that capture never saw leave no false claim', () => {
  for (let seed = 101; seed <= 115; seed++) {
    const { numbered, broken } = history(seed, 0.01);
    assert.ok(numbered.length > 30, `history ${seed} has only ${numbered.length} exchanges`);
    assert.deepEqual(broken, [], `history ${seed}: what a watermark promised`);
    for (const a of numbered) {
      for (const b of numbered) {
        if (a.doneSeq === 0 || a.doneSeq > b.afterSeq) continue;
        assert.ok(a.doneAt < b.sentAt, `history ${seed}: ${a.name} is claimed before ${b.name}`);
      }
    }
  }
});

test('an exchange that failed while the client was still sending is done when the client is done with it', () => {
  const large = data('x'.repeat(200_000));
  const bytes = stepBytes(['F', large]);
  const { records } = play([
    ...greeting,
    ['F', query('COPY t FROM STDIN')],
    ['B', copyIn],
    ['F', bytes.subarray(0, 150_000)],
    ['tick', 2_000_000],
    ['B', error('22P02'), ready('I')],
    ['F', bytes.subarray(150_000)],
    ['F', query('SELECT 1')],
    ['B', tag('SELECT 1'), ready('I')],
  ]);
  const exchanges = envelopesOf(records).flatMap(({ startedMonoUs, exchanges }) =>
    exchanges.map((it) => ({ ...it, doneUs: startedMonoUs + it.doneUs, sentUs: startedMonoUs + it.sentUs })),
  );
  const [last, next] = exchanges.slice(-2);
  assert.deepEqual(
    exchanges.map(({ continues, doneSeq }) => [continues, doneSeq]),
    [
      [true, 0],
      [false, 1],
      [false, 2],
    ],
  );
  assert.equal(
    (next?.sentUs ?? 0) - (last?.doneUs ?? 0),
    100,
    'done with its last chunk, the step before the next query',
  );
  assert.equal(next?.afterSeq, 1);
});
