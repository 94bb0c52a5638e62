// Topics and offsets: what is set up once, and what lag is computed from.
import { MirrorstreamError } from '@mirrorstream/domain';
import type { BrokerDirectory } from './broker-directory.ts';
import { asKafkaError, kafkaUnavailable, protocolError, protocolErrorType } from './errors.ts';
import { fetchCommitted, setCommitted } from './group-membership.ts';
import { listOffsets, type OffsetAt } from './list-offsets.ts';
import type { Admin, CommitOffset, CommittedOffset, PartitionOffsets, TopicSpec } from './port.ts';
import { backoffMs, pause } from './waiting.ts';

const retryMinMs = 100;
const retryMaxMs = 1_000;
const createTimeoutMs = 10_000;
const closeGraceMs = 300;
const topicResource = 2; // DescribeConfigs: resource type TOPIC

/** Each call tries again for as long as the request timeout. */
export class DirectAdmin implements Admin {
  readonly #directory: BrokerDirectory;
  readonly #stopping = new AbortController();

  constructor(directory: BrokerDirectory) {
    this.#directory = directory;
  }

  async ensureTopics(specs: readonly TopicSpec[]): Promise<void> {
    await this.#patiently('creating topics', async () => {
      const counts = await this.#directory.partitionCounts(specs.map(({ topic }) => topic));
      for (const spec of specs) checkPartitions(spec, counts.get(spec.topic));
      const missing = specs.filter(({ topic }) => !counts.has(topic));
      if (missing.length === 0) return;
      await this.#create(missing);
      // Created is not yet known everywhere: the next look must find them, with leaders.
      throw kafkaUnavailable(`topic ${missing.map(({ topic }) => topic).join(', ')} is not ready yet`);
    });
    await this.#patiently('waiting for leaders', async () => {
      for (const { topic } of specs) {
        const layout = await this.#directory.layout(topic);
        if (layout.kind === 'refused') throw layout.error;
        if ([...layout.leaders.values()].includes(null)) throw kafkaUnavailable(`topic ${topic} has no leaders yet`);
      }
    });
  }

  partitionCounts(topics: readonly string[]): Promise<ReadonlyMap<string, number>> {
    return this.#patiently('looking up topics', () => this.#directory.partitionCounts(topics));
  }

  topicConfig(topic: string): Promise<ReadonlyMap<string, string>> {
    return this.#patiently('reading topic settings', async () => {
      const answer = await this.#directory.askAny<{
        readonly resources: readonly {
          readonly errorCode: number;
          readonly configEntries: readonly { readonly configName: string; readonly configValue: string | null }[];
        }[];
      }>('DescribeConfigs', {
        resources: [{ type: topicResource, name: topic, configNames: [] }],
        includeSynonyms: false,
      });
      const found = new Map<string, string>();
      for (const { errorCode, configEntries } of answer.resources) {
        if (errorCode !== 0)
          throw protocolError(protocolErrorType(errorCode), `reading the settings of topic ${topic}`);
        for (const { configName, configValue } of configEntries) found.set(configName, configValue ?? '');
      }
      return found;
    });
  }

  async deleteTopics(topics: readonly string[]): Promise<void> {
    await this.#patiently('deleting topics', async () => {
      const existing = [...(await this.#directory.partitionCounts(topics)).keys()];
      if (existing.length === 0) return;
      const answer = await this.#directory.askAny<{
        readonly topicErrors: readonly { readonly topic: string; readonly errorCode: number }[];
      }>('DeleteTopics', { topics: existing, timeout: createTimeoutMs });
      for (const { topic, errorCode } of answer.topicErrors) {
        const type = protocolErrorType(errorCode);
        if (errorCode !== 0 && type !== 'UNKNOWN_TOPIC_OR_PARTITION')
          throw protocolError(type, `deleting topic ${topic}`);
      }
      this.#directory.markStale();
    });
  }

  async deleteRecords(topic: string, before: ReadonlyMap<number, bigint>): Promise<void> {
    await this.#patiently(`deleting records of topic ${topic}`, async () => {
      const layout = await this.#directory.layout(topic);
      if (layout.kind === 'refused') throw layout.error;
      for (const [partition, offset] of before) {
        const leader = layout.leaders.get(partition);
        if (leader === undefined || leader === null) {
          this.#directory.markStale();
          throw kafkaUnavailable(`${topic}/${partition} has no leader at the moment`);
        }
        const topics = [{ topic, partitions: [{ partition, offset: offset.toString() }] }];
        const answer = await this.#directory.ask<{
          readonly topics: readonly { readonly partitions: readonly { readonly errorCode: number }[] }[];
        }>(leader, 'DeleteRecords', { topics, timeout: createTimeoutMs });
        for (const { errorCode } of answer.topics.flatMap(({ partitions }) => partitions))
          if (errorCode !== 0)
            throw protocolError(protocolErrorType(errorCode), `deleting records of ${topic}/${partition}`);
      }
    });
  }

  async deleteGroups(groups: readonly string[]): Promise<void> {
    for (const group of groups) {
      await this.#patiently(`deleting group ${group}`, async () => {
        const coordinator = await this.#directory.coordinator(group);
        const answer = await this.#directory.ask<{ readonly results: readonly { readonly errorCode: number }[] }>(
          coordinator,
          'DeleteGroups',
          [group],
        );
        for (const { errorCode } of answer.results) {
          const type = protocolErrorType(errorCode);
          if (errorCode === 0 || type === 'GROUP_ID_NOT_FOUND') continue;
          if (type === 'NON_EMPTY_GROUP') throw kafkaUnavailable(`group ${group} still has members`);
          throw protocolError(type, `deleting group ${group}`);
        }
      });
    }
  }

  async offsets(topic: string): Promise<readonly PartitionOffsets[]> {
    const [low, high] = await this.#patiently('looking up offsets', async () => {
      const partitions = await this.#partitions(topic);
      return Promise.all([this.#list(topic, partitions, 'earliest'), this.#list(topic, partitions, 'latest')]);
    });
    return [...high.keys()]
      .sort((a, b) => a - b)
      .map((partition) => ({ partition, low: low.get(partition) ?? 0n, high: high.get(partition) ?? 0n }));
  }

  async offsetsByTime(topic: string, timestampMs: number): Promise<ReadonlyMap<number, bigint>> {
    const [at, end] = await this.#patiently('looking up offsets by time', async () => {
      const partitions = await this.#partitions(topic);
      return Promise.all([this.#list(topic, partitions, { timestampMs }), this.#list(topic, partitions, 'latest')]);
    });
    return new Map([...end].map(([partition, high]) => [partition, at.get(partition) ?? high ?? 0n]));
  }

  committed(group: string, topic: string): Promise<readonly CommittedOffset[]> {
    return this.#patiently(`reading the commits of group ${group}`, async () => {
      const partitions = (await this.#partitions(topic)).map((partition) => ({ topic, partition }));
      const coordinator = await this.#directory.coordinator(group);
      return fetchCommitted(this.#directory, coordinator, group, partitions);
    });
  }

  groupMembers(group: string): Promise<number> {
    return this.#patiently(`looking at group ${group}`, async () => {
      const coordinator = await this.#directory.coordinator(group);
      const answer = await this.#directory.ask<{
        readonly groups: readonly { readonly errorCode: number; readonly members: readonly unknown[] }[];
      }>(coordinator, 'DescribeGroups', { groupIds: [group] });
      const [found] = answer.groups;
      if (found === undefined) return 0;
      const type = found.errorCode === 0 ? null : protocolErrorType(found.errorCode);
      if (type !== null && type !== 'GROUP_ID_NOT_FOUND') throw protocolError(type, `looking at group ${group}`);
      return found.members.length;
    });
  }

  setCommitted(group: string, offsets: readonly CommitOffset[]): Promise<void> {
    return this.#patiently(`setting the commits of group ${group}`, async () =>
      setCommitted(this.#directory, await this.#directory.coordinator(group), group, offsets),
    );
  }

  async close(): Promise<void> {
    this.#stopping.abort();
    await this.#directory.close(closeGraceMs);
  }

  async #create(specs: readonly TopicSpec[]): Promise<void> {
    const answer = await this.#directory.askAny<{
      readonly topicErrors: readonly {
        readonly topic: string;
        readonly errorCode: number;
        readonly errorMessage: string | null;
      }[];
    }>('CreateTopics', {
      validateOnly: false,
      timeout: createTimeoutMs,
      topics: specs.map(({ topic, partitions, replicationFactor, config }) => ({
        topic,
        numPartitions: partitions,
        replicationFactor: replicationFactor ?? -1,
        configEntries: Object.entries(config).map(([name, value]) => ({ name, value })),
      })),
    });
    for (const { topic, errorCode, errorMessage } of answer.topicErrors) {
      const type = protocolErrorType(errorCode);
      if (errorCode === 0 || type === 'TOPIC_ALREADY_EXISTS') continue;
      throw protocolError(type, `creating topic ${topic}${errorMessage ? ` (${errorMessage})` : ''}`);
    }
  }

  async #partitions(topic: string): Promise<number[]> {
    const layout = await this.#directory.layout(topic);
    if (layout.kind === 'refused') throw layout.error;
    return [...layout.leaders.keys()];
  }

  #list(topic: string, partitions: readonly number[], at: OffsetAt): Promise<ReadonlyMap<number, bigint | null>> {
    return listOffsets(this.#directory, topic, partitions, at);
  }

  async #patiently<T>(doing: string, work: () => Promise<T>): Promise<T> {
    const untilMs = performance.now() + this.#directory.settings.requestTimeoutMs;
    for (let attempt = 0; ; attempt++) {
      try {
        return await work();
      } catch (error) {
        const failure = asKafkaError(error, doing);
        const waitMs = backoffMs(attempt, retryMinMs, retryMaxMs);
        if (!failure.retryable || this.#stopping.signal.aborted || performance.now() + waitMs > untilMs) throw failure;
        await pause(waitMs, this.#stopping.signal);
      }
    }
  }
}

function checkPartitions({ topic, partitions }: TopicSpec, found: number | undefined): void {
  if (found === undefined || found === partitions) return;
  throw new MirrorstreamError('badInput', `topic ${topic} has ${found} partitions, configured are ${partitions}`, {
    stage: 'kafka',
    hint: 'Configure the number the topic has, or use another name: sessions are bound to partitions, so it cannot change.',
  });
}
