// What replayers of one mirror tell each other, with ordered pacing, of how far they are: a record each time it moved, newest wins.
//
//   topic  <environment>.<mirror>.progress, one partition, kept for minutes
//   value  JSON: {"v": 1, "instance": "…", "partitions": [0, 2], "placeUs": 17…, "sources": [{"key": "…", "seq": 12, …}]}
import { progressTopic } from '@mirrorstream/domain';
import type { KafkaClient, KafkaLogger, Producer } from '@mirrorstream/kafka';
import type { OrderClaim } from '@mirrorstream/replay';
import { z } from 'zod';

/** Between two records while something moves; in between it gathers. */
const GATHER_MS = 2;
/** Said again although nothing moved: somebody may have joined. */
const REPEAT_MS = 500;

const claimSchema = z.object({
  v: z.literal(1),
  instance: z.string(),
  partitions: z.array(z.number().int().nonnegative()),
  placeUs: z.number(),
  sources: z.array(
    z.object({
      key: z.string(),
      clock: z.string(),
      offsetUs: z.number(),
      seq: z.number(),
      monoUs: z.number(),
      overdue: z.boolean(),
    }),
  ),
});

export interface ProgressOptions {
  readonly client: KafkaClient;
  readonly logger: KafkaLogger;
  readonly place: { readonly environment: string; readonly mirror: string; readonly run: string };
  readonly instance: string;
  readonly claim: () => OrderClaim;
  readonly onHeard: (claim: OrderClaim) => void;
  readonly onCrash: (error: Error) => void;
}

export class Progress {
  readonly #options: ProgressOptions;
  readonly #topic: string;
  readonly #producer: Producer;
  #follower: { stop(): Promise<void> } | null = null;
  #timer: NodeJS.Timeout | null = null;
  #sending = false;
  #moved = false;
  #saidAtMs = 0;
  #stopped = false;

  private constructor(options: ProgressOptions, producer: Producer) {
    this.#options = options;
    const { environment, mirror, run } = options.place;
    this.#topic = progressTopic(environment, mirror, run);
    this.#producer = producer;
  }

  /** Its topic must exist. */
  static async start(options: ProgressOptions): Promise<Progress> {
    const progress = new Progress(options, await options.client.producer());
    progress.#follower = await options.client.follow(
      [progress.#topic],
      'latest',
      (batch) => {
        for (const { value } of batch.records) progress.#hear(value);
      },
      options.onCrash,
    );
    progress.#schedule();
    return progress;
  }

  /** Others may wait for it. */
  moved(): void {
    this.#moved = true;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await Promise.all([this.#follower?.stop(), this.#producer.close()]);
  }

  #schedule(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => void this.#say().finally(() => this.#schedule()), GATHER_MS);
  }

  async #say(): Promise<void> {
    const nowMs = performance.now();
    if (this.#sending || (!this.#moved && nowMs - this.#saidAtMs < REPEAT_MS)) return;
    this.#moved = false;
    this.#saidAtMs = nowMs;
    const claim = this.#options.claim();
    if (claim.partitions.length === 0) return;
    const value = Buffer.from(JSON.stringify({ v: 1, instance: this.#options.instance, ...claim }));
    try {
      await this.#producer.send([{ topic: this.#topic, partition: 0, key: null, value }]);
    } catch (error) {
      // The next one says it all.
      this.#moved = true;
      this.#options.logger.debug({ reason: error instanceof Error ? error.message : '' }, 'progress not said');
    }
  }

  #hear(value: Buffer | null): void {
    const claim = parseClaim(value);
    if (claim !== null && claim.instance !== this.#options.instance) this.#options.onHeard(claim);
  }
}

/** Null: nothing this version understands. Who waits for it goes on after its bound. */
function parseClaim(value: Buffer | null): z.infer<typeof claimSchema> | null {
  try {
    const parsed = claimSchema.safeParse(JSON.parse(String(value)));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}
