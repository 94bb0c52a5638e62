// Plays a case to a session as the capture worker does, and says which promise of capture it breaks.
import type { CaptureRecordDraft } from '@mirrorstream/envelope';
import { type CaptureLimits, defaultCaptureLimits } from '../src/limits.ts';
import { createSequencer } from '../src/sequencer.ts';
import { openSession } from '../src/session.ts';
import type { SessionCapture } from '../src/session-capture.ts';
import { chunked, type FuzzCase, type FuzzEvent } from './fuzz-case.ts';
import { promise } from './promise.ts';
import { RecordCheck } from './record-check.ts';
import { clientBytesForRecords, clientBytesOutsideRecords, SentBytes } from './sent-bytes.ts';

const startUs = 1_000;
const stepUs = 100;
/** A start-up packet has its own bound, whatever maxFrameBytes says. */
const startupBytes = 10_004;

export interface CaptureOutcome {
  readonly envelopes: number;
  readonly gaps: number;
}

/** Throws a BrokenPromise. */
export function checkCapture(fuzzCase: FuzzCase): CaptureOutcome {
  const limits: CaptureLimits = { ...defaultCaptureLimits, ...fuzzCase.limits };
  const records = new RecordCheck(limits);
  const sent = new SentBytes();
  const bugs: unknown[] = [];
  const session = openSession({
    sessionId: 's-1',
    samplingDraw: 0.25,
    clock: { wallUsAtMonoZero: 5_000_000 },
    sequencer: createSequencer(),
    limits,
    emit: (draft: CaptureRecordDraft) => records.add(draft),
    onBug: (error) => bugs.push(error),
  });
  const mostBytes = mostBuffered(limits);
  let monoUs = startUs;
  for (const event of chunked(fuzzCase)) {
    if (event[0] === 'tick') monoUs += event[1];
    give(session, event, monoUs);
    sent.add(event);
    monoUs += stepUs;
    if (bugs.length > 0) throw bugs[0]; // contained, and a bug all the same
    promise(session.openTransactions === 0 || session.openTransactions === 1, 'a session has 0 or 1 open transactions');
    promise(session.bufferedBytes >= 0, `${session.bufferedBytes} bytes buffered`);
    promise(session.bufferedBytes <= mostBytes, `${session.bufferedBytes} bytes buffered, at most ${mostBytes} may be`);
  }
  const unfinishedBytes = session.bufferedBytes;
  const before = records.requestBytes;
  session.close(monoUs);
  if (bugs.length > 0) throw bugs[0];
  promise(session.openTransactions === 0, 'a closed session has no open transaction');
  promise(session.bufferedBytes === 0, `a closed session holds ${session.bufferedBytes} bytes`);
  records.end();
  records.requestsWere(sent.client);
  const atTheEnd = Math.max(0, unfinishedBytes - (records.requestBytes - before));
  if (records.started) accountFor(records, sent, atTheEnd, limits);
  if (fuzzCase.valid) validWasCaptured(records, sent);
  const rest = records.counts;
  session.clientChunk(Buffer.from('more'), 0, 4, monoUs);
  session.serverChunk(Buffer.from('more'), 0, 4, monoUs);
  session.missed('client', 1, monoUs);
  session.tick(monoUs + 10_000_000);
  session.close(monoUs);
  promise(records.counts.envelopes === rest.envelopes, 'nothing is said of a closed session');
  return rest;
}

/** The chunk lies in memory of its own, between other bytes, and is overwritten afterwards: what is kept must have been copied. */
function give(session: SessionCapture, event: FuzzEvent, monoUs: number): void {
  switch (event[0]) {
    case 'F':
    case 'B': {
      const [direction, bytes] = event;
      const chunk = Buffer.alloc(bytes.length + 6, 0x3f);
      chunk.set(bytes, 3);
      if (direction === 'F') session.clientChunk(chunk, 3, 3 + bytes.length, monoUs);
      else session.serverChunk(chunk, 3, 3 + bytes.length, monoUs);
      chunk.fill(0xee);
      return;
    }
    case 'missed':
      session.missed(event[1], event[2], monoUs);
      return;
    case 'cancelled':
      session.cancelled(monoUs);
      return;
    case 'tick':
      session.tick(monoUs);
      return;
    default:
      event satisfies never;
  }
}

/** The assembly's own limit, statements, one unfinished frame of each direction. */
function mostBuffered(limits: CaptureLimits): number {
  const frame = Math.max(limits.maxFrameBytes, startupBytes);
  return limits.sessionBufferBytes + limits.maxStatementBytes + 2 * frame;
}

/** Every byte the client sent is in an envelope, told by a gap, or one of those that no record ever holds. */
function accountFor(records: RecordCheck, sent: SentBytes, unfinishedBytes: number, limits: CaptureLimits): void {
  const total = sent.client.length + sent.missedBytes;
  const told = records.requestBytes + records.gapBytes;
  if (told >= total) return;
  const left = total - told - unfinishedBytes;
  if (left <= 0) return;
  const outside = clientBytesOutsideRecords(sent.client, limits.partBytes);
  promise(
    left <= outside,
    `of ${total} client bytes ${told} are told and ${outside} need not be: ${left - outside} are lost`,
  );
}

function validWasCaptured(records: RecordCheck, sent: SentBytes): void {
  promise(records.started, 'a valid session is captured');
  promise(records.gapReasons.length === 0, `a valid session has no gap, not even ${records.gapReasons.join()}`);
  const { wanted, strayBytes } = clientBytesForRecords(sent.client);
  records.requestsAre(wanted, strayBytes);
  promise(!records.heldSecret, 'a secret is in a record');
}
