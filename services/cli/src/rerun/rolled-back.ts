// Turns a captured transaction into one that leaves nothing behind: BEGIN in front where it has none, ROLLBACK at its end instead of
// COMMIT. What cannot be taken back is refused, with the place. Pure.
import type { SideEffect } from '@mirrorstream/domain';
import {
  AnswerStorage,
  type Envelope,
  type Exchange,
  type Observation,
  StatementEnd,
  TransactionOutcome,
} from '@mirrorstream/envelope';
import { encodeFrontend, WireWriter } from '@mirrorstream/pg-wire';
import type { TransactionCommand } from '@mirrorstream/sql';
import { RequestReader, type SentStatement } from '../inspect/request-reading.ts';
import { wholeRequests } from '../inspect/whole-requests.ts';

export interface SqlReading {
  /** null: the text does not parse. */
  readonly commands: (sql: string) => readonly TransactionCommand[] | null;
  readonly mayEndTransaction: (sql: string) => boolean;
  readonly sideEffects: (sql: string) => ReadonlySet<SideEffect>;
}

export interface RolledBack {
  /** The parts to play, in order, the wrapping included. */
  readonly envelopes: readonly Envelope[];
  /** What was done to them, for people. */
  readonly changes: readonly string[];
  /** Index of the exchange that checks deferred constraints in place of COMMIT; null: there is none. */
  readonly commitCheck: number | null;
  /** COMMIT was cut off the text of this exchange: it has so many statements left. */
  readonly cut: { readonly exchange: number; readonly statements: number } | null;
}

export interface Refusal {
  readonly refused: string;
  readonly hint: string;
}

/** Exchange.index of what is added; captured ones are counted from 0 and never come near. */
const ownIndex = 0xffff_fff0;
export const isOwnExchange = (index: number): boolean => index >= ownIndex;

/** What a ROLLBACK takes back although it looks like reaching outside: it happens, or is visible, only with COMMIT. */
const takenBack: ReadonlySet<SideEffect> = new Set(['notify', 'role', 'foreignServer']);
/** Moved a little, so that nothing captured lies before the BEGIN in front. */
const shiftUs = 10n;

interface Step {
  readonly exchange: number;
  readonly statement: SentStatement;
  readonly command: TransactionCommand;
  readonly alone: boolean;
}

/** `parts`: of one transaction, from its first to its last. */
export function rolledBack(parts: readonly Envelope[], sql: SqlReading): RolledBack | Refusal {
  const first = parts[0];
  const last = parts.at(-1);
  if (first === undefined || last === undefined || first.part !== 0 || !last.lastPart)
    return refuse('not all of its parts are there', 'Name its first part; all parts have to be within retention.');
  const exchanges = parts.flatMap((part) => part.exchanges);
  if (exchanges.length === 0) return refuse('nothing was sent in it', '');
  const steps = stepsOf(parts, sql);
  if ('refused' in steps) return steps;
  const outside = checkInside(steps);
  if (outside !== null) return outside;
  const ending = steps.at(-1);
  const changes: string[] = [];
  const begins = steps[0]?.command.kind === 'begin';
  if (!begins) changes.push('BEGIN was put in front of it');
  let body: readonly Envelope[] = parts;
  let check: Exchange[] = [];
  let cut: RolledBack['cut'] = null;
  if (ending?.command.kind === 'commit') {
    const without = withoutCommit(parts, ending);
    if (without === null)
      return refuse(
        'its COMMIT was sent together with other messages of the extended protocol, and cannot be taken out',
        'Such a transaction cannot be replayed without being committed.',
      );
    body = without;
    if (!ending.alone)
      cut = {
        exchange: ending.exchange,
        statements: steps.filter(({ exchange }) => exchange === ending.exchange).length - 1,
      };
    changes.push('ROLLBACK was sent instead of COMMIT');
    if (last.outcome === TransactionOutcome.COMMITTED)
      check = [own(1, 'SET CONSTRAINTS ALL IMMEDIATE', 'SET CONSTRAINTS', 'T', endOf(last) + shiftUs)];
  } else changes.push('ROLLBACK was put behind it');
  const wrapped = body.map((part) => ({ ...part, exchanges: part.exchanges.map(shifted) }));
  const head = wrapped[0] as Envelope;
  if (!begins) head.exchanges.unshift(own(0, 'BEGIN', 'BEGIN', 'T', 0n));
  const tail = wrapped.at(-1) as Envelope;
  tail.exchanges.push(...check, own(2, 'ROLLBACK', 'ROLLBACK', 'I', endOf(last) + 3n * shiftUs));
  return { envelopes: wrapped, changes, commitCheck: check[0]?.index ?? null, cut };
}

