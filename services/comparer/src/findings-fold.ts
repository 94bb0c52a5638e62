// What a judged result adds to the aggregates of its partition: one entry per statement, its time on both sides, its example.
import { type StatementClass, statementClasses } from '@mirrorstream/domain';
import {
  type EnvelopeRef,
  type Observation,
  type Result,
  StatementEnd,
  type StatementResult,
} from '@mirrorstream/envelope';
import type { Exemplar, ExemplarAnswer, StatementSeen, StatementShape } from '@mirrorstream/findings';
import type { SqlAnalyzer } from '@mirrorstream/sql';
import type { FindingsTable } from './findings-table.ts';
import type { VerdictInit } from './judge.ts';

export interface FoldOptions {
  /** redact: examples without values: no SQL as sent, no answers, no details. */
  readonly exemplarValues: 'keep' | 'redact';
  readonly maxNormalizedChars: number;
}

type StatementVerdictInit = NonNullable<VerdictInit['statements']>[number];

/** Of one side's answer in an example. */
const maxRawBytes = 12 * 1024;
const maxSqlChars = 4 * 1024;
/** The time of these says nothing about the server. */
const untimed: ReadonlySet<string> = new Set([
  'cancelled',
  'sessionState',
  'afterGap',
  'internal',
  'unanswered',
  'skipped',
]);
const answered: ReadonlySet<StatementEnd> = new Set([
  StatementEnd.COMPLETE,
  StatementEnd.EMPTY,
  StatementEnd.SUSPENDED,
  StatementEnd.FUNCTION,
]);

export class FindingsFold {
  readonly #sql: SqlAnalyzer;
  readonly #options: FoldOptions;

  constructor(sql: SqlAnalyzer, options: FoldOptions) {
    this.#sql = sql;
    this.#options = options;
  }

  /** Of the record at `offset`, which the table was told of by `begin`. */
  add(table: FindingsTable, result: Result, ref: EnvelopeRef, verdict: VerdictInit, offset: bigint): void {
    const clock = new StatementClock();
    const atUs = Number(result.doneAtUs || result.sentAtUs || result.capturedAtUs);
    const capturedAtUs = Number(result.capturedAtUs);
    let queueUs = queueOf(result);
    for (const [i, statement] of result.statements.entries()) {
      const judged = verdict.statements?.[i];
      if (judged === undefined) continue;
      const fingerprint = judged.fingerprint || this.#sql.fingerprint(statement.sql);
      const seen: StatementSeen = {
        class: classOf(judged.class),
        notCompared: (judged.notCompared ?? '') as StatementSeen['notCompared'],
        columns: judged.columns ?? [],
        errorCaptured: judged.errorCaptured ?? '',
        errorReplayed: judged.errorReplayed ?? '',
        latencyUs: clock.ownTime(statement, untimed.has(judged.notCompared ?? '')),
        queueUs,
        atUs,
        capturedAtUs,
      };
      queueUs = 0;
      table.add(fingerprint, seen, () => this.#shapeOf(statement.sql));
      if (judged.exemplar !== undefined)
        table.addExemplar(fingerprint, seen.class, () => this.#exemplarOf(table, statement, judged, ref, offset, atUs));
      if (judged.cause?.fingerprint) table.addSuspect(judged.cause.fingerprint, classOf(judged.cause.class), seen);
    }
  }

  #shapeOf(sql: string): StatementShape {
    const normalizedSql = this.#sql.normalize(sql).slice(0, this.#options.maxNormalizedChars).toWellFormed();
    return { normalizedSql, verb: verbOf(normalizedSql), tables: this.#sql.facts(sql).tables.slice(0, maxTables) };
  }

  #exemplarOf(
    table: FindingsTable,
    statement: StatementResult,
    judged: StatementVerdictInit,
    ref: EnvelopeRef,
    offset: bigint,
    atUs: number,
  ): Exemplar {
    const { exemplar, cause } = judged;
    const keep = this.#options.exemplarValues === 'keep';
    const captured = answerOf(statement.captured, keep ? exemplar?.capturedRaw : undefined);
    const replayed = answerOf(statement.replayed, keep ? exemplar?.replayedRaw : undefined);
    return {
      envelope: {
        partition: table.place.partition,
        offset: String(ref.offset),
        index: ref.index,
        sessionId: ref.sessionId,
        sessionSeq: String(ref.sessionSeq),
        part: ref.part,
      },
      resultOffset: String(offset),
      exchange: statement.exchange,
      statement: statement.statement,
      atUs,
      detail: keep ? (judged.detail ?? '') : '',
      columns: [...(judged.columns ?? [])],
      ...(keep ? { sql: statement.sql.slice(0, maxSqlChars).toWellFormed() } : {}),
      ...(captured === null ? {} : { captured: withRows(captured, exemplar?.capturedRowsBefore) }),
      ...(replayed === null ? {} : { replayed: withRows(replayed, exemplar?.replayedRowsBefore) }),
      rawTruncated: (exemplar?.rawTruncated ?? false) || isCut(exemplar?.capturedRaw) || isCut(exemplar?.replayedRaw),
      rawAlone: exemplar?.rawAlone ?? false,
      ...(cause === undefined
        ? {}
        : {
            cause: {
              fingerprint: cause.fingerprint ?? '',
              class: cause.class ?? '',
              sessionId: cause.sessionId ?? '',
              sessionSeq: String(cause.sessionSeq ?? 0n),
              offset: String(cause.offset ?? 0n),
              index: cause.index ?? 0,
              via: cause.via ?? '',
              wouldBe: cause.wouldBe ?? '',
            },
          }),
    };
  }
}

const maxTables = 32;

/**
 * Latencies count from the moment the exchange was sent; a statement's own time is what passed since the one before it in the same
 * exchange ended, on either side.
 */
class StatementClock {
  #exchange = -1;
  #captured = 0;
  #replayed = 0;

