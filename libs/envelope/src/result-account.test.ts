import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeResultAccount, encodeResultAccount, settledBy } from './result-account.ts';

const result = (offset: bigint, sessionId: string, seq: number, lastPart = true, sessionEnd = false) => ({
  ref: { offset, index: 0, sessionId, sessionSeq: BigInt(seq), lastPart },
  sessionEnd,
  transactions: lastPart && !sessionEnd ? 1 : 0,
});
const anonymous = (offset: bigint, index: number, transactions: number) => {
  const { ref, ...rest } = result(offset, '', 0);
  return { ref: { ...ref, index }, ...rest, transactions };
};

describe('the account of a results record', () => {
  it('says of each session how many transactions it settles, and which, and how far in the log', () => {
    const header = encodeResultAccount([
      result(7n, 'a', 3),
      result(9n, 'b', 1),
      result(7n, 'a', 4),
      result(8n, 'a', 6),
      result(8n, 'b', 2, false),
      result(8n, 'b', 0, false, true),
    ]);
    assert.deepEqual(decodeResultAccount(header), {
      upTo: 9n,
      sessions: [
        { sessionId: 'a', transactions: 3, firstSeq: 3, lastSeq: 6 },
        { sessionId: 'b', transactions: 1, firstSeq: 1, lastSeq: 1 },
      ],
      anonymous: [],
    });
    assert.deepEqual(decodeResultAccount(encodeResultAccount([])), { upTo: -1n, sessions: [], anonymous: [] });
  });

  it('says where what has no session was, and how many transactions that is', () => {
    const header = encodeResultAccount([
      result(7n, 'a', 3),
      anonymous(8n, 0, 5),
      anonymous(6n, 0xffff_ffff, 2_000_000),
    ]);
    assert.deepEqual(decodeResultAccount(header), {
      upTo: 8n,
      sessions: [{ sessionId: 'a', transactions: 1, firstSeq: 3, lastSeq: 3 }],
      anonymous: [
        { offset: 8n, index: 0, transactions: 5 },
        { offset: 6n, index: 0xffff_ffff, transactions: 2_000_000 },
      ],
    });
    const counted = [
      result(7n, 'a', 3),
      result(7n, 'a', 4, false),
      result(7n, 'a', 4, true, true),
      anonymous(8n, 0, 5),
    ];
    assert.deepEqual(counted.map(settledBy), [1, 0, 0, 5]);
  });

  it('of a record from before places were said has none', () => {
    const account = decodeResultAccount('{"upTo":"9","sessions":{"a":[1,2,2]}}');
    assert.deepEqual(account?.anonymous, []);
  });

  it('is nothing to go by where it is missing or makes no sense', () => {
    const sessions = ['1', '[1,2]', '[0,1,1]', '[5,1,2]', '["1",1,1]'].map(
      (it) => `{"upTo":"1","sessions":{"a":${it}}}`,
    );
    const places = ['7', '[7]', '[["x",0,1]]', '[["7",-1,1]]', '[[7,0,1]]'].map(
      (it) => `{"upTo":"1","sessions":{},"anonymous":${it}}`,
    );
    for (const header of [undefined, '', '7', 'null', '{}', '{"upTo":"x","sessions":{}}', ...sessions, ...places])
      assert.equal(decodeResultAccount(header), null, header);
  });
});
