// Opens the way to Kafka: the one place that knows which client stands behind the port.
import { DirectAdmin } from './admin.ts';
import { BrokerDirectory } from './broker-directory.ts';
import { type ConnectionSettings, connectionSettings } from './connection.ts';
import { startGroupConsumer } from './group-consumer.ts';
import { type KafkaLogger, silentLogger } from './logging.ts';
import type {
  Admin,
  GroupConsumer,
  GroupConsumerHandlers,
  GroupConsumerOptions,
  IncomingBatch,
  KafkaClient,
  KafkaConnectionOptions,
  Producer,
  ProducerOptions,
} from './port.ts';
import { DirectProducer } from './producer.ts';
import { Follower, type OffsetRange, readRange } from './range-reader.ts';

/**
 * Checks the options and reads the files they name (`badInput`); opens nothing yet. Producers and admins open connections
 * when first used, so they are there at once even while Kafka is away.
 */
export function connectKafka(options: KafkaConnectionOptions, logger: KafkaLogger = silentLogger): KafkaClient {
  return new KafkajsClient(connectionSettings(options, logger), logger);
}

/**
 * Each producer, consumer, follower and admin has connections of its own: a request that waits at the broker (Fetch,
 * JoinGroup) holds up everything behind it on its connection.
 */
class KafkajsClient implements KafkaClient {
  readonly #settings: ConnectionSettings;
  readonly #logger: KafkaLogger;
  readonly #closing = new AbortController();
  readonly #open = new Set<() => Promise<void>>();

  constructor(settings: ConnectionSettings, logger: KafkaLogger) {
    this.#settings = settings;
    this.#logger = logger;
  }

  async producer(options: ProducerOptions = {}): Promise<Producer> {
    const producer = new DirectProducer(this.#directory(), options);
    this.#open.add(() => producer.close());
    return producer;
  }

  async admin(): Promise<Admin> {
    const admin = new DirectAdmin(this.#directory());
    this.#open.add(() => admin.close());
    return admin;
  }

  async consume(options: GroupConsumerOptions, handlers: GroupConsumerHandlers): Promise<GroupConsumer> {
    const consumer = startGroupConsumer(this.#directory(), options, handlers, this.#logger);
    this.#open.add(() => consumer.stop());
    await consumer.started;
    return consumer;
  }

  readRange(topic: string, ranges: readonly OffsetRange[], onBatch: (batch: IncomingBatch) => void): Promise<void> {
    return readRange(this.#directory(), topic, ranges, onBatch, this.#logger, this.#closing.signal);
  }

  async follow(
    topics: readonly string[],
    from: 'earliest' | 'latest',
    onBatch: (batch: IncomingBatch) => void,
    onCrash: (error: Error) => void,
  ): Promise<{ caughtUp(): Promise<void>; stop(): Promise<void> }> {
    const follower = new Follower(this.#directory(), topics, onBatch, onCrash, this.#logger);
    this.#open.add(() => follower.stop());
    await follower.start(from);
    return follower;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    const open = [...this.#open];
    this.#open.clear();
    await Promise.allSettled(open.map((close) => close()));
  }

  #directory(): BrokerDirectory {
    return new BrokerDirectory(this.#settings, this.#logger);
  }
}
