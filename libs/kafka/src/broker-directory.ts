// Who leads which partition and who coordinates which group, with an open connection to each. Knows nothing of retries:
// a failed call throws, and leaves the directory in a state from which the next call starts afresh.

import type { MirrorstreamError } from '@mirrorstream/domain';
import type { ConnectionSettings } from './connection.ts';
import { asKafkaError, kafkaUnavailable, protocolError, protocolErrorType } from './errors.ts';
import type { ApiName, KafkajsBroker } from './kafkajs-internals.ts';
import { type KafkaLogger, kafkajsLogger } from './logging.ts';
import { kafkajs } from './patches.ts';
import type { RequestBody } from './produce-request.ts';
import { within } from './waiting.ts';

/** The layout is asked for anew at least this often. */
const layoutMaxAgeMs = 60_000;
/** A topic that a broker does not know may be one it has not learnt of yet; after this it does not exist. */
const unknownTopicGraceMs = 5_000;

interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Node extends Address {
  readonly nodeId: number;
}

export type TopicAnswer =
  /** Leader by partition; `null` while none is elected. */
  | { readonly kind: 'known'; readonly leaders: ReadonlyMap<number, number | null> }
  | { readonly kind: 'refused'; readonly error: MirrorstreamError };

interface MetadataAnswer {
  readonly brokers: readonly Node[];
  readonly topicMetadata: readonly {
    readonly topicErrorCode: number;
    readonly topic: string;
    readonly partitionMetadata: readonly { readonly partitionId: number; readonly leader: number }[];
  }[];
}

export class BrokerDirectory {
  readonly settings: ConnectionSettings;
  readonly #logger: KafkaLogger;
  readonly #topics = new Set<string>();
  #nodes = new Map<number, Node>();
  #layout: ReadonlyMap<string, TopicAnswer> = new Map();
  #layoutAtMs = 0;
  #refreshing: Promise<void> | undefined;
  #nextSeed = 0;
  readonly #brokers = new Map<string, KafkajsBroker>(); // by host:port
  readonly #unknownSinceMs = new Map<string, number>();
  #closed = false;

  constructor(settings: ConnectionSettings, logger: KafkaLogger) {
    this.settings = settings;
    this.#logger = logger;
  }

