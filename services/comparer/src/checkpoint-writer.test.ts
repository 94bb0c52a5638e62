// Publishing checkpoints: what Kafka did not take stays due, requests and the rate have bounds, a refusal is fatal.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MirrorstreamError } from '@mirrorstream/domain';
import type { OutgoingRecord, Producer } from '@mirrorstream/kafka';
import { CheckpointWriter, type CheckpointWriterOptions } from './checkpoint-writer.ts';
import { neverBehind, tableOf } from './findings.fixture.ts';
import { PartitionLedger } from './ledger.ts';
import { PartitionLane } from './partition-lane.ts';

const options: CheckpointWriterOptions = { maxAgeMs: 5_000, maxRequestBytes: 1_000_000, maxBytesPerS: 1_000_000_000 };

function setUp(of: Partial<CheckpointWriterOptions> = {}) {
  const requests: OutgoingRecord[][] = [];
  const events: string[] = [];
  const state: { nowMs: number; failure: MirrorstreamError | null } = { nowMs: 0, failure: null };
  const producer: Producer = {
    send: async (records) => {
      if (state.failure !== null) throw state.failure;
      requests.push([...records]);
      return [];
    },
    sendEach: async () => [],
    close: async () => {},
  };
  const writer = new CheckpointWriter(
    producer,
    { ...options, ...of },
    {
      onPublished: (lane, offset) => events.push(`${lane.partition}@${offset}`),
      onAvailability: (available) => events.push(available ? 'back' : 'away'),
      onRefused: (error) => events.push(error.code),
    },
    () => state.nowMs,
  );
  const lanes = [0, 1, 2].map((partition) => {
    const identity = { environment: 'default', mirror: 'm', partition };
    const ledger = new PartitionLedger(identity, { maxEnded: 10, maxBytes: 10_000 }, null);
    return new PartitionLane(partition, ledger, tableOf(partition), neverBehind, 0);
  });
  const move = () => {
    for (const lane of lanes) lane.ledger.nextOffset += 1n;
  };
  const tick = async () => {
    writer.tick(lanes);
    await writer.publishReady(lanes);
  };
  return { requests, events, state, lanes, move, tick };
}

describe('checkpoint writer', () => {
  it('publishes what moved, and nothing when nothing moved', async () => {
    const { requests, events, move, tick } = setUp();
    await tick();
    assert.equal(requests.length, 0);
    move();
    await tick();
    await tick();
    assert.deepEqual(events, ['0@1', '1@1', '2@1']);
    assert.deepEqual(
      requests.flat().map((record) => record.key),
      ['comparer/default/m/0', 'comparer/default/m/1', 'comparer/default/m/2'],
    );
  });

  it('keeps what Kafka did not answer due, and says once that it is away and back', async () => {
    const { events, state, move, tick } = setUp();
    state.failure = new MirrorstreamError('kafkaUnavailable', 'away', { stage: 'kafka', retryable: true });
    move();
    await tick();
    await tick();
    state.failure = null;
    await tick();
    assert.deepEqual(events, ['away', 'back', '0@1', '1@1', '2@1']);
  });

  it('reports a refusal', async () => {
    const { events, state, move, tick } = setUp();
    state.failure = new MirrorstreamError('kafkaRefused', 'too large', { stage: 'kafka' });
    move();
    await tick();
    assert.deepEqual(events, ['kafkaRefused']);
  });

  it('cuts requests by size', async () => {
    const { requests, move, tick } = setUp({ maxRequestBytes: 600 });
    move();
    await tick();
    assert.deepEqual(
      requests.map((request) => request.length),
      [1, 1, 1],
    );
  });

  it('writes no more bytes a second than it may', async () => {
    const { requests, state, move, tick } = setUp({ maxBytesPerS: 3_000 });
    for (state.nowMs = 0; state.nowMs < 20_000; state.nowMs += 100) {
      move();
      await tick();
    }
    const sizeBytes = requests.flat().reduce((sum, record) => sum + (record.value?.length ?? 0), 0);
    assert.ok(sizeBytes > 30_000 && sizeBytes < 64_000, `${sizeBytes} bytes in 20 s`);
  });
});
