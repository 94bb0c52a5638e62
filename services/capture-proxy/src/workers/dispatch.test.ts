// Clients are spread evenly, whoever leaves and whoever is away.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chooseWorker } from './dispatch.ts';

const ready = (clients: number) => ({ ready: true, clients });

describe('the choice of a worker', () => {
  it('takes the one with the fewest clients', () => {
    assert.equal(chooseWorker([ready(3), ready(1), ready(2)], 1), 1);
  });

  it('goes round among equals, so that connections that end at once are shared too', () => {
    const workers = [ready(0), ready(0), ready(0)];
    let last = 2;
    const chosen = Array.from({ length: 6 }, () => {
      last = chooseWorker(workers, last) ?? -1;
      return last;
    });
    assert.deepEqual(chosen, [0, 1, 2, 0, 1, 2]);
  });

  it('leaves out workers that are not ready, however idle they are', () => {
    assert.equal(chooseWorker([{ ready: false, clients: 0 }, ready(9)], 1), 1);
  });

  it('knows when there is none', () => {
    assert.equal(chooseWorker([{ ready: false, clients: 0 }], 0), null);
  });
});
