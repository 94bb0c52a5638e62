// What somebody can mend is waited for; only a record that Kafka will never take is refused.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { MirrorstreamError } from '@mirrorstream/domain';
import type { PartitionOutcome, Producer } from '@mirrorstream/kafka';
import { GatedProducer } from './gated-producer.ts';

const error = new MirrorstreamError('kafkaRefused', 'no', { stage: 'test' });

/** A producer whose every request comes out so. */
const answering = (outcomes: readonly PartitionOutcome[]): Producer => ({
  sendEach: async () => outcomes,
  send: () => assert.fail('not used'),
  close: async () => {},
});

it('takes a missing or forbidden topic for a Kafka that is away, and passes a refused record on', async () => {
  const gate = new GatedProducer();
  gate.open(
    answering([
      { kind: 'refused', scope: 'partition', error },
      { kind: 'refused', scope: 'record', error },
      { kind: 'acknowledged', baseOffset: 7n },
    ]),
  );
  assert.deepEqual(await gate.sendEach([]), [
    { kind: 'unavailable', error },
    { kind: 'refused', scope: 'record', error },
    { kind: 'acknowledged', baseOffset: 7n },
  ]);
});

it('lets a request that came first go out as soon as Kafka has answered', async () => {
  const gate = new GatedProducer();
  const sent = gate.sendEach([]);
  gate.open(answering([{ kind: 'acknowledged', baseOffset: 1n }]));
  assert.deepEqual(await sent, [{ kind: 'acknowledged', baseOffset: 1n }]);
});