  /**
   * Leaders by partition, at most layoutMaxAgeMs old. A topic Kafka will not give is `refused`; what concerns the
   * connection is thrown.
   */
  async layout(topic: string): Promise<TopicAnswer> {
    while (!this.#topics.has(topic) || Date.now() - this.#layoutAtMs > layoutMaxAgeMs) {
      this.#topics.add(topic);
      this.#refreshing ??= this.#refresh([...this.#topics]).finally(() => {
        this.#refreshing = undefined;
      });
      await this.#refreshing;
      if (this.#layout.has(topic)) break;
    }
    return this.#layout.get(topic) ?? this.#unknown(topic);
  }

  /** The layout may be outdated: the next one is asked for anew. */
  markStale(): void {
    this.#layoutAtMs = 0;
  }

  /** Which of these topics exist, with their partition counts; does not wait for those that do not. */
  async partitionCounts(topics: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const answer = await this.#askMetadata(topics);
    const counts = new Map<string, number>();
    for (const { topicErrorCode, topic, partitionMetadata } of answer.topicMetadata) {
      const type = protocolErrorType(topicErrorCode);
      if (topicErrorCode === 0 || type === 'LEADER_NOT_AVAILABLE') counts.set(topic, partitionMetadata.length);
      else if (type !== 'UNKNOWN_TOPIC_OR_PARTITION') throw protocolError(type, `reading the layout of topic ${topic}`);
    }
    return counts;
  }

  /** Sends one request to a broker, its body encoded by kafkajs or by `encode`, and returns the answer, error codes and all. */
  async ask<T>(nodeId: number, api: ApiName, args: object, encode?: () => Promise<RequestBody>): Promise<T> {
    const node = this.#nodes.get(nodeId);
    if (node === undefined) {
      this.markStale();
      throw kafkaUnavailable(`broker ${nodeId} is not in the cluster's metadata`);
    }
    return this.#askAt<T>(node, api, args, encode);
  }

  /** As `ask`, to whichever broker answers. */
  async askAny<T>(api: ApiName, args: object): Promise<T> {
    let failure: unknown;
    for (const at of this.#candidates()) {
      try {
        return await this.#askAt<T>(at, api, args);
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  /** The broker that coordinates a group. */
  async coordinator(group: string): Promise<number> {
    const answer = await this.askAny<{
      readonly errorCode: number;
      readonly coordinator: { readonly nodeId: number; readonly host: string; readonly port: number };
    }>('GroupCoordinator', { groupId: group, coordinatorType: 0 });
    if (answer.errorCode !== 0) {
      throw protocolError(protocolErrorType(answer.errorCode), `finding the coordinator of group ${group}`);
    }
    this.#nodes.set(answer.coordinator.nodeId, answer.coordinator);
    return answer.coordinator.nodeId;
  }

  /** Cuts the connections to a broker: what is under way there fails, and the next request opens new ones. */
  drop(nodeId: number): void {
    const node = this.#nodes.get(nodeId);
    if (node !== undefined) this.#cut(`${node.host}:${node.port}`);
  }

  /** Lets requests under way end for graceMs, then cuts. */
  async close(graceMs: number): Promise<void> {
    this.#closed = true;
    const brokers = [...this.#brokers.values()];
    await within(graceMs, Promise.allSettled(brokers.map((broker) => broker.disconnect())));
    for (const key of [...this.#brokers.keys()]) this.#cut(key);
  }

  #unknown(topic: string): TopicAnswer {
    const sinceMs = this.#unknownSinceMs.get(topic) ?? Date.now();
    this.#unknownSinceMs.set(topic, sinceMs);
    this.markStale();
    if (Date.now() - sinceMs < unknownTopicGraceMs) throw kafkaUnavailable(`topic ${topic} is not known to Kafka yet`);
    return { kind: 'refused', error: protocolError('UNKNOWN_TOPIC', `topic ${topic}`) };
  }

  async #refresh(topics: readonly string[]): Promise<void> {
    const answer = await this.#askMetadata(topics);
    this.#nodes = new Map(answer.brokers.map((node) => [node.nodeId, node]));
    const layout = new Map<string, TopicAnswer>();
    let complete = true;
    for (const { topicErrorCode, topic, partitionMetadata } of answer.topicMetadata) {
      const type = protocolErrorType(topicErrorCode);
      if (type === 'UNKNOWN_TOPIC_OR_PARTITION') continue;
      this.#unknownSinceMs.delete(topic);
      const leaders = new Map(
        partitionMetadata.map((each) => [each.partitionId, each.leader < 0 ? null : each.leader]),
      );
      complete &&= topicErrorCode === 0 && ![...leaders.values()].includes(null);
      const error = protocolError(type, `topic ${topic}`);
      const refused = topicErrorCode !== 0 && error.code === 'kafkaRefused';
      layout.set(topic, refused ? { kind: 'refused', error } : { kind: 'known', leaders });
    }
    this.#layout = layout;
    this.#layoutAtMs = complete ? Date.now() : 0;
    this.#forgetOthers();
  }

  /** Connections to addresses that the cluster no longer names. */
  #forgetOthers(): void {
    const named = new Set(
      [...this.#nodes.values(), ...this.settings.brokers].map(({ host, port }) => `${host}:${port}`),
    );
    for (const key of [...this.#brokers.keys()]) if (!named.has(key)) this.#cut(key);
  }

  #askMetadata(topics: readonly string[]): Promise<MetadataAnswer> {
    return this.askAny<MetadataAnswer>('Metadata', { topics, allowAutoTopicCreation: false });
  }

  /** Known brokers, connected ones first, then the configured ones, each time another of them first. */
  #candidates(): { host: string; port: number }[] {
    const connected = (node: Node): number => (this.#brokers.get(`${node.host}:${node.port}`)?.isConnected() ? 0 : 1);
    const known = [...this.#nodes.values()].sort((a, b) => connected(a) - connected(b));
    const seeds = this.settings.brokers;
    const from = this.#nextSeed++ % seeds.length;
    const all = [...known, ...seeds.slice(from), ...seeds.slice(0, from)];
    const seen = new Set<string>();
    return all.filter(({ host, port }) => !seen.has(`${host}:${port}`) && seen.add(`${host}:${port}`));
  }

  async #askAt<T>(at: Address, api: ApiName, args: object, encode?: () => Promise<RequestBody>): Promise<T> {
    const key = `${at.host}:${at.port}`;
    if (this.#closed) throw kafkaUnavailable('the connection to Kafka is closed');
    const broker = this.#brokers.get(key) ?? this.#create(key, at);
    try {
      if (!broker.isConnected()) await broker.connect();
      const internals = kafkajs();
      const made = broker.lookupRequest(internals.apiKeys[api] as number, internals.requests[api])(args);
      const response = { decode: made.response.decode, parse: async (decoded: unknown) => decoded };
      const request = encode === undefined ? made.request : { ...made.request, encode };
      return (await broker.connectionPool.send({ ...made, request, response })) as T;
    } catch (error) {
      // Whatever failed, this connection is not trusted again: an answer that came too late would be taken for another's.
      if (this.#brokers.get(key) === broker) this.#cut(key);
      this.markStale();
      throw asKafkaError(error, `asking Kafka at ${key} (${api})`);
    }
  }

  #create(key: string, at: Address): KafkajsBroker {
    const { Broker, ConnectionPool } = kafkajs();
    const logger = kafkajsLogger(this.#logger);
    const connectionPool = new ConnectionPool({
      ...this.settings.pool,
      host: at.host,
      port: at.port,
      rack: null,
      logger,
    });
    const broker = new Broker({ connectionPool, logger, allowAutoTopicCreation: false });
    this.#brokers.set(key, broker);
    return broker;
  }

  #cut(key: string): void {
    const broker = this.#brokers.get(key);
    this.#brokers.delete(key);
    if (broker === undefined) return;
    for (const { socket } of broker.connectionPool.pool) {
      if (socket !== undefined && !socket.destroyed) socket.destroy(new Error('the connection was given up'));
    }
  }
}
