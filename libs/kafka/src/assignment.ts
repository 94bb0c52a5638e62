// Which member of a group reads which partition: evenly, and as far as possible where it was read before.

export interface GroupMember {
  readonly memberId: string;
  readonly topics: readonly string[];
  /** What it owned in the generation before, by topic. */
  readonly owned: Readonly<Record<string, readonly number[]>>;
}

/** Partitions by topic. */
export type MemberPartitions = Record<string, number[]>;

/** Deterministic. Each partition goes to exactly one of the members that subscribe to its topic. */
export function assignPartitions(
  members: readonly GroupMember[],
  partitionCounts: ReadonlyMap<string, number>,
): ReadonlyMap<string, MemberPartitions> {
  const assigned = new Map<string, MemberPartitions>();
  const load = new Map<string, number>();
  const sorted = [...members].sort((a, b) => (a.memberId < b.memberId ? -1 : 1));
  for (const { memberId } of sorted) {
    assigned.set(memberId, {});
    load.set(memberId, 0);
  }
  for (const topic of [...partitionCounts.keys()].sort()) {
    const subscribers = sorted.filter(({ topics }) => topics.includes(topic));
    if (subscribers.length > 0) assignTopic(topic, partitionCounts.get(topic) as number, subscribers, assigned, load);
  }
  return assigned;
}

function assignTopic(
  topic: string,
  partitionCount: number,
  subscribers: readonly GroupMember[],
  assigned: ReadonlyMap<string, MemberPartitions>,
  load: Map<string, number>,
): void {
  const floor = Math.floor(partitionCount / subscribers.length);
  let larger = partitionCount % subscribers.length; // so many members get one more
  const given = new Map<string, number[]>(subscribers.map(({ memberId }) => [memberId, []]));
  const free = new Set(Array.from({ length: partitionCount }, (_, partition) => partition));
  // Who owned most keeps most; of two that claim the same partition the first keeps it.
  const claims = subscribers.map((member) => ({ member, owned: member.owned[topic] ?? [] }));
  for (const { member, owned } of claims.sort((a, b) => b.owned.length - a.owned.length)) {
    const mine = given.get(member.memberId) as number[];
    for (const partition of [...owned].sort((a, b) => a - b)) {
      if (!free.has(partition)) continue;
      if (mine.length >= floor && (mine.length > floor || larger === 0)) break;
      if (mine.length === floor) larger--;
      mine.push(partition);
      free.delete(partition);
    }
  }
  for (const partition of free) {
    const least = subscribers
      .map(({ memberId }) => ({ memberId, mine: given.get(memberId) as number[] }))
      .reduce((a, b) => (compareLoad(a, b, load) <= 0 ? a : b));
    least.mine.push(partition);
  }
  for (const [memberId, partitions] of given) {
    if (partitions.length === 0) continue;
    (assigned.get(memberId) as MemberPartitions)[topic] = partitions.sort((a, b) => a - b);
    load.set(memberId, (load.get(memberId) as number) + partitions.length);
  }
}

interface Candidate {
  readonly memberId: string;
  readonly mine: readonly number[];
}

/** Fewest of this topic first, then fewest of all topics. */
function compareLoad(a: Candidate, b: Candidate, load: ReadonlyMap<string, number>): number {
  return a.mine.length - b.mine.length || (load.get(a.memberId) as number) - (load.get(b.memberId) as number);
}
