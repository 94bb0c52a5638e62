// A lane among others: it asks before each exchange, before it asks for a connection, and tells what became of it.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { OrderMark } from '@mirrorstream/domain';
import type { Envelope, Exchange } from '@mirrorstream/envelope';
import { backend, envelope, frontend, LaneStage, query, ready, row, simple, tag } from './lane.fixture.ts';
import type { OrderGate } from './order/coordinator.ts';

/** Lets nobody go until told so, and writes down what it is told. */
class SternGate implements OrderGate {
  readonly keeps = true;
  open = false;
  mark: OrderMark = '';
  hasRaced = false;
  hasWriteToCome = false;
  readonly told: string[] = [];

  mayGo(exchange: Exchange): boolean {
    this.told.push(`may ${exchange.index}?`);
    return this.open;
  }
  sent(exchange: Exchange): void {
    this.told.push(`sent ${exchange.index}`);
  }
  answered(exchange: Exchange): void {
    this.told.push(`answered ${exchange.index}`);
  }
  settled({ sessionSeq }: Envelope): OrderMark {
    this.told.push(`settled #${sessionSeq}`);
    return this.mark;
  }
  raced(): boolean {
    return this.hasRaced;
  }
  retried(exchange: Exchange): void {
    this.told.push(`retried ${exchange.index}`);
  }
  awaitsWrite(): boolean {
    return this.hasWriteToCome;
  }
  rolledBack(exchange: Exchange): void {
    this.told.push(`rolled back ${exchange.index}`);
  }
  heard(): string[] {
    return this.told.splice(0);
  }
}

describe('a lane whose order is kept', () => {
  it('asks for each exchange, for no connection before its turn, and says what was sent and answered', () => {
    const order = new SternGate();
    const stage = new LaneStage({ order });
    stage.take(envelope({ seq: 1 }, simple('A', 'A', 'T'), simple('B', 'B')));
    assert.deepEqual([stage.seen(), order.heard()], [[], ['may 0?']]);
    order.open = true;
    stage.step({ kind: 'orderMoved' });
    assert.deepEqual(stage.seen(), ['connect']);
    order.heard();
    stage.connect();
    assert.deepEqual([stage.seen(), order.heard().filter((it) => !it.startsWith('may'))], [['F Query'], ['sent 0']]);
    order.open = false;
    stage.mirror(tag('A'), ready('T'));
    assert.deepEqual([stage.seen(), order.heard()], [[], ['answered 0', 'may 1?']]);
    order.open = true;
    order.mark = 'givenUp';
    stage.step({ kind: 'orderMoved' });
    stage.mirror(tag('B'), ready());
    assert.deepEqual(order.heard(), ['may 1?', 'sent 1', 'answered 1', 'settled #1']);
    assert.deepEqual(
      stage.results().map(({ order: mark }) => mark),
      ['givenUp'],
    );
  });

  it('holds nobody up with what it will not play: repeated, skipped, failed', () => {
    const order = new SternGate();
    const stage = new LaneStage({ order });
    const first = envelope({ seq: 2 }, simple('A', 'A'));
    stage.take(first, first);
    assert.deepEqual(order.heard().at(-1), 'may 0?');
    assert.ok(stage.seen().includes('duplicate'));
    stage.skip({ outcome: 'shed', reason: 'behindSource', harmless: true }, envelope({ seq: 3 }, simple('B', 'B')));
    assert.ok(order.heard().includes('settled #3'));
    order.open = true;
    stage.step({ kind: 'orderMoved' });
    stage.step({ kind: 'connectFailed', reason: 'targetUnreachable' });
    assert.ok(order.heard().includes('settled #2'));
  });

  it('says of a difference that a write of another session overlapped it, and of what follows it in the transaction', () => {
    const order = new SternGate();
    order.open = true;
    const answer = (value: string) => backend(row(value), tag('SELECT 1'), ready('T'));
    const read = { request: frontend(query('SELECT')), answer: answer('1') };
    for (const hasRaced of [true, false]) {
      order.hasRaced = hasRaced;
      const stage = new LaneStage({ order });
      stage.take(envelope({ seq: 1 }, read, read, read));
      stage.connect();
      for (const value of ['1', '2', '3']) stage.mirror(row(value), tag('SELECT 1'), ready('T'));
      const [result] = stage.results();
      assert.equal(result?.raced, hasRaced);
      assert.deepEqual(
        result?.statements.map(({ equal, race }) => [equal, race]),
        [
          [true, false],
          [false, hasRaced],
          [false, hasRaced],
        ],
      );
    }
  });
});
