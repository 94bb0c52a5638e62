// Follows the control topic for one source. A record that is not usable is told and left out: the last good one stays in force.
import { type CaptureControl, captureControlKey, controlTopic, parseCaptureControl } from '@mirrorstream/domain';
import type { IncomingBatch, IncomingRecord, KafkaClient, KafkaLogger } from '@mirrorstream/kafka';

/** The newest usable record. `revision` is its offset. */
export interface ControlState {
  readonly control: CaptureControl | null;
  readonly revision: bigint | null;
}

export interface ControlReaderOptions {
  readonly client: Pick<KafkaClient, 'follow'>;
  readonly source: string;
  readonly logger: KafkaLogger;
  /** After the topic was read to its end, then at each change. */
  readonly onChange: (state: ControlState) => void;
  readonly onCrash: (error: Error) => void;
}

export class ControlReader {
  readonly #options: ControlReaderOptions;
  readonly #key: string;
  #follower: Awaited<ReturnType<KafkaClient['follow']>> | undefined;
  #state: ControlState = { control: null, revision: null };
  #caughtUp = false;

  private constructor(options: ControlReaderOptions) {
    this.#options = options;
    this.#key = captureControlKey(options.source);
  }

  /** Resolves when all that was in the topic has been read and told. The topic must exist. */
  static async start(options: ControlReaderOptions): Promise<ControlReader> {
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

  get state(): ControlState {
    return this.#state;
  }

  async stop(): Promise<void> {
    await this.#follower?.stop();
  }

  #take({ key, value, offset }: IncomingRecord): void {
    if (key?.toString() !== this.#key) return;
    try {
      const control = value === null ? null : parseCaptureControl(value.toString());
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
