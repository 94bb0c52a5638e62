// Publishes this incarnation's snapshots to the status topic: when something changed, never two at once, the newest only.
import { type CaptureSnapshot, snapshotKey, statusTopic } from '@mirrorstream/domain';
import type { Producer } from '@mirrorstream/kafka';

const intervalMs = 500;
/** Unchanged snapshots are repeated this often, so that a reader can tell a quiet proxy from a dead one. */
const repeatMs = 5_000;

export class StatusFeed {
  readonly #producer: Pick<Producer, 'send'>;
  readonly #take: (atMs: number) => CaptureSnapshot;
  readonly #timer: NodeJS.Timeout;
  #sending: Promise<unknown> = Promise.resolve();
  #idle = true;
  #lastText = '';
  #lastAtMs = 0;

  constructor(producer: Pick<Producer, 'send'>, take: (atMs: number) => CaptureSnapshot) {
    this.#producer = producer;
    this.#take = take;
    this.#timer = setInterval(() => this.#publishIfChanged(), intervalMs);
  }

  /** After what is under way. Rejects as `send` does. */
  publish(snapshot: CaptureSnapshot): Promise<void> {
    const value = Buffer.from(JSON.stringify(snapshot));
    const send = async (): Promise<void> => {
      await this.#producer.send([{ topic: statusTopic, partition: 0, key: snapshotKey(snapshot), value }]);
    };
    const sent = this.#sending.then(send, send);
    this.#sending = sent.catch(() => undefined);
    return sent;
  }

  /** No more of its own accord; what is under way is awaited. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#sending;
  }

  #publishIfChanged(): void {
    if (!this.#idle) return;
    const atMs = Date.now();
    const snapshot = this.#take(atMs);
    const text = JSON.stringify({ ...snapshot, atMs: 0 });
    if (text === this.#lastText && atMs - this.#lastAtMs < repeatMs) return;
    this.#idle = false;
    this.publish(snapshot)
      .then(() => {
        this.#lastText = text;
        this.#lastAtMs = atMs;
      })
      .catch(() => undefined) // Kafka is away: the batcher says so, and the next snapshot holds all that this one did
      .finally(() => {
        this.#idle = true;
      });
  }
}
