// The batcher: stands between a producer of records that must never wait and a Kafka that may be slow or away.
import { MirrorstreamError } from '@mirrorstream/domain';
import type { Batcher, BatcherEvents, BatcherOptions } from './batcher-port.ts';
import type { Producer } from './port.ts';

export function createBatcher(_producer: Producer, _options: BatcherOptions, _events: BatcherEvents): Batcher {
  throw new MirrorstreamError('internal', 'the batcher is not written yet', { stage: 'kafka' });
}
