import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seededRandom } from '@mirrorstream/testkit';
import { assignPartitions, type GroupMember } from './assignment.ts';

const member = (memberId: string, owned: Record<string, number[]> = {}, topics = ['t']): GroupMember => ({
  memberId,
  topics,
  owned,
});
const plain = (members: GroupMember[], counts: Record<string, number>) =>
  Object.fromEntries(assignPartitions(members, new Map(Object.entries(counts))));

describe('the assignment of partitions', () => {
  it('gives all to the only member', () => {
    assert.deepEqual(plain([member('a')], { t: 3 }), { a: { t: [0, 1, 2] } });
  });

  it('takes from the old member only what the new one needs', () => {
    const { a, b } = plain([member('a', { t: [0, 1, 2, 3] }), member('b')], { t: 4 });
    assert.deepEqual([a, b], [{ t: [0, 1] }, { t: [2, 3] }]);
  });

  it('leaves everything where it is when nothing has changed', () => {
    const owned = { a: { t: [1, 4] }, b: { t: [0, 2, 3] } };
    assert.deepEqual(plain([member('a', owned.a), member('b', owned.b)], { t: 5 }), owned);
  });

  it('gives what a member left to the others, and lets them keep theirs', () => {
    const result = plain([member('a', { t: [0, 3] }), member('c', { t: [2, 5] })], { t: 6 });
    for (const partition of [0, 3]) assert.ok(result['a']?.['t']?.includes(partition));
    for (const partition of [2, 5]) assert.ok(result['c']?.['t']?.includes(partition));
  });

  it('gives a topic only to its subscribers, and members beyond the partitions nothing', () => {
    const result = plain([member('a', {}, ['t', 'u']), member('b'), member('c')], { t: 1, u: 2 });
    assert.deepEqual(result, { a: { t: [0], u: [0, 1] }, b: {}, c: {} });
  });

  it('assigns each partition once, evenly, and keeps as much as evenness allows, whatever was claimed', () => {
    for (let seed = 1; seed <= 200; seed++) {
      const random = seededRandom(seed);
      const partitions = random.integer(1, 20);
      const members = Array.from({ length: random.integer(1, 6) }, (_, at) => {
        const claims = Array.from({ length: random.integer(0, partitions) }, () => random.integer(-1, partitions + 2));
        return member(`m${at}`, { t: claims });
      });
      const result = plain(members, { t: partitions });
      const lists = Object.values(result).map(({ t }) => t ?? []);
      assert.deepEqual(
        lists.flat().sort((a, b) => a - b),
        Array.from({ length: partitions }, (_, at) => at),
        `seed ${seed}`,
      );
      const sizes = lists.map(({ length }) => length);
      assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1, `seed ${seed}: ${sizes}`);
    }
  });
});
