// The soak, for some seconds: that its machinery finds nothing wrong, and that it would find something.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { runSoak } from '../soak/soak.ts';

it('a short soak with a standing Kafka and a drained proxy settles every connection to the byte', {
  timeout: 200_000,
}, async (t) => {
  const result = await runSoak({
    forMs: 12_000,
    seed: 4,
    faults: ['kafka-stop', 'drain'],
    clients: 8,
    workers: 1,
    spool: true,
    onProgress: () => {},
  });
  const { account, faults, load } = result;
  t.diagnostic(`${account.seen} transactions over ${account.connections} connections, ${account.clean} of them clean`);
  assert.deepEqual(result.violations, []);
  assert.equal(faults.length, 2);
  assert.ok(account.clean > 8 && account.captured > 100 && account.requestBytes > 10_000);
  assert.ok((load.left['reset'] ?? 0) + (load.left['closed'] ?? 0) > 0, 'some connections did not end in order');
});
