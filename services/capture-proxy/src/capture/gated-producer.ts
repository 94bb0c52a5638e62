// A producer that can be handed out before Kafka is reachable: until it is opened, every attempt finds Kafka away.
//
// A partition that takes nothing (the topic is missing, or forbidden) is away, too: somebody can mend that while the records wait.
import { MirrorstreamError } from '@mirrorstream/domain';
import type { PartitionOutcome, PartitionRecords, Producer } from '@mirrorstream/kafka';

/** An attempt waits this long for Kafka's first answer: records then go out at once instead of after a wait between tries. */
const waitMs = 5_000;

export class GatedProducer implements Pick<Producer, 'sendEach'> {
  readonly #opened = Promise.withResolvers<Producer>();
  #producer: Producer | null = null;

  get pooledBytes(): number {
    return this.#producer?.pooledBytes ?? 0;
  }

  open(producer: Producer): void {
    this.#producer = producer;
    this.#opened.resolve(producer);
  }

  async sendEach(parts: readonly PartitionRecords[]): Promise<readonly PartitionOutcome[]> {
    const producer = this.#producer ?? (await this.#openedInTime());
    if (producer !== null) return (await producer.sendEach(parts)).map(patiently);
    const error = new MirrorstreamError('kafkaUnavailable', 'Kafka has not answered yet', {
      stage: 'capture-proxy',
      retryable: true,
    });
    return parts.map(() => ({ kind: 'unavailable', error }));
  }

  async #openedInTime(): Promise<Producer | null> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<null>((resolve) => {
      timer = setTimeout(() => resolve(null), waitMs);
    });
    const producer = await Promise.race([this.#opened.promise, late]);
    clearTimeout(timer);
    return producer;
  }
}

const patiently = (outcome: PartitionOutcome): PartitionOutcome =>
  outcome.kind === 'refused' && outcome.scope === 'partition' ? { kind: 'unavailable', error: outcome.error } : outcome;