  ownTime({ exchange, captured, replayed }: StatementResult, saysNothing: boolean): StatementSeen['latencyUs'] {
    if (exchange !== this.#exchange) {
      this.#exchange = exchange;
      this.#captured = 0;
      this.#replayed = 0;
    }
    const [capturedUs, replayedUs] = [Number(captured?.latencyUs ?? 0n), Number(replayed?.latencyUs ?? 0n)];
    const own = { captured: capturedUs - this.#captured, replayed: replayedUs - this.#replayed };
    this.#captured = Math.max(this.#captured, capturedUs);
    this.#replayed = Math.max(this.#replayed, replayedUs);
    const timed = isTimed(captured) && isTimed(replayed) && own.captured >= 0 && own.replayed >= 0;
    return timed && !saysNothing ? own : null;
  }
}

const isTimed = (observation: Observation | undefined): boolean =>
  observation !== undefined && observation.latencyUs > 0n && answered.has(observation.end);

function queueOf({ scheduledAtUs, sentAtUs }: Result): number {
  return scheduledAtUs > 0n && sentAtUs > scheduledAtUs ? Number(sentAtUs - scheduledAtUs) : 0;
}

const classOf = (name: string | undefined): StatementClass =>
  statementClasses.find((known) => known === name) ?? 'notCompared';

function verbOf(normalizedSql: string): string {
  return /^[\s(]*([a-z]+)/i.exec(normalizedSql)?.[1]?.toUpperCase() ?? '';
}

const endNames: ReadonlyMap<StatementEnd, string> = new Map(
  Object.entries(StatementEnd).map(([name, end]) => [end, name]),
);

function answerOf(observation: Observation | undefined, raw: Uint8Array | undefined): ExemplarAnswer | null {
  if (observation === undefined) return null;
  return {
    end: endNames.get(observation.end) ?? '',
    commandTag: observation.commandTag,
    rows: Number(observation.rows),
    sqlState: observation.sqlState,
    latencyUs: Number(observation.latencyUs),
    ...(raw === undefined || raw.length === 0
      ? {}
      : { raw: Buffer.from(raw.buffer, raw.byteOffset, Math.min(raw.length, maxRawBytes)).toString('base64') }),
  };
}

const withRows = (answer: ExemplarAnswer, before: bigint | undefined): ExemplarAnswer =>
  before === undefined || before === 0n ? answer : { ...answer, rowsBefore: Number(before) };

const isCut = (raw: Uint8Array | undefined): boolean => (raw?.length ?? 0) > maxRawBytes;
