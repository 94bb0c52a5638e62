// One member of a consumer group towards its coordinator: join, sync, heartbeat, commit, leave (classic protocol, eager).
//
//   JoinGroup ─► (leader: assign) ─► SyncGroup ─► Heartbeat … ─► REBALANCE_IN_PROGRESS ─► JoinGroup …
// Each call is one attempt; what it threw tells the owner what to do next.
import { MirrorstreamError } from '@mirrorstream/domain';
import { assignPartitions, type MemberPartitions } from './assignment.ts';
import type { BrokerDirectory } from './broker-directory.ts';
import { kafkaUnavailable, protocolError, protocolErrorType } from './errors.ts';
import { kafkajs } from './patches.ts';
import type { CommitOffset, CommittedOffset, TopicPartition } from './port.ts';

/** Only members of this package understand each other's claims, so they must not mix with others in a group. */
const protocolName = 'mirrorstream-sticky-1';

export interface MembershipOptions {
  readonly group: string;
  readonly topics: readonly string[];
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
}

/** The group has moved on without this member, or wants it to join again. */
export class GroupMovedOn extends Error {
  override readonly name = 'GroupMovedOn';
  readonly type: string;
  constructor(type: string) {
    super(`the group is in another generation: ${type}`);
    this.type = type;
  }
}

interface JoinAnswer {
  readonly errorCode: number;
  readonly generationId: number;
  readonly leaderId: string;
  readonly memberId: string;
  readonly members: readonly { readonly memberId: string; readonly memberMetadata: Buffer }[];
}

const movedOn = new Set(['REBALANCE_IN_PROGRESS', 'ILLEGAL_GENERATION', 'UNKNOWN_MEMBER_ID', 'FENCED_INSTANCE_ID']);
const lostCoordinator = new Set(['NOT_COORDINATOR_FOR_GROUP', 'GROUP_COORDINATOR_NOT_AVAILABLE']);

export class GroupMembership {
  readonly #directory: BrokerDirectory;
  readonly #options: MembershipOptions;
  #coordinator: number | undefined;
  #memberId = '';
  #generationId = -1;
  #owned: MemberPartitions = {};
  #joining = false;

  constructor(directory: BrokerDirectory, options: MembershipOptions) {
    this.#directory = directory;
    this.#options = options;
  }

