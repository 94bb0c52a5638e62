// One captured exchange as ordering sees it: when production sent and answered it, what it did there, and how far it has come here.
import type { OrderMark } from '@mirrorstream/domain';
import type { Envelope, Exchange } from '@mirrorstream/envelope';

/**
 * What an exchange is to those it overlapped in production. A `write` holds locks, or makes changes visible by committing; a `read`
 * sees a snapshot taken when it began; what is `neutral` (BEGIN, SET, COMMIT of nothing) does neither.
 */
export type ExchangeKind = 'write' | 'read' | 'neutral';

export interface OrderTicket {
  readonly sessionId: string;
  readonly partition: number;
  /** The capture worker: `incarnation/worker`. */
  readonly source: string;
  readonly clock: string;
  /** Capture's numbers; doneSeq 0: nothing comes after it. */
  readonly afterSeq: number;
  readonly doneSeq: number;
  /** On the worker's monotonic clock. */
  readonly sentMonoUs: number;
  readonly doneMonoUs: number;
  /** Add to monotonic times: µs since the epoch. */
  readonly offsetUs: number;
  readonly kind: ExchangeKind;
  /** It waited for others in production and failed because of them: it must be under way before they are through. */
  readonly lostRace: boolean;
  /** Its transaction ends with it: what that wrote is seen by others afterwards. */
  readonly ends: boolean;
  /** Where it belongs among those it overlapped, µs since the epoch; grows inside a session. */
  readonly placeUs: number;
  /** `again`: to be sent once more, after `awaits`. */
  state: 'queued' | 'sent' | 'again' | 'settled';
  awaits: OrderTicket | null;
  /** Wall clock here; 0 before. */
  sentAtUs: number;
  /** When it first was in somebody's way; 0 before. */
  inTheWaySinceUs: number;
  /** Nobody waits for it any more. */
  overdue: boolean;
  /** Others that overlapped it have gone before it is answered: it may wait for a lock that one of them gives back. */
  passed: boolean;
  mark: OrderMark;
}

/** Verbs of command tags that only look. */
const lookingVerbs: ReadonlySet<string> = new Set(['SELECT', 'FETCH', 'SHOW', 'EXPLAIN', 'VALUES', 'TABLE']);
const neutralVerbs: ReadonlySet<string> = new Set([
  ...['', 'BEGIN', 'START TRANSACTION', 'SAVEPOINT', 'RELEASE', 'SET', 'RESET', 'DISCARD ALL', 'PREPARE', 'DEALLOCATE'],
  ...['DEALLOCATE ALL', 'DECLARE CURSOR', 'CLOSE CURSOR', 'MOVE', 'LISTEN', 'UNLISTEN'],
]);
const endingVerbs: ReadonlySet<string> = new Set(['COMMIT', 'ROLLBACK']);
const lockingRead = /\bfor\s+(?:no\s+key\s+update|update|key\s+share|share)\b/i;
/** Longer requests are taken to write. */
const MAX_LOOKED_AT_BYTES = 16 * 1024;

export function kindOf(exchange: Exchange, envelope: Pick<Envelope, 'writes'>): ExchangeKind {
  let kind: ExchangeKind = 'neutral';
  for (const { commandTag, sqlState } of exchange.answer?.observations ?? []) {
    const verb = commandTag.replace(/[ 0-9]+$/, '');
    if (sqlState !== '') return 'write';
    if (endingVerbs.has(verb)) {
      if (envelope.writes) return 'write';
    } else if (lookingVerbs.has(verb)) kind = 'read';
    else if (!neutralVerbs.has(verb)) return 'write';
  }
  return kind === 'read' && takesLocks(exchange.request) ? 'write' : kind;
}

function takesLocks(request: Uint8Array): boolean {
  if (request.length > MAX_LOOKED_AT_BYTES) return true;
  return lockingRead.test(Buffer.from(request.buffer, request.byteOffset, request.byteLength).toString('latin1'));
}

/** SQLSTATE of statements that waited for somebody and then failed: deadlock, lock not available, cancelled while waiting. */
const lostRaces: ReadonlySet<string> = new Set(['40P01', '55P03', '57014']);
const serializationFailure = '40001';

/**
 * A statement that waits for a row with its snapshot taken, and fails when the row's holder commits, must be under way before that
 * commit here, too. With a snapshot from earlier it fails wherever it comes; so does what fails for dependencies between reads and
 * writes, which the server finds at the end.
 */
export function lostRace(exchange: Exchange): boolean {
  for (const { sqlState } of exchange.answer?.observations ?? []) {
    if (lostRaces.has(sqlState)) return true;
    if (sqlState === serializationFailure && exchange.index <= 1) {
      const raw = exchange.answer?.raw ?? new Uint8Array(0);
      return Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).includes('concurrent');
    }
  }
  return false;
}

export const sentUs = (ticket: OrderTicket): number => ticket.sentMonoUs + ticket.offsetUs;
export const doneUs = (ticket: OrderTicket): number => ticket.doneMonoUs + ticket.offsetUs;

/** Whether production had answered `a` before it was asked `b`, as far as can be known (see `answeredBefore` of the envelope package). */
export function comesBefore(a: OrderTicket, b: OrderTicket, clockUncertaintyUs: number): boolean {
  if (a.doneSeq === 0) return false;
  if (a.source === b.source) return a.doneSeq <= b.afterSeq;
  if (a.clock === b.clock) return a.doneMonoUs < b.sentMonoUs;
  return doneUs(a) + clockUncertaintyUs < sentUs(b);
}
