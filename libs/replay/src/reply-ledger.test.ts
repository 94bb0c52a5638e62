// Who owes a ReadyForQuery, checked against the rules of the manual's "Message Flow".
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { B, F } from '@mirrorstream/pg-wire';
import { ReplyLedger } from './reply-ledger.ts';

type Step = readonly ['F' | 'B', number];

function played(...steps: readonly Step[]): ReplyLedger {
  const ledger = new ReplyLedger();
  for (const [from, type] of steps) {
    if (from === 'F') ledger.sent(type, 1);
    else ledger.received(type);
  }
  return ledger;
}

const owes = (...steps: readonly Step[]): boolean => played(...steps).owes(1);

const extended: readonly Step[] = [
  ['F', F.Parse],
  ['F', F.Bind],
  ['F', F.Execute],
];

describe('reply ledger', () => {
  it('expects one ReadyForQuery for each Query, FunctionCall and Sync, in order', () => {
    for (const type of [F.Query, F.FunctionCall, F.Sync]) {
      assert.equal(owes(['F', type]), true);
      assert.equal(owes(['F', type], ['B', B.ReadyForQuery]), false);
      assert.equal(owes(['F', type], ['F', F.Sync], ['B', B.ReadyForQuery]), true);
    }
    assert.equal(owes(...extended), false);
    assert.equal(owes(...extended, ['F', F.Flush]), false);
  });

  it('expects one for an extended batch and the Query that ends it', () => {
    assert.equal(owes(...extended, ['F', F.Query], ['B', B.CommandComplete], ['B', B.ReadyForQuery]), false);
  });

  it('expects none for a Query that is discarded up to Sync', () => {
    const ledger = played(...extended, ['F', F.Query], ['F', F.Sync], ['B', B.ErrorResponse]);
    assert.equal(ledger.mode, 'discarding');
    ledger.received(B.ReadyForQuery);
    assert.equal(ledger.owes(1), false);
    const late = played(...extended, ['F', F.Flush], ['B', B.ErrorResponse], ['F', F.Query], ['F', F.Sync]);
    assert.equal(late.owes(1), true);
    late.received(B.ReadyForQuery);
    assert.equal(late.owes(1), false);
  });

  it('tells by what is answered whether an error is an extended message’s or the Query’s behind it', () => {
    const sent: readonly Step[] = [...extended, ['F', F.Query], ...extended, ['F', F.Query], ['F', F.Sync]];
    const answers: readonly Step[] = [
      ['B', B.ParseComplete],
      ['B', B.BindComplete],
      ['B', B.CommandComplete],
    ];
    const early = played(...sent, ...answers.slice(0, 2), ['B', B.ErrorResponse], ['B', B.ReadyForQuery]);
    assert.equal(early.owes(1), false, 'skipped up to Sync');
    const late = played(...sent, ...answers, ['B', B.ErrorResponse], ['B', B.ReadyForQuery]);
    assert.equal(late.owes(1), true, 'the second Query is still to be answered');
    late.received(B.ErrorResponse);
    late.received(B.ReadyForQuery);
    assert.equal(late.owes(1), false, 'its extended messages failed');
  });

  it('asks for the Sync that was never sent when the mirror discards', () => {
    assert.equal(played(...extended, ['B', B.ErrorResponse]).remedy(), 'sync');
    assert.equal(played(...extended, ['F', F.Sync], ['B', B.ErrorResponse]).remedy(), null);
    assert.equal(played(['F', F.Query], ['B', B.ErrorResponse]).remedy(), null);
  });

  it('counts a Sync as swallowed between CopyInResponse and the end of the data', () => {
    const before = played(...extended, ['F', F.Sync], ['B', B.CopyInResponse]);
    assert.equal(before.owes(1), false);
    for (const end of [F.CopyDone, F.CopyFail]) {
      const copy = played(
        ...extended,
        ['F', F.Sync],
        ['B', B.CopyInResponse],
        ['F', F.Sync],
        ['F', end],
        ['F', F.Sync],
      );
      copy.received(end === F.CopyDone ? B.CommandComplete : B.ErrorResponse);
      assert.equal(copy.owes(1), true);
      copy.received(B.ReadyForQuery);
      assert.equal(copy.owes(1), false);
    }
  });

  it('does not count a Sync as swallowed when the data was on its way before CopyInResponse came', () => {
    const ledger = played(...extended, ['F', F.Sync], ['F', F.CopyDone], ['F', F.Sync], ['B', B.CopyInResponse]);
    ledger.received(B.CommandComplete);
    ledger.received(B.ReadyForQuery);
    assert.equal(ledger.owes(1), false);
  });

  it('ends a simple COPY with its own ReadyForQuery, also when it fails early and data keeps coming', () => {
    const ledger = played(['F', F.Query], ['B', B.CopyInResponse], ['B', B.ErrorResponse], ['B', B.ReadyForQuery]);
    assert.equal(ledger.owes(1), false);
    ledger.sent(F.CopyDone, 1);
    assert.equal(ledger.owes(1), false);
    assert.equal(ledger.remedy(), null);
  });

  it('asks for CopyFail when the mirror wants data that production’s client had no reason to send', () => {
    assert.equal(played(['F', F.Query], ['B', B.CopyInResponse]).remedy(), 'copyFail');
    assert.equal(played(...extended, ['F', F.Sync], ['B', B.CopyInResponse]).remedy(), 'copyFailAndSync');
    assert.equal(played(['F', F.Query], ['B', B.CopyInResponse], ['F', F.CopyDone]).remedy(), null);
  });

  it('takes several COPYs of one Query one after the other', () => {
    const one: readonly Step[] = [
      ['B', B.CopyInResponse],
      ['F', F.CopyDone],
      ['B', B.CommandComplete],
    ];
    assert.equal(owes(['F', F.Query], ...one, ...one), true);
    assert.equal(owes(['F', F.Query], ...one, ...one, ['B', B.ReadyForQuery]), false);
  });

  it('takes an error at Sync itself, a deferred constraint, as answered by that Sync', () => {
    assert.equal(owes(...extended, ['F', F.Sync], ['B', B.ErrorResponse], ['B', B.ReadyForQuery]), false);
  });
});
