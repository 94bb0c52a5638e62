// Follows the record of one key in the control topic. A record that is not usable is told and left out: the last good one stays in force.
import { controlTopic } from '@mirrorstream/domain';
import type { IncomingBatch, IncomingRecord, KafkaClient, KafkaLogger } from '@mirrorstream/kafka';

/** Which record of the topic, and how it is read; `parse` throws when it is not usable. */
export interface ControlSubject<Control> {
  readonly key: string;
  readonly parse: (json: string) => Control;
}

/** The newest usable record. `revision` is its offset. */
export interface ControlState<Control> {
  readonly control: Control | null;
  readonly revision: bigint | null;
}

export interface ControlReaderOptions<Control> {
  readonly client: Pick<KafkaClient, 'follow'>;
  readonly subject: ControlSubject<Control>;
  readonly logger: KafkaLogger;
  /** After the topic was read to its end, then at each change. */
  readonly onChange: (state: ControlState<Control>) => void;
  readonly onCrash: (error: Error) => void;
}

export class ControlReader<Control> {
  readonly #options: ControlReaderOptions<Control>;
  #follower: Awaited<ReturnType<KafkaClient['follow']>> | undefined;
  #state: ControlState<Control> = { control: null, revision: null };
  #caughtUp = false;

  private constructor(options: ControlReaderOptions<Control>) {
    this.#options = options;
  }

  /** Resolves when all that was in the topic has been read and told. The topic must exist. */
  static async start<Control>(options: ControlReaderOptions<Control>): Promise<ControlReader<Control>> {
    const reader = new ControlReader(options);
    const onBatch = (batch: IncomingBatch): void => {
      for (const record of batch.records) reader.#take(record);
    };
    reader.#follower = await options.client.follow([controlTopic], 'earliest', onBatch, options.onCrash);
    await reader.#follower.caughtUp();
    reader.#caughtUp = true;
    options.onChange(reader.#state);
    return reader;
  }

  get state(): ControlState<Control> {
    return this.#state;
  }

  async stop(): Promise<void> {
    await this.#follower?.stop();
  }

  #take({ key, value, offset }: IncomingRecord): void {
    const { subject } = this.#options;
    if (key?.toString() !== subject.key) return;
    try {
      const control = value === null ? null : subject.parse(value.toString());
      this.#state = { control, revision: offset };
    } catch (err) {
      this.#options.logger.error(
        { err, offset: String(offset) },
        'a control record is left out; the last good one stays',
      );
      return;
    }
    if (this.#caughtUp) this.#options.onChange(this.#state);
  }
}
