// What a bug in a lane costs: the session's transactions under way, not the process, and nobody else's.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BatchEncoder, decodeEnvelopeBatch, type Envelope, TransactionOutcome } from '@mirrorstream/envelope';
import type { LaneOptions } from '@mirrorstream/replay';
import { Alarm } from './alarm.ts';
import { LaneRunner } from './lane-runner.ts';
import type { ConnectionGate } from './target/connection-gate.ts';
import type { Connector } from './target/connector.ts';

const options: LaneOptions = {
  sessionId: 'session-1',
  pacing: {
    dueAtUs: () => {
      throw new Error('a bug');
    },
  },
  rawCapBytes: 1024,
  segmentWaitMs: 1000,
  unansweredWaitMs: 1000,
  exchangeTimeoutMs: 1000,
  idleMs: 1000,
  replayCancels: true,
  duplicateWindow: 10,
};

/** A query of production's. */
function envelope(seq: number): Envelope {
  const encoder = new BatchEncoder({ source: 's', captureNode: 'n', incarnation: 'i', worker: 0, partition: 0 });
  encoder.add({
    kind: 'envelope',
    sessionId: 'session-1',
    sessionSeq: seq,
    part: 0,
    lastPart: true,
    startedAtUs: 1,
    startedMonoUs: 1,
    samplingDraw: 0,
    context: {
      database: 'd',
      user: 'u',
      protocolVersion: 196608,
      startupParameters: [],
      settings: [],
      statements: [],
    },
    exchanges: [
      {
        index: 0,
        continues: false,
        request: Buffer.from('Q\0\0\0\x05\0'),
        segments: [],
        sentUs: 0,
        firstReplyUs: 0,
        doneUs: 5,
        afterSeq: 0,
        doneSeq: 0,
        answer: null,
        cancelledAfterUs: 0,
      },
    ],
    outcome: TransactionOutcome.COMMITTED,
    writes: false,
    dependsOnSession: [],
    redactions: 0,
  });
  const record = decodeEnvelopeBatch(encoder.take()).records[0]?.record;
  assert.equal(record?.case, 'envelope');
  return record?.value as Envelope;
}

describe('a lane runner', () => {
  it('whose lane throws says so once, fails what the lane had, gives its bytes back and ends', () => {
    let open: (() => void) | null = null;
    const told: string[] = [];
    let queuedBytes = 0;
    // It never gets further than asking for a connection.
    const gate = {
      request: ({ onOpen }: { onOpen: (connection: unknown) => void }) => {
        const connection = { write: () => true, destroy: () => told.push('destroyed'), close: () => {} };
        open = () => onOpen(connection);
        return { release: () => told.push('released'), handOn: () => {} };
      },
    } as unknown as ConnectionGate;
    const alarm = new Alarm<LaneRunner>(
      () => 0,
      () => {},
    );
    const runner = new LaneRunner(
      options,
      {
        gate,
        connector: { loginOf: () => 'u' } as unknown as Connector,
        alarm,
        nowUs: () => 0,
        queued: (sizeBytes) => {
          queuedBytes += sizeBytes;
        },
      },
      {
        onResult: ({ result }) => told.push(`#${result.ref.sessionSeq} ${result.outcome} ${result.reason}`),
        onDuplicate: () => told.push('duplicate'),
        onBroken: (error) => told.push(String(error)),
        onCancel: () => told.push('cancel'),
        onEnded: () => told.push('ended'),
      },
    );
    const at = (offset: bigint) => ({ place: { offset, index: 0 }, sizeBytes: 100 });
    runner.feed({ kind: 'envelope', envelope: envelope(1), ...at(1n) });
    runner.feed({ kind: 'envelope', envelope: envelope(2), ...at(2n) });
    assert.deepEqual([told, queuedBytes], [[], 200]);
    assert.doesNotThrow(() => open?.());
    assert.deepEqual(told, [
      'Error: a bug',
      '#1 failed internal',
      '#2 failed internal',
      'destroyed',
      'released',
      'ended',
    ]);
    assert.equal(queuedBytes, 0);
    runner.feed({ kind: 'timer' });
    assert.equal(told.length, 6);
    alarm.stop();
  });
});
