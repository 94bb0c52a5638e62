// Stage one of comparing: is what the mirror answered to an exchange equal to what production answered, statement by statement?
import type { IdMark, NotComparedReason } from '@mirrorstream/domain';
import {
  type MappedIdsDraft,
  type ObservationDraft,
  StatementEnd,
  type StatementResultDraft,
} from '@mirrorstream/envelope';
import { withoutAnswer } from './observed.ts';

/** One compared statement; `race`: it differs, and a write of another session overlapped it in production. */
export interface StatementComparison extends StatementResultDraft {
  readonly notCompared: NotComparedReason | '';
  readonly ids: StatementIds | null;
}

/** With ID mapping, and where there is something to say. */
export interface StatementIds extends MappedIdsDraft {
  readonly mark: IdMark;
}

export interface ExchangeAnswers {
  /** Exchange.index. */
  readonly exchange: number;
  readonly captured: readonly ObservationDraft[];
  /** Production never finished answering. */
  readonly capturedUnanswered: boolean;
  readonly replayed: readonly ObservationDraft[];
  /** Of each statement. */
  readonly sql: (statement: number) => string;
  /** Why a difference proves nothing: capture missed something earlier in the session, or the mirror's session lacks something. */
  readonly excuse: NotComparedReason | '';
  /** What was kept for a statement that differs; null: nothing, or nothing that was not given before. */
  readonly raws: (statement: number) => KeptRaws | null;
}

/** Backend frames from both sides. */
export interface KeptRaws {
  readonly captured: Uint8Array;
  readonly replayed: Uint8Array;
  /** One of them was cut at the cap, or never kept. */
  readonly truncated: boolean;
  /** Of this statement alone; else of the whole exchange. */
  readonly alone: boolean;
  /** Rows of the statement that are left out before the first one, on both sides. */
  readonly rowsBefore: number;
}

const none = new Uint8Array(0);

/** One comparison per statement that either side answered. A difference carries what was kept of both answers. */
export function compareExchange(answers: ExchangeAnswers): readonly StatementComparison[] {
  const count = Math.max(answers.captured.length, answers.replayed.length);
  const compared: StatementComparison[] = [];
  for (let statement = 0; statement < count; statement++) {
    const captured = answers.captured[statement] ?? missing(answers.captured, answers.capturedUnanswered);
    const replayed = answers.replayed[statement] ?? missing(answers.replayed, false);
    const outcome = judge(captured, replayed, answers.excuse);
    const raws = outcome === 'different' ? answers.raws(statement) : null;
    compared.push({
      exchange: answers.exchange,
      statement,
      sql: answers.sql(statement),
      equal: outcome === 'equal',
      captured,
      replayed,
      capturedRaw: raws?.captured ?? none,
      replayedRaw: raws?.replayed ?? none,
      rawTruncated: raws?.truncated ?? false,
      notCompared: outcome === 'equal' || outcome === 'different' ? '' : outcome,
      race: false,
      rawAlone: raws?.alone ?? false,
      capturedRowsBefore: raws?.rowsBefore ?? 0,
      replayedRowsBefore: raws?.rowsBefore ?? 0,
      ids: null,
    });
  }
  return compared;
}

/** A side that has fewer answers than the other discarded the rest after an error, or broke off. */
function missing(given: readonly ObservationDraft[], unanswered: boolean): ObservationDraft {
  const afterError = given.at(-1)?.end;
  const skipped = !unanswered && (afterError === StatementEnd.ERROR || afterError === StatementEnd.SKIPPED);
  return withoutAnswer(skipped ? StatementEnd.SKIPPED : StatementEnd.UNANSWERED);
}

/** `different` is for the comparer to name. */
export function judge(
  captured: ObservationDraft,
  replayed: ObservationDraft,
  excuse: NotComparedReason | '',
): 'equal' | 'different' | NotComparedReason {
  if (captured.end === StatementEnd.UNANSWERED || replayed.end === StatementEnd.UNANSWERED) return 'unanswered';
  if (captured.end === StatementEnd.SKIPPED && replayed.end === StatementEnd.SKIPPED) return 'skipped';
  const alike =
    captured.end === replayed.end &&
    captured.commandTag === replayed.commandTag &&
    captured.sqlState === replayed.sqlState &&
    captured.severity === replayed.severity &&
    captured.rows === replayed.rows &&
    captured.columnCount === replayed.columnCount &&
    sameConcern(captured, replayed);
  const different = excuse === '' ? 'different' : excuse;
  if (!alike) return different;
  if (captured.digested && replayed.digested) {
    const same =
      captured.orderedLo === replayed.orderedLo &&
      captured.orderedHi === replayed.orderedHi &&
      captured.columnsLo === replayed.columnsLo &&
      captured.columnsHi === replayed.columnsHi;
    if (same) return 'equal';
    return different;
  }
  // Nothing was hashed on one side. Where there was nothing to hash, tag and SQLSTATE say it all.
  return captured.rows === 0 && captured.columnCount === 0 ? 'equal' : 'notStored';
}

/** What two errors are about, where both say so: a server may leave it out, or capture may not have looked. */
function sameConcern(a: ObservationDraft, b: ObservationDraft): boolean {
  const unknown = (a.errorHi | a.errorLo) === 0 || (b.errorHi | b.errorLo) === 0;
  return unknown || (a.errorHi === b.errorHi && a.errorLo === b.errorLo);
}
