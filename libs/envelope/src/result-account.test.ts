import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeResultAccount, encodeResultAccount } from './result-account.ts';

const result = (offset: bigint, sessionId: string, seq: number, lastPart = true, sessionEnd = false) => ({
  ref: { offset, sessionId, sessionSeq: BigInt(seq), lastPart },
  sessionEnd,
});

describe('the account of a results record', () => {
  it('says of each session how many transactions it settles, and which, and how far in the log', () => {
    const header = encodeResultAccount([
      result(7n, 'a', 3),
      result(9n, 'b', 1),
      result(7n, 'a', 4),
      result(8n, 'a', 6),
      result(8n, 'b', 2, false),
      result(8n, 'b', 0, false, true),
      result(8n, '', 0),
    ]);
    assert.deepEqual(decodeResultAccount(header), {
      upTo: 9n,
      sessions: [
        { sessionId: 'a', transactions: 3, firstSeq: 3, lastSeq: 6 },
        { sessionId: 'b', transactions: 1, firstSeq: 1, lastSeq: 1 },
      ],
    });
    assert.deepEqual(decodeResultAccount(encodeResultAccount([])), { upTo: -1n, sessions: [] });
  });

  it('is nothing to go by where it is missing or makes no sense', () => {
    const sessions = ['1', '[1,2]', '[0,1,1]', '[5,1,2]', '["1",1,1]'].map(
      (it) => `{"upTo":"1","sessions":{"a":${it}}}`,
    );
    for (const header of [undefined, '', '7', 'null', '{}', '{"upTo":"x","sessions":{}}', ...sessions])
      assert.equal(decodeResultAccount(header), null, header);
  });
});
