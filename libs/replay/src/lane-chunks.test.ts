// Chunks of the mirror's answer lie in memory that the next chunk is read into.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { backend, envelope, frontend, LaneStage, query, ready, row, tag } from './lane.fixture.ts';

const captured = backend(row('1'), tag('SELECT 1'), ready());
const notice = backend({ kind: 'noticeResponse', fields: { S: 'NOTICE', C: '00000', M: 'between' } });
const answer = [backend(row('a')), notice, backend(row('b'), tag('SELECT 2'), ready())];
const whole = Buffer.concat(answer);

describe('an answer in chunks of the same memory', () => {
  for (const sizeBytes of [1, 3, 7, 16, 31, whole.length]) {
    it(`is kept whole for a difference, ${sizeBytes} bytes at a time`, () => {
      const stage = new LaneStage();
      stage.take(envelope({ seq: 1 }, { request: frontend(query('SELECT')), answer: captured }));
      stage.connect();
      const memory = Buffer.alloc(sizeBytes);
      for (let from = 0; from < whole.length; from += sizeBytes) {
        const size = whole.copy(memory, 0, from, Math.min(from + sizeBytes, whole.length));
        stage.step({ kind: 'bytes', chunk: memory.subarray(0, size) });
        memory.fill(0xee);
      }
      const statement = stage.results()[0]?.statements[0];
      assert.equal(statement?.equal, false);
      assert.equal(statement.replayed.rows, 2);
      // Notices are no part of an answer.
      const expected = Buffer.concat([answer[0] as Uint8Array, answer[2] as Uint8Array]);
      assert.deepEqual(Buffer.from(statement.replayedRaw), expected);
    });
  }
});
