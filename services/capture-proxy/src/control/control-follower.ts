// Follows the control topic from the capture worker: what is to be in force, told at once and at each change. Never gives up.
import { type CaptureSettings, controlTopic, settingsInForce } from '@mirrorstream/domain';
import type { KafkaClient, KafkaLogger } from '@mirrorstream/kafka';
import { ControlReader, type ControlState, ensureControlTopic } from '@mirrorstream/service-kit';
import type { SettingsInForce } from '../capture/worker-protocol.ts';

const retryMinMs = 200;
const retryMaxMs = 10_000;

export interface ControlFollowerOptions {
  readonly client: KafkaClient;
  readonly source: string;
  readonly flags: CaptureSettings;
  readonly logger: KafkaLogger;
  readonly onSettings: (settings: SettingsInForce) => void;
}

export class ControlFollower {
  readonly #options: ControlFollowerOptions;
  #reader: ControlReader | null = null;
  #closed = false;
  #said = false;

  constructor(options: ControlFollowerOptions) {
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
    const { client, source, logger } = this.#options;
    this.#reader = await ControlReader.start({
      client,
      source,
      logger,
      onChange: (state) => this.#tell(state),
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

  #tell({ control, revision }: ControlState): void {
    const { flags, onSettings } = this.#options;
    onSettings({ ...settingsInForce(flags, control), revision: revision === null ? null : String(revision) });
  }

  #say(details: object, message: string): void {
    const { logger } = this.#options;
    if (this.#said) logger.debug(details, message);
    else logger.info(details, message);
    this.#said = true;
  }
}
