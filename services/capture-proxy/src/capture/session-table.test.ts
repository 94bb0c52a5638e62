// A bug in the capture of one session costs that session, told as a gap: never the worker, never another session.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSequencer, defaultCaptureLimits, openSession, type Sequencer } from '@mirrorstream/capture';
import { type CaptureRecordDraft, GapReason } from '@mirrorstream/envelope';
import { encodeFrontend, PROTOCOL_3_0, WireWriter } from '@mirrorstream/pg-wire';
import { RecordKind } from '../ring.ts';
import { SessionTable, type SessionTableOptions } from './session-table.ts';

const welcome = Buffer.from('R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I', 'latin1');
const answer = Buffer.from('C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I', 'latin1');

function frame(message: Parameters<typeof encodeFrontend>[0]): Uint8Array {
  const writer = new WireWriter();
  encodeFrontend(message, writer);
  return writer.take();
}

const startup = frame({
  kind: 'startupMessage',
  protocolVersion: PROTOCOL_3_0,
  parameters: [{ name: 'user', value: 'app' }],
});
const query = (sql: string): Uint8Array => frame({ kind: 'query', query: sql });

/** A table, what it said of each session, and a client's and a server's way to speak. */
function scene(options: Partial<SessionTableOptions>) {
  const said = new Map<string, string[]>();
  const gaps: { readonly reason: GapReason; readonly transactions: number; readonly sizeBytes: number }[] = [];
  const bugs: string[] = [];
  const table = new SessionTable({
    incarnation: 'i',
    restarted: false,
    partitions: 1,
    random: () => 0,
    clock: { wallUsAtMonoZero: 0 },
    sequencer: createSequencer(),
    limits: defaultCaptureLimits,
    emit: ({ sessionId }, draft: CaptureRecordDraft) => {
      const lines = said.get(sessionId) ?? [];
      said.set(sessionId, lines);
      if (draft.kind === 'envelope') lines.push(`envelope ${draft.sessionSeq}`);
      else if (draft.kind === 'gap') {
        lines.push(`gap after ${draft.afterSeq}`);
        gaps.push(draft);
      } else lines.push(draft.kind);
    },
    onBug: (error) => bugs.push((error as Error).message),
    ...options,
  });
  let monoUs = 1_000;
  const say = (kind: 0 | 1, id: number, bytes: Uint8Array): void => {
    monoUs += 100;
    table.record(kind, id, monoUs, bytes, 0, bytes.length);
  };
  const open = (id: number): void => {
    table.mark(RecordKind.opened, id, monoUs, 0);
    say(RecordKind.client, id, startup);
    say(RecordKind.server, id, welcome);
  };
  const ask = (id: number, sql: string): void => {
    say(RecordKind.client, id, query(sql));
    say(RecordKind.server, id, answer);
  };
  const tick = (): void => {
    monoUs += 2_000_000;
    table.tick(monoUs);
  };
  return { table, said, gaps, bugs, open, say, ask, tick, close: () => table.closeAll(monoUs) };
}

const idsOf = (said: ReadonlyMap<string, readonly string[]>): string[] => [...said.keys()];

test('a sequencer that throws once costs one transaction of one session, which is followed again', () => {
  const whole = createSequencer();
  let left = 2;
  const sequencer: Sequencer = {
    get lastDoneSeq() {
      return whole.lastDoneSeq;
    },
    next: () => {
      left -= 1;
      if (left === 0) throw new Error('no number');
      return whole.next();
    },
  };
  const { said, gaps, bugs, open, ask, close } = scene({ sequencer });
  open(1);
  open(2);
  ask(1, 'SELECT 1');
  ask(2, 'SELECT broken'); // the second number
  ask(1, 'SELECT 2');
  ask(2, 'SELECT seen');
  close();
  const [one, two] = idsOf(said);
  assert.deepEqual(said.get(one as string), ['sessionStart', 'envelope 1', 'envelope 2', 'sessionEnd']);
  assert.deepEqual(said.get(two as string), ['sessionStart', 'gap after 0', 'envelope 1', 'sessionEnd']);
  assert.deepEqual(
    gaps.map(({ reason, transactions }) => [reason, transactions]),
    [[GapReason.MALFORMED, 1]],
  );
  assert.ok((gaps[0]?.sizeBytes ?? 0) >= query('SELECT broken').length + answer.length);
  assert.deepEqual(bugs, ['no number']);
});

test('a clock that throws again and again never throws out of the table, and others go on as soon as it works', () => {
  let works = false;
  const clock = {
    get wallUsAtMonoZero(): number {
      if (!works) throw new Error('no time');
      return 0;
    },
  };
  const { said, bugs, open, ask, tick, close } = scene({ clock });
  open(1);
  ask(1, 'SELECT 1');
  tick();
  works = true;
  open(2);
  ask(2, 'SELECT 1');
  ask(1, 'SELECT 2');
  close();
  assert.ok(bugs.length > 0 && bugs.every((bug) => bug === 'no time'));
  const lines = [...said.values()].find((each) => !each.some((line) => line.startsWith('gap')));
  assert.deepEqual(lines, ['sessionStart', 'envelope 1', 'sessionEnd']);
});

