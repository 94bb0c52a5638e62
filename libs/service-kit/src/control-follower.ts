// Follows the control topic from a service: what it says, told at once and at each change. Never gives up.
import { controlTopic } from '@mirrorstream/domain';
import type { KafkaClient, KafkaLogger } from '@mirrorstream/kafka';
import { ControlReader, type ControlState, type ControlSubject } from './control-reader.ts';
import { ensureControlTopic } from './topics.ts';

const retryMinMs = 200;
const retryMaxMs = 10_000;

export interface ControlFollowerOptions<Control> {
  readonly client: KafkaClient;
  readonly subject: ControlSubject<Control>;
  readonly logger: KafkaLogger;
  readonly onChange: (state: ControlState<Control>) => void;
}

export class ControlFollower<Control> {
  readonly #options: ControlFollowerOptions<Control>;
  #reader: ControlReader<Control> | null = null;
  #closed = false;
  #said = false;

  constructor(options: ControlFollowerOptions<Control>) {
    this.#options = options;
  }

  /** Until the topic can be read, what is in force stays so. */
  open(): void {
    void this.#follow();
  }

  close(): void {
    this.#closed = true;
    void this.#reader?.stop().catch(() => undefined);
  }

  async #follow(): Promise<void> {
    for (let waitMs = retryMinMs; !this.#closed; waitMs = Math.min(retryMaxMs, waitMs * 2)) {
      try {
        if (await this.#topicIsThere()) {
          await this.#readOn();
          return;
        }
      } catch (err) {
        this.#say({ err }, 'the control topic cannot be read yet: what is in force stays so');
      }
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }

  async #readOn(): Promise<void> {
    const { client, subject, logger, onChange } = this.#options;
    this.#reader = await ControlReader.start({
      client,
      subject,
      logger,
      onChange,
      onCrash: (err) => {
        logger.warn({ err }, 'the control topic cannot be followed any more: trying anew');
        if (!this.#closed) void this.#follow();
      },
    });
    if (this.#closed) this.close();
  }

  /** Makes it where that is allowed; else somebody else does, one day. */
  async #topicIsThere(): Promise<boolean> {
    const admin = await this.#options.client.admin();
    try {
      if ((await admin.partitionCounts([controlTopic])).has(controlTopic)) return true;
      await ensureControlTopic(admin);
      return true;
    } finally {
      await admin.close();
    }
  }

  #say(details: object, message: string): void {
    const { logger } = this.#options;
    if (this.#said) logger.debug(details, message);
    else logger.info(details, message);
    this.#said = true;
  }
}
