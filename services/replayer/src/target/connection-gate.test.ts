// Who gets a connection: the cap, the queue, patience with a mirror that is away. The mirror is played, the clock too.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { type ErrorCode, MirrorstreamError } from '@mirrorstream/domain';
import type { TargetConnection, TargetHandlers } from '@mirrorstream/pg-target';
import { type ConnectFailure, ConnectionGate, type ConnectionRequest, type GatePass } from './connection-gate.ts';

class StageConnection {
  readonly #gone = Promise.withResolvers<void>();
  readonly closed = this.#gone.promise;
  readonly name: string;
  handlers: TargetHandlers | null = null;
  /** The mirror takes its time to see the last of it. */
  readonly lingers: boolean;

  constructor(name: string, lingers: boolean) {
    this.name = name;
    this.lingers = lingers;
  }

  close(): void {
    if (!this.lingers) this.end();
  }

  end(): void {
    this.#gone.resolve();
  }

  rebind(handlers: TargetHandlers): void {
    this.handlers = handlers;
  }
}

class GateStage {
  nowMs = 0;
  answer: 'up' | MirrorstreamError = 'up';
  tries = 0;
  readonly changes: string[] = [];
  readonly crowded: number[] = [];
  readonly log: string[] = [];
  readonly connections: StageConnection[] = [];
  readonly routes: number[] = [];
  readonly forbidden: string[] = [];
  lingering = false;
  /** Of each address, instead of `answer`. */
  answers: readonly ('up' | MirrorstreamError)[] = [];
  readonly gate: ConnectionGate;

  constructor(maxConnections = 10, addresses = 1) {
    this.gate = new ConnectionGate(
      {
        ...{ maxConnections, maxConnecting: 4, addresses, connectGiveUpMs: 1000, connectionWaitMs: 5000 },
        ...{ retryMinMs: 100, retryMaxMs: 400, regrowMinMs: 1000, regrowMaxMs: 4000 },
      },
      {
        connect: async ({ sessionId }, route) => {
          this.tries += 1;
          this.routes.push(route);
          const answer = this.answers[route] ?? this.answer;
          if (answer !== 'up') throw answer;
          const connection = new StageConnection(sessionId, this.lingering);
          this.connections.push(connection);
          return connection as unknown as TargetConnection;
        },
        onCrowded: (waiting) => this.crowded.push(waiting),
        onChange: (state) => this.changes.push(state),
        onForbidden: (error) => this.forbidden.push(error.code),
        nowMs: () => this.nowMs,
        chance: () => 0,
      },
    );
  }

  /** `poolKey/name`, or a name alone; each name is a user of its own. */
  request(name: string): GatePass {
    return this.gate.request({
      sessionId: name,
      login: name,
      poolKey: name.split('/')[0] ?? '',
      handlers: {},
      onOpen: (_connection: TargetConnection, handedOn: boolean) =>
        this.log.push(`${name} ${handedOn ? 'takes over' : 'open'}`),
      onFailed: (reason: ConnectFailure) => this.log.push(`${name} ${reason}`),
    } as unknown as ConnectionRequest);
  }

  /** Lets the gate work; a request more or less makes it look at the clock again. */
  async settle(): Promise<void> {
    this.gate.request({ onOpen: () => {}, onFailed: () => {} } as unknown as ConnectionRequest).release();
    for (let i = 0; i < 10; i++) await turn();
  }
}

const failure = (code: ErrorCode) => new MirrorstreamError(code, 'no', { stage: 'test' });