test('a capture that throws is let go: the session is told as missing from then on, at every tick and at its end', () => {
  let opened = 0;
  const { said, gaps, bugs, open, ask, tick, close, table } = scene({
    openSession: (options) => {
      const session = openSession(options);
      opened += 1;
      if (opened === 1) return session;
      return new Proxy(session, {
        get: (target, name) => {
          const value: unknown = Reflect.get(target, name, target);
          if (typeof value !== 'function') return value;
          return (...given: unknown[]) => {
            if (name === 'clientChunk' && String(given[0]).includes('poison')) throw new Error('poisoned');
            return value.apply(target, given);
          };
        },
      });
    },
  });
  open(1);
  open(2);
  ask(2, 'SELECT 1');
  ask(2, 'SELECT poison');
  ask(1, 'SELECT 1');
  tick();
  ask(2, 'SELECT after');
  table.keepAnswers({ answers: 'none', answerCapBytes: 0 });
  table.mark(RecordKind.missedServer, 2, 9_000_000, 70);
  ask(1, 'SELECT 2');
  assert.equal(table.openTransactions(), 0);
  close();
  const [one, two] = idsOf(said);
  assert.deepEqual(said.get(one as string), ['sessionStart', 'envelope 1', 'envelope 2', 'sessionEnd']);
  assert.deepEqual(said.get(two as string), ['sessionStart', 'envelope 1', 'gap after 1', 'gap after 1']);
  const [first, last] = gaps;
  assert.equal(first?.sizeBytes, query('SELECT poison').length + answer.length);
  assert.equal(last?.sizeBytes, query('SELECT after').length + answer.length + 70);
  assert.ok(gaps.every(({ reason }) => reason === GapReason.MALFORMED));
  assert.deepEqual(bugs, ['poisoned']);
});

test('a capture that throws when it is closed is closed nevertheless, and told as a gap', () => {
  const { said, table, open, ask, close } = scene({
    openSession: (options) => ({
      ...bindAll(openSession(options)),
      close: () => {
        throw new Error('never ends');
      },
    }),
  });
  open(1);
  ask(1, 'SELECT 1');
  close();
  assert.deepEqual(said.get(idsOf(said)[0] as string), ['sessionStart', 'envelope 1', 'gap after 1']);
  assert.equal(table.idle().length, 0);
});

function bindAll(session: ReturnType<typeof openSession>): ReturnType<typeof openSession> {
  return {
    clientChunk: (...given) => session.clientChunk(...given),
    serverChunk: (...given) => session.serverChunk(...given),
    missed: (...given) => session.missed(...given),
    cancelled: (...given) => session.cancelled(...given),
    keepAnswers: (...given) => session.keepAnswers(...given),
    tick: (...given) => session.tick(...given),
    close: (...given) => session.close(...given),
    openTransactions: 0,
    untoldTransactions: 0,
    idle: true,
    oldestHeld: null,
    contextBytes: 0,
    bufferedBytes: 0,
    exchanges: 0,
  };
}

test('what all sessions hold is bounded: the largest is given up and told, followed again; the others go on', () => {
  const { table, said, gaps, open, say, ask, tick, close } = scene({});
  const limitBytes = 512 * 1024;
  open(1);
  open(2);
  const begun = query(`SELECT '${'x'.repeat(60_000)}'`);
  for (let i = 0; i < 6; i++) {
    say(RecordKind.client, 1, begun);
    table.bound(limitBytes, begun.length);
    assert.deepEqual(gaps, []);
  }
  const further = query(`SELECT '${'y'.repeat(30_000)}'`);
  for (let i = 0; i < 6; i++) {
    say(RecordKind.client, 2, further);
    table.bound(limitBytes, further.length);
    assert.ok(table.bufferedBytes() <= limitBytes);
  }
  for (let i = 0; i < 6; i++) say(RecordKind.server, 1, answer);
  for (let i = 0; i < 6; i++) say(RecordKind.server, 2, answer);
  tick(); // it sent ahead: it is followed again from a pause
  ask(1, 'SELECT 1');
  close();
  const [one, two] = idsOf(said);
  assert.deepEqual(
    gaps.map(({ reason, transactions }) => [reason, transactions]),
    [[GapReason.MEMORY_LIMIT, 6]],
  );
  assert.ok(said.get(one as string)?.includes('gap after 0'));
  assert.deepEqual(said.get(two as string)?.filter((line) => line.startsWith('envelope')).length, 6);
});
