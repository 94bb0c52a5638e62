// A producer that can be handed out before Kafka is reachable: until it is opened, every attempt finds Kafka away.
import { MirrorstreamError } from '@mirrorstream/domain';
import type { PartitionOutcome, PartitionRecords, Producer } from '@mirrorstream/kafka';

export class GatedProducer implements Pick<Producer, 'sendEach'> {
  #producer: Producer | null = null;

  open(producer: Producer): void {
    this.#producer = producer;
  }

  async sendEach(parts: readonly PartitionRecords[]): Promise<readonly PartitionOutcome[]> {
    if (this.#producer !== null) return await this.#producer.sendEach(parts);
    const error = new MirrorstreamError('kafkaUnavailable', 'Kafka has not answered yet', {
      stage: 'capture-proxy',
      retryable: true,
    });
    return parts.map(() => ({ kind: 'unavailable', error }));
  }
}