describe('connection gate', () => {
  it('opens up to the cap, keeps the rest waiting in order, and says that it is crowded', async (t) => {
    const stage = new GateStage(2);
    t.after(() => stage.gate.stop());
    const first = stage.request('a');
    stage.request('b');
    stage.request('c');
    stage.request('d');
    assert.deepEqual(stage.log, []);
    await stage.settle();
    assert.deepEqual(stage.log, ['a open', 'b open']);
    assert.equal(stage.gate.stats.open, 2);
    assert.equal(stage.gate.stats.waiting, 2);
    assert.ok(stage.crowded.includes(2));
    first.release();
    first.release();
    stage.connections[0]?.end();
    await stage.settle();
    assert.deepEqual(stage.log, ['a open', 'b open', 'c open']);
    assert.equal(stage.gate.stats.open, 2);
  });

  it('lets requests wait for a mirror that is away, tries at growing distances, and goes on when it is back', async (t) => {
    const stage = new GateStage();
    t.after(() => stage.gate.stop());
    stage.answer = failure('targetUnreachable');
    stage.request('a');
    stage.request('b');
    await stage.settle();
    const triesAtOnce = stage.tries;
    await stage.settle();
    assert.equal(stage.tries, triesAtOnce);
    assert.deepEqual(stage.log, []);
    stage.nowMs = 500;
    stage.answer = 'up';
    await stage.settle();
    assert.deepEqual(stage.log.toSorted(), ['a open', 'b open']);
    assert.deepEqual(stage.changes, ['down', 'up']);
  });

  it('fails who has waited long enough, and at once who comes after that', async (t) => {
    const stage = new GateStage();
    t.after(() => stage.gate.stop());
    stage.answer = failure('targetUnreachable');
    stage.request('a');
    await stage.settle();
    for (stage.nowMs = 100; stage.nowMs <= 1000; stage.nowMs += 100) await stage.settle();
    stage.nowMs = 1050;
    await stage.settle();
    assert.deepEqual(stage.log, ['a targetUnreachable']);
    stage.request('b');
    stage.request('c');
    await stage.settle();
    stage.nowMs = 1060;
    await stage.settle();
    assert.deepEqual(stage.log.slice(1).toSorted(), ['b targetUnreachable', 'c targetUnreachable']);
    assert.deepEqual(stage.changes, ['down']);
    assert.equal(stage.gate.stats.waiting, 0);
  });

  it('fails a session that the mirror refuses without holding up the others', async (t) => {
    const stage = new GateStage();
    t.after(() => stage.gate.stop());
    stage.answer = failure('authenticationFailed');
    stage.request('a');
    await stage.settle();
    stage.answer = failure('targetRefused');
    stage.request('b');
    await stage.settle();
    stage.answer = 'up';
    stage.request('c');
    await stage.settle();
    assert.deepEqual(stage.log, ['a authenticationFailed', 'b targetUnreachable', 'c open']);
    assert.deepEqual(stage.changes, ['refusing', 'up']);
  });

  it('asks for a user that was refused at growing distances only, and goes on when it is let in', async (t) => {
    const stage = new GateStage();
    t.after(() => stage.gate.stop());
    stage.answer = failure('authenticationFailed');
    for (let i = 0; i < 5; i++) {
      stage.request('a');
      await stage.settle();
    }
    assert.equal(stage.tries, 1);
    assert.equal(stage.log.length, 5);
    stage.nowMs = 100;
    stage.answer = 'up';
    stage.request('a');
    stage.request('a');
    await stage.settle();
    assert.deepEqual(stage.log.slice(5), ['a open', 'a open']);
  });

  it('goes on with the connections it has when the mirror has no more, and asks for one more after a while', async (t) => {
    const stage = new GateStage();
    t.after(() => stage.gate.stop());
    const first = stage.request('a');
    stage.request('b');
    await stage.settle();
    stage.answer = failure('targetFull');
    stage.request('c');
    stage.request('d');
    await stage.settle();
    const { tries } = stage;
    for (stage.nowMs = 10; stage.nowMs < 900; stage.nowMs += 100) await stage.settle();
    assert.equal(stage.tries, tries);
    assert.equal(stage.gate.stats.limit, 2);
    assert.equal(stage.gate.stats.down, false);
    assert.ok(stage.crowded.length > 0);
    stage.answer = 'up';
    first.release();
    stage.connections[0]?.end();
    await stage.settle();
    assert.deepEqual(stage.log, ['a open', 'b open', 'c open']);
    stage.nowMs = 2000;
    await stage.settle();
    assert.deepEqual(stage.log.at(-1), 'd open');
    assert.deepEqual(stage.changes, ['full', 'up']);
  });

  it('takes a mirror that is full without a connection of ours for one that is away', async (t) => {
    const stage = new GateStage();
    t.after(() => stage.gate.stop());
    stage.answer = failure('targetFull');
    stage.request('a');
    await stage.settle();
    const { tries } = stage;
    await stage.settle();
    assert.equal(stage.tries, tries);
    assert.equal(stage.gate.stats.down, true);
    stage.nowMs = 100;
    stage.answer = 'up';
    await stage.settle();
    assert.deepEqual(stage.log, ['a open']);
  });

  it('fails who waited too long for a connection of a mirror that is up', async (t) => {
    const stage = new GateStage(1);
    t.after(() => stage.gate.stop());
    stage.request('a');
    stage.request('b');
    await stage.settle();
    stage.nowMs = 4999;
    await stage.settle();
    assert.deepEqual(stage.log, ['a open']);
    stage.nowMs = 5000;
    await stage.settle();
    assert.deepEqual(stage.log, ['a open', 'b noConnection']);
  });

  it('goes to the next address when one is away, and back to the first when a probe finds it', async (t) => {
    const stage = new GateStage(10, 2);
    t.after(() => stage.gate.stop());
    stage.answers = [failure('targetUnreachable'), 'up'];
    stage.request('a');
    await stage.settle();
    stage.request('b');
    await stage.settle();
    assert.deepEqual(stage.routes, [0, 1, 1]);
    assert.deepEqual(stage.log, ['a open', 'b open']);
    assert.equal(stage.gate.stats.takenOut, 1);
    assert.deepEqual(stage.changes, []);
    stage.answers = ['up', 'up'];
    stage.nowMs = 100;
    stage.request('c');
    await stage.settle();
    assert.equal(stage.routes.at(-1), 0);
    assert.equal(stage.gate.stats.takenOut, 0);
  });

  it('hands a connection on to who fits, and makes room by closing one that fits nobody', async (t) => {
    const stage = new GateStage(1);
    t.after(() => stage.gate.stop());
    const first = stage.request('x/a');
    stage.request('x/b').release();
    const second = stage.request('x/c');
    await stage.settle();
    first.handOn();
    first.handOn();
    await stage.settle();
    assert.deepEqual(stage.log, ['x/a open', 'x/c takes over']);
    second.handOn();
    stage.request('y/d');
    await stage.settle();
    assert.deepEqual(stage.log.slice(2), ['y/d open']);
    assert.equal(stage.tries, 2);
  });

  it('counts a connection until it is closed, so that the mirror never has more than the cap', async (t) => {
    const stage = new GateStage(1);
    t.after(() => stage.gate.stop());
    stage.lingering = true;
    const first = stage.request('a');
    stage.request('b');
    await stage.settle();
    first.release();
    await stage.settle();
    assert.deepEqual(stage.log, ['a open']);
    stage.connections[0]?.end();
    await stage.settle();
    assert.deepEqual(stage.log, ['a open', 'b open']);
  });

  it('gives up a parked connection on which anything arrives', async (t) => {
    const stage = new GateStage();
    t.after(() => stage.gate.stop());
    const first = stage.request('x/a');
    await stage.settle();
    first.handOn();
    stage.connections[0]?.handlers?.onBytes(Buffer.from('N'));
    stage.request('x/b');
    await stage.settle();
    assert.deepEqual(stage.log, ['x/a open', 'x/b open']);
  });

  it('answers nobody any more when nothing may be sent to the mirror', async () => {
    const stage = new GateStage();
    stage.answer = failure('targetIsSource');
    stage.request('a');
    stage.request('b');
    await stage.settle();
    stage.nowMs = 100_000;
    await stage.settle();
    assert.deepEqual(stage.forbidden, ['targetIsSource']);
    assert.deepEqual(stage.log, []);
  });

  it('closes a connection that nobody wants any more', async (t) => {
    const stage = new GateStage();
    t.after(() => stage.gate.stop());
    const pass = stage.request('a');
    await turn();
    pass.release();
    await stage.settle();
    assert.ok(stage.log.every((line) => line === 'a open'));
    assert.equal(stage.gate.stats.open, 0);
  });
});
