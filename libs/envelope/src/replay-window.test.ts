// A window of time: by when a transaction started, its end excluded.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { CaptureRecordSchema } from './gen/mirrorstream/v1/envelope_pb.ts';
import { msInWindow, recordInWindow } from './replay-window.ts';

const window = { fromMs: 1_000, toMs: 2_000 };

test('a transaction belongs to the window it started in, whatever part this is', () => {
  const at = (startedAtUs: bigint, part = 0) =>
    recordInWindow(create(CaptureRecordSchema, { record: { case: 'envelope', value: { startedAtUs, part } } }), window);
  assert.deepEqual(
    [999_999n, 1_000_000n, 1_999_999n, 2_000_000n].map((us) => at(us)),
    [false, true, true, false],
  );
  assert.equal(at(1_500_000n, 7), true);
});

test('ends of sessions and gaps by their time; what is of no moment never', () => {
  const end = create(CaptureRecordSchema, { record: { case: 'sessionEnd', value: { atUs: 1_000_000n } } });
  const gap = create(CaptureRecordSchema, { record: { case: 'gap', value: { atUs: 2_000_000n } } });
  const heartbeat = create(CaptureRecordSchema, { record: { case: 'heartbeat', value: { atUs: 1_500_000n } } });
  assert.deepEqual(
    [end, gap, heartbeat].map((one) => recordInWindow(one, window)),
    [true, false, false],
  );
  assert.deepEqual(
    [999, 1_000, 1_999, 2_000].map((ms) => msInWindow(ms, window)),
    [false, true, true, false],
  );
});