function stepsOf(parts: readonly Envelope[], sql: SqlReading): Step[] | Refusal {
  const reader = new RequestReader(parts[0]?.context);
  const steps: Step[] = [];
  for (const { exchange, request } of wholeRequests(parts)) {
    const sent = reader.read(request);
    for (const statement of sent) {
      const place = `exchange ${exchange}`;
      if (statement.kind === 'execute' && statement.sql === '')
        return refuse(`${place} executes a statement whose text was never captured`, 'What it does cannot be told.');
      for (const effect of sql.sideEffects(statement.sql))
        if (!takenBack.has(effect))
          return refuse(`${place} reaches outside of its database (${effect}), which no ROLLBACK takes back`, '');
      const commands = sql.commands(statement.sql);
      if (commands === null && sql.mayEndTransaction(statement.sql))
        return refuse(`${place} has a text that does not parse and may end the transaction`, '');
      const known = commands ?? [{ kind: 'inside', name: '', startByte: 0 } as const];
      for (const command of known)
        steps.push({ exchange, statement, command, alone: sent.length === 1 && known.length === 1 });
    }
  }
  return steps;
}

function checkInside(steps: readonly Step[]): Refusal | null {
  for (const [i, { command, exchange }] of steps.entries()) {
    const { kind, name } = command;
    const place = `exchange ${exchange}`;
    if (kind === 'outside')
      return refuse(`${place} has ${name}, which cannot run inside a transaction that is rolled back`, '');
    if (kind === 'lasting') return refuse(`${place} calls ${name}, which no ROLLBACK takes back`, '');
    if ((kind === 'commit' || kind === 'rollback') && i < steps.length - 1)
      return refuse(`${place} has ${name} in its middle: what follows would be kept`, '');
  }
  return null;
}

/** The text of a Query without its last statement, or without the whole exchange; null: it cannot be cut. */
function withoutCommit(parts: readonly Envelope[], ending: Step): readonly Envelope[] | null {
  const { alone, statement, command, exchange } = ending;
  if (alone && parts.flatMap((part) => part.exchanges).filter(({ index }) => index === exchange).length === 1)
    return parts.map((part) => ({ ...part, exchanges: part.exchanges.filter(({ index }) => index !== exchange) }));
  if (statement.kind !== 'query') return null;
  const kept = Buffer.from(statement.sql).subarray(0, command.startByte).toString();
  return parts.map((part) => ({
    ...part,
    exchanges: part.exchanges.map((one) =>
      one.index === exchange ? { ...one, request: queryFrame(kept), segments: [] } : one,
    ),
  }));
}

function shifted(exchange: Exchange): Exchange {
  const later = (us: bigint): bigint => (us === 0n ? 0n : us + shiftUs);
  return {
    ...exchange,
    sentUs: exchange.sentUs + shiftUs,
    firstReplyUs: later(exchange.firstReplyUs),
    doneUs: later(exchange.doneUs),
    segments: exchange.segments.map((segment) => ({ ...segment, sentUs: segment.sentUs + shiftUs })),
  };
}

function endOf({ exchanges }: Envelope): bigint {
  let latest = 0n;
  for (const us of exchanges.flatMap(({ sentUs, doneUs }) => [sentUs, doneUs])) if (us > latest) latest = us;
  return latest;
}

/** A query of ours, with the answer that any server gives to it. */
function own(number: number, query: string, commandTag: string, status: string, sentUs: bigint): Exchange {
  const observation: Observation = {
    $typeName: 'mirrorstream.v1.Observation',
    end: StatementEnd.COMPLETE,
    commandTag,
    rows: 0n,
    sqlState: '',
    severity: '',
    sizeBytes: 0n,
    digested: false,
    orderedDigest: 0n,
    multisetDigest: 0n,
    columnsDigest: 0n,
    columnCount: 0,
    latencyUs: 0n,
    firstRowUs: 0n,
    errorDigest: 0n,
  };
  return {
    $typeName: 'mirrorstream.v1.Exchange',
    index: ownIndex + number,
    continues: false,
    request: queryFrame(query),
    segments: [],
    sentUs,
    firstReplyUs: sentUs + 1n,
    doneUs: sentUs + 2n,
    afterSeq: 0n,
    doneSeq: 0n,
    cancelledAfterUs: 0n,
    answer: {
      $typeName: 'mirrorstream.v1.Answer',
      storage: AnswerStorage.DIGEST,
      observations: [observation],
      raw: new Uint8Array(0),
      sizeBytes: 0n,
      status,
    },
  };
}

function queryFrame(query: string): Uint8Array {
  const writer = new WireWriter();
  encodeFrontend({ kind: 'query', query }, writer);
  return writer.take();
}

const refuse = (refused: string, hint: string): Refusal => ({ refused, hint });
