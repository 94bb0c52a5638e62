// Which captured records belong to a window of time: the one rule, for whoever counts a window and whoever plays it.
//
// A transaction belongs to the window in which it started, with all its parts: they carry the same started_at_us. A record nobody can
// decode tells no such time, so its own timestamp, the time of publishing, decides.
import type { CaptureRecord } from './gen/mirrorstream/v1/envelope_pb.ts';

export interface ReplayWindow {
  readonly fromMs: number;
  /** Not part of it any more. */
  readonly toMs: number;
}

/** Whether a record of a batch is the window's. What is of no moment (a heartbeat, the start of a session) is never. */
export function recordInWindow({ record }: CaptureRecord, window: ReplayWindow): boolean {
  switch (record.case) {
    case 'envelope':
      return usInWindow(record.value.startedAtUs, window);
    case 'sessionEnd':
    case 'gap':
      return usInWindow(record.value.atUs, window);
    default:
      return false;
  }
}

export function msInWindow(atMs: number, { fromMs, toMs }: ReplayWindow): boolean {
  return atMs >= fromMs && atMs < toMs;
}

function usInWindow(atUs: bigint, window: ReplayWindow): boolean {
  return msInWindow(Number(atUs) / 1000, window);
}
