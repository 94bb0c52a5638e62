import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readDeadLetterRequest } from './request.ts';

const read = (line: string) => {
  const { flags: _, ...request } = readDeadLetterRequest(line.split(' ').filter((word) => word !== ''));
  return request;
};

describe('the command line of dead-letter', () => {
  it('lists unless told otherwise', () => {
    assert.deepEqual(read('--mirror m'), { kind: 'list', mirror: 'm' });
    assert.deepEqual(read('list --mirror m --json'), { kind: 'list', mirror: 'm' });
  });

  it('shows one, so many bytes of it', () => {
    assert.deepEqual(read('show 3 --mirror m'), { kind: 'show', offset: 3n, bytes: 256, mirror: 'm' });
    assert.deepEqual(read('show 3 --mirror m --bytes 0'), { kind: 'show', offset: 3n, bytes: 0, mirror: 'm' });
  });

  it('tries some again, or all', () => {
    assert.deepEqual(read('retry 3 5 --mirror m'), { kind: 'retry', offsets: [3n, 5n], mirror: 'm' });
    assert.deepEqual(read('retry --all --mirror m'), { kind: 'retry', offsets: null, mirror: 'm' });
  });

  it('settles what letters do not tell of', () => {
    assert.deepEqual(read('settle --mirror m'), { kind: 'settle', mirror: 'm' });
  });

  it('says what is wrong', () => {
    const wrong: [string, RegExp][] = [
      ['list', /--mirror is missing/],
      ['list 3 --mirror m', /takes no offsets/],
      ['settle 3 --mirror m', /takes no offsets/],
      ['show --mirror m', /needs one offset/],
      ['show 3 4 --mirror m', /needs one offset/],
      ['show x --mirror m', /is no offset/],
      ['show 3 --mirror m --bytes 70000', /from 0 to 65536/],
      ['retry --mirror m', /offsets, or --all/],
      ['retry 3 --all --mirror m', /offsets, or --all/],
      ['play 3 --mirror m', /list, show, retry or settle/],
      ['list --mirror M', /not usable/],
    ];
    for (const [line, message] of wrong) assert.throws(() => read(line), { code: 'badInput', message }, line);
  });
});