  /** Joins and learns what is assigned. May take as long as the rebalance timeout. */
  async join(): Promise<readonly TopicPartition[]> {
    this.#joining = true;
    try {
      const joined = await this.#joinGroup();
      this.#memberId = joined.memberId;
      this.#generationId = joined.generationId;
      const groupAssignment = joined.leaderId === joined.memberId ? await this.#assign(joined) : [];
      const answer = await this.#ask<{ readonly errorCode: number; readonly memberAssignment: Buffer }>('SyncGroup', {
        generationId: this.#generationId,
        memberId: this.#memberId,
        groupAssignment,
      });
      this.#check(answer.errorCode);
      this.#owned = kafkajs().MemberAssignment.decode(answer.memberAssignment)?.assignment ?? {};
    } finally {
      this.#joining = false;
    }
    return Object.entries(this.#owned).flatMap(([topic, partitions]) =>
      partitions.map((partition) => ({ topic, partition })),
    );
  }

  async heartbeat(): Promise<void> {
    const { errorCode } = await this.#ask<{ readonly errorCode: number }>('Heartbeat', {
      memberId: this.#memberId,
      groupGenerationId: this.#generationId,
    });
    this.#check(errorCode);
  }

  async commit(offsets: readonly CommitOffset[]): Promise<void> {
    const answer = await this.#ask<CommitAnswer>('OffsetCommit', {
      memberId: this.#memberId,
      groupGenerationId: this.#generationId,
      retentionTime: '-1',
      topics: committedTopics(offsets),
    });
    for (const { errorCode } of answer.responses.flatMap(({ partitions }) => partitions)) this.#check(errorCode);
  }

  committed(partitions: readonly TopicPartition[]): Promise<readonly CommittedOffset[]> {
    return this.#withCoordinator((coordinator) =>
      fetchCommitted(this.#directory, coordinator, this.#options.group, partitions),
    );
  }

  /** Says good-bye, so that the others need not wait for the session timeout. */
  async leave(): Promise<void> {
    if (this.#memberId === '') return;
    // A broker answers one request of a connection at a time: a join that waits for others would hold up the good-bye.
    if (this.#joining) this.dropCoordinator();
    await this.#ask('LeaveGroup', { memberId: this.#memberId });
    this.#memberId = '';
  }

  /** Cuts the connection to the coordinator, which may be dead without knowing; what is under way on it fails. */
  dropCoordinator(): void {
    if (this.#coordinator !== undefined) this.#directory.drop(this.#coordinator);
  }

  /** Forgets the member id: the next join is a newcomer's. */
  forgetMember(): void {
    this.#memberId = '';
  }

  async #joinGroup(): Promise<JoinAnswer> {
    const request = () =>
      this.#ask<JoinAnswer>('JoinGroup', {
        sessionTimeout: this.#options.sessionTimeoutMs,
        rebalanceTimeout: this.#options.rebalanceTimeoutMs,
        memberId: this.#memberId,
        protocolType: 'consumer',
        groupProtocols: [{ name: protocolName, metadata: this.#metadata() }],
      });
    let answer = await request();
    if (protocolErrorType(answer.errorCode) === 'MEMBER_ID_REQUIRED') {
      this.#memberId = answer.memberId;
      answer = await request();
    }
    this.#check(answer.errorCode);
    return answer;
  }

  #metadata(): Buffer {
    const userData = Buffer.from(JSON.stringify(this.#owned));
    return kafkajs().MemberMetadata.encode({ version: 0, topics: [...this.#options.topics], userData });
  }

  async #assign(joined: JoinAnswer): Promise<object[]> {
    const members = joined.members.map(({ memberId, memberMetadata }) => {
      const { topics, userData } = kafkajs().MemberMetadata.decode(memberMetadata);
      return { memberId, topics, owned: readOwned(userData) };
    });
    const topics = [...new Set(members.flatMap((member) => member.topics))];
    const counts = await this.#directory.partitionCounts(topics);
    const missing = topics.filter((topic) => !counts.has(topic));
    // Going on without it would leave it unread until somebody joins: better try again.
    if (missing.length > 0) throw kafkaUnavailable(`topic ${missing.join(', ')} is not known to Kafka yet`);
    return [...assignPartitions(members, counts)].map(([memberId, assignment]) => ({
      memberId,
      memberAssignment: kafkajs().MemberAssignment.encode({ version: 0, assignment }),
    }));
  }

  async #ask<T>(api: Parameters<BrokerDirectory['ask']>[1], args: object): Promise<T> {
    return this.#withCoordinator((coordinator) =>
      this.#directory.ask<T>(coordinator, api, { groupId: this.#options.group, ...args }),
    );
  }

  async #withCoordinator<T>(work: (coordinator: number) => Promise<T>): Promise<T> {
    this.#coordinator ??= await this.#directory.coordinator(this.#options.group);
    try {
      return await work(this.#coordinator);
    } catch (error) {
      this.#coordinator = undefined;
      throw error;
    }
  }

  #check(errorCode: number): void {
    if (errorCode === 0) return;
    const type = protocolErrorType(errorCode);
    if (lostCoordinator.has(type)) this.#coordinator = undefined;
    if (type === 'UNKNOWN_MEMBER_ID') this.#memberId = '';
    if (movedOn.has(type)) throw new GroupMovedOn(type);
    throw protocolError(type, `group ${this.#options.group}`);
  }
}

/** Claims are another process's words: what cannot be read claims nothing. */
function readOwned(userData: Buffer | null): MemberPartitions {
  try {
    const claims: unknown = JSON.parse(userData?.toString() ?? '{}');
    if (typeof claims !== 'object' || claims === null) return {};
    const isClaim = ([, partitions]: [string, unknown]): boolean =>
      Array.isArray(partitions) && partitions.every((partition) => Number.isInteger(partition));
    return Object.fromEntries(Object.entries(claims).filter(isClaim)) as MemberPartitions;
  } catch {
    return {};
  }
}

function byTopic<T extends TopicPartition>(entries: readonly T[], partition: (entry: T) => object): object[] {
  const topics = new Map<string, object[]>();
  for (const entry of entries) topics.set(entry.topic, [...(topics.get(entry.topic) ?? []), partition(entry)]);
  return [...topics].map(([topic, partitions]) => ({ topic, partitions }));
}

interface OffsetFetchAnswer {
  readonly errorCode?: number;
  readonly responses: readonly {
    readonly topic: string;
    readonly partitions: readonly {
      readonly partition: number;
      readonly offset: string;
      readonly metadata: string | null;
      readonly errorCode: number;
    }[];
  }[];
}

/** What a group has committed; `offset: null` where nothing. One attempt. */
interface CommitAnswer {
  readonly responses: readonly { readonly partitions: readonly { readonly errorCode: number }[] }[];
}

const committedTopics = (offsets: readonly CommitOffset[]) =>
  byTopic(offsets, ({ partition, offset, metadata }) => ({
    partition,
    offset: offset.toString(),
    metadata: metadata ?? '',
  }));

/** For a group without members. The broker refuses it otherwise: `UNKNOWN_MEMBER_ID`, as `badInput`. */
export async function setCommitted(
  directory: BrokerDirectory,
  coordinator: number,
  group: string,
  offsets: readonly CommitOffset[],
): Promise<void> {
  const answer = await directory.ask<CommitAnswer>(coordinator, 'OffsetCommit', {
    groupId: group,
    memberId: '',
    groupGenerationId: -1,
    retentionTime: '-1',
    topics: committedTopics(offsets),
  });
  const failed = answer.responses.flatMap(({ partitions }) => partitions).find(({ errorCode }) => errorCode !== 0);
  if (failed === undefined) return;
  const type = protocolErrorType(failed.errorCode);
  if (type !== 'UNKNOWN_MEMBER_ID') throw protocolError(type, `setting the commits of group ${group}`);
  throw new MirrorstreamError('badInput', `group ${group} has members, which would go on from where they are`, {
    stage: 'kafka',
    hint: 'Stop them first; they begin at the new place when they are started again.',
  });
}

export async function fetchCommitted(
  directory: BrokerDirectory,
  coordinator: number,
  group: string,
  partitions: readonly TopicPartition[],
): Promise<readonly CommittedOffset[]> {
  const topics = byTopic(partitions, ({ partition }) => ({ partition }));
  const answer = await directory.ask<OffsetFetchAnswer>(coordinator, 'OffsetFetch', { groupId: group, topics });
  const codes = [answer.errorCode ?? 0, ...answer.responses.flatMap((each) => each.partitions.map((p) => p.errorCode))];
  const failed = codes.find((code) => code !== 0);
  if (failed !== undefined) throw protocolError(protocolErrorType(failed), `reading the commits of group ${group}`);
  return answer.responses.flatMap(({ topic, partitions: found }) =>
    found.map(({ partition, offset, metadata }) => ({
      topic,
      partition,
      offset: BigInt(offset) < 0n ? null : BigInt(offset),
      metadata: metadata ?? '',
    })),
  );
}

/** Whether the error says that the group has moved on. */
export const isMovedOn = (error: unknown): error is GroupMovedOn => error instanceof GroupMovedOn;

/** For callers that commit: the group's moves are `kafkaUnavailable` to them. */
export function asCommitError(error: unknown): MirrorstreamError {
  if (error instanceof MirrorstreamError) return error;
  return kafkaUnavailable(`the commit came too late: ${(error as Error).message}`, error);
}
