// Who gets a connection: the cap, the queue, patience with a mirror that is away. The mirror is played, the clock too.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { MirrorstreamError } from '@mirrorstream/domain';
import type { TargetConnection } from '@mirrorstream/pg-target';
import { type ConnectFailure, ConnectionGate, type ConnectionRequest, type GatePass } from './connection-gate.ts';

class GateStage {
  nowMs = 0;
  answer: 'up' | MirrorstreamError = 'up';
  tries = 0;
  readonly changes: string[] = [];
  readonly crowded: number[] = [];
  readonly log: string[] = [];
  readonly gate: ConnectionGate;

  constructor(maxConnections = 10) {
    this.gate = new ConnectionGate(
      { maxConnections, maxConnecting: 4, connectGiveUpMs: 1000, retryMinMs: 100, retryMaxMs: 400 },
      {
        connect: async () => {
          this.tries += 1;
          if (this.answer !== 'up') throw this.answer;
          return { close: () => this.log.push('closed unused') } as unknown as TargetConnection;
        },
        onCrowded: (waiting) => this.crowded.push(waiting),
        onChange: (state) => this.changes.push(state),
        nowMs: () => this.nowMs,
      },
    );
  }

  request(name: string): GatePass {
    return this.gate.request({
      sessionId: name,
      onOpen: () => this.log.push(`${name} open`),
      onFailed: (reason: ConnectFailure) => this.log.push(`${name} ${reason}`),
    } as unknown as ConnectionRequest);
  }

  /** Lets the gate work; a request more or less makes it look at the clock again. */
  async settle(): Promise<void> {
    this.gate.request({ onOpen: () => {}, onFailed: () => {} } as unknown as ConnectionRequest).release();
    for (let i = 0; i < 10; i++) await turn();
  }
}

const failure = (code: 'targetUnreachable' | 'authenticationFailed' | 'targetRefused') =>
  new MirrorstreamError(code, 'no', { stage: 'test' });

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
    assert.deepEqual(stage.gate.stats, { open: 2, waiting: 2, down: false });
    assert.ok(stage.crowded.includes(2));
    first.release();
    first.release();
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

  it('closes a connection that nobody wants any more', async (t) => {
    const stage = new GateStage();
    t.after(() => stage.gate.stop());
    const pass = stage.request('a');
    await turn();
    pass.release();
    await stage.settle();
    assert.ok(stage.log.every((line) => line === 'closed unused' || line === 'a open'));
    assert.equal(stage.gate.stats.open, 0);
  });
});
