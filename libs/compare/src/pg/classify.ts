// Names the difference between what two servers answered to one statement. Swapping the sides swaps errorNew and errorGone, nothing else.
import type { NotComparedReason, StatementClass } from '@mirrorstream/domain';
import { type Observation, StatementEnd } from '@mirrorstream/envelope';
import { type AnswerRules, noRules, plainColumn, type RulesOf } from './answer-rules.ts';
import { type CellColumn, cellsOf } from './cells.ts';
import { compareRows, type TwoAnswers } from './compare-rows.ts';
import {
  columnsThatDiffer,
  describeErrorFields,
  describeFirstColumn,
  firstRowNumber,
  framesOf,
  type RawAnswers,
} from './difference.ts';
import { oneLine } from './one-line.ts';
import { describeSqlState } from './sql-state.ts';
import type { StatementFrames } from './statement-frames.ts';
import { FIRST_USER_OID, scalarOf } from './values/types.ts';

/** The fields of an observation that are compared. Latency and bytes are not. */
export type ComparedObservation = Pick<
  Observation,
  | 'end'
  | 'commandTag'
  | 'rows'
  | 'sqlState'
  | 'severity'
  | 'digested'
  | 'orderedDigest'
  | 'multisetDigest'
  | 'columnsDigest'
  | 'columnCount'
> &
  Partial<Pick<Observation, 'errorDigest'>>;

export interface Classification {
  readonly class: StatementClass;
  /** Only with class notCompared. */
  readonly notCompared: NotComparedReason | '';
  /** One line for people, at most 120 characters; '' for a match. */
  readonly detail: string;
  /** Names of the columns that differ; empty: not known, or not by column. */
  readonly columns: readonly string[];
}

/** What these verbs answer depends on the server itself, not on the data. */
const serverSpecificVerbs: ReadonlySet<string> = new Set(['EXPLAIN', 'SHOW']);

export const match: Classification = { class: 'match', notCompared: '', detail: '', columns: [] };

const diverged = (name: StatementClass, detail: string, columns: readonly string[] = []): Classification => ({
  class: name,
  notCompared: '',
  detail: oneLine(detail),
  columns,
});

export function notCompared(reason: NotComparedReason, detail = ''): Classification {
  return { class: 'notCompared', notCompared: reason, detail: oneLine(detail), columns: [] };
}

/**
 * Precedence: errors, verb of the command tag, columns, number of rows, values and order. That something differs, the observations say;
 * `kept` and the rules of the statement say whether people would call it a difference.
 */
export function classify(
  captured: ComparedObservation,
  replayed: ComparedObservation,
  kept: RawAnswers = {},
  rulesOf: RulesOf = () => noRules,
): Classification {
  if (captured.end === StatementEnd.UNANSWERED || replayed.end === StatementEnd.UNANSWERED)
    return notCompared('unanswered', `${sideOf(captured.end === StatementEnd.UNANSWERED)} never answered`);
  const capturedFailed = failed(captured);
  const replayedFailed = failed(replayed);
  if (capturedFailed && replayedFailed) return classifyErrors(captured, replayed, kept);
  if (replayedFailed) return diverged('errorNew', `${describeFailure(replayed)} on the mirror; production succeeded`);
  if (capturedFailed) return diverged('errorGone', `${describeFailure(captured)} in production; the mirror succeeded`);
  const found = classifyAnswers(captured, replayed, kept, rulesOf);
  const verb = verbOf(captured.commandTag);
  if (found.class !== 'match' && serverSpecificVerbs.has(verb) && verb === verbOf(replayed.commandTag))
    return notCompared('serverSpecific', `${verb} answers differ between servers`);
  return found;
}

const sideOf = (production: boolean): string => (production ? 'production' : 'the mirror');

/** Failed itself, or was thrown away by the server after an earlier statement failed. */
function failed(observation: ComparedObservation): boolean {
  return observation.end === StatementEnd.ERROR || observation.end === StatementEnd.SKIPPED;
}

function describeFailure(observation: ComparedObservation): string {
  return observation.end === StatementEnd.SKIPPED
    ? 'skipped after an earlier error'
    : `SQLSTATE ${describeSqlState(observation.sqlState)}`;
}

function classifyErrors(
  captured: ComparedObservation,
  replayed: ComparedObservation,
  kept: RawAnswers,
): Classification {
  const bothSkipped = captured.end === StatementEnd.SKIPPED && replayed.end === StatementEnd.SKIPPED;
  if (bothSkipped) return notCompared('skipped', 'both servers skipped it after an earlier error');
  if (captured.end !== replayed.end || captured.sqlState !== replayed.sqlState)
    return diverged('errorChanged', `${describeFailure(captured)} → ${describeFailure(replayed)}`);
  if (captured.severity !== replayed.severity)
    return diverged(
      'errorChanged',
      `${describeFailure(captured)}: severity ${captured.severity} → ${replayed.severity}`,
    );
  const fields = [captured.errorDigest ?? 0n, replayed.errorDigest ?? 0n];
  if (!fields.includes(0n) && fields[0] !== fields[1])
    return diverged('errorChanged', `${describeFailure(captured)}: ${describeErrorFields(kept)}`);
  return match;
}

function classifyAnswers(
  captured: ComparedObservation,
  replayed: ComparedObservation,
  kept: RawAnswers,
  rulesOf: RulesOf,
): Classification {
  if (!sameVerb(captured, replayed))
    return diverged('commandTag', `${describeEnd(captured)} → ${describeEnd(replayed)}`);
  const frames = { captured: framesOf(kept.captured), replayed: framesOf(kept.replayed) };
  const names = frames.captured?.columns?.map(({ name }) => name) ?? null;
  const rules = rulesOf(names, captured.columnCount, Number(captured.rows));
  if (!sameColumns(captured, replayed) && !isRetypedExtract(frames, rules))
    return diverged(
      'columns',
      describeFirstColumn(kept) || describeColumnCounts(captured, replayed),
      columnsThatDiffer(kept),
    );
  if (captured.rows !== replayed.rows || captured.end !== replayed.end) {
    const detail = describeRowCounts(captured, replayed, kept);
    return rules.open ? notCompared('undetermined', detail) : diverged('rowCount', detail);
  }
  if (tagCount(captured.commandTag) !== tagCount(replayed.commandTag))
    return diverged('rowCount', `${captured.commandTag} → ${replayed.commandTag}`);
  if (captured.digested !== replayed.digested || !captured.digested)
    return notCompared('notStored', "production's answer was not kept");
  if (captured.orderedDigest === replayed.orderedDigest && sameColumns(captured, replayed)) return match;
  const found = compareRows(rowsOf(captured, kept, frames, rules, captured.multisetDigest === replayed.multisetDigest));
  return { ...found, detail: oneLine(found.detail) };
}

interface BothFrames {
  readonly captured: StatementFrames | null;
  readonly replayed: StatementFrames | null;
}

function rowsOf(
  captured: ComparedObservation,
  kept: RawAnswers,
  frames: BothFrames,
  rules: AnswerRules,
  sameRows: boolean,
): TwoAnswers {
  const before = kept.captured?.rowsBefore ?? 0;
  const aligned = before === (kept.replayed?.rowsBefore ?? 0);
  const both = aligned && frames.captured !== null && frames.replayed !== null;
  const a =
    both && frames.captured !== null
      ? frames.captured.rows.map((span) => cellsOf(frames.captured as StatementFrames, span))
      : [];
  const b =
    both && frames.replayed !== null
      ? frames.replayed.rows.map((span) => cellsOf(frames.replayed as StatementFrames, span))
      : [];
  const rows = Number(captured.rows);
  return {
    captured: a,
    replayed: b,
    before: both ? before : 0,
    complete: both && before === 0 && a.length === rows && b.length === rows,
    columns: columnsOf(frames, rules, captured.columnCount),
    sameRows,
    capturedKept: kept.replayed === undefined || frames.captured !== null,
    rules,
  };
}

function columnsOf({ captured, replayed }: BothFrames, rules: AnswerRules, count: number): readonly CellColumn[] {
  if (captured?.copy === true) return [];
  const described = Math.max(captured?.columns?.length ?? 0, captured?.columns === null ? rules.columns.length : count);
  return Array.from({ length: described }, (_, i) => ({
    captured: captured?.columns?.[i] ?? null,
    replayed: replayed?.columns?.[i] ?? null,
    rule: rules.columns[i] ?? plainColumn,
  }));
}

/** EXTRACT gave double precision before PostgreSQL 14 and gives numeric since: the same numbers, compared as such. */
function isRetypedExtract({ captured, replayed }: BothFrames, rules: AnswerRules): boolean {
  if (captured?.columns == null || captured.columns.length !== replayed?.columns?.length) return false;
  return captured.columns.every((a, i) => {
    const b = replayed.columns?.[i];
    if (b === undefined || a.name !== b.name) return false;
    const types = [scalarOf(a.typeOid), scalarOf(b.typeOid)];
    const retyped = types.includes('float8') && types.includes('numeric') && rules.columns[i]?.extract === true;
    return (
      retyped ||
      (a.format === b.format && (a.typeOid === b.typeOid || Math.min(a.typeOid, b.typeOid) >= FIRST_USER_OID))
    );
  });
}

/** A portal that one server suspended and the other finished is a matter of how many rows there were. */
function sameVerb(a: ComparedObservation, b: ComparedObservation): boolean {
  if (a.end === b.end) return verbOf(a.commandTag) === verbOf(b.commandTag);
  const ends = [a.end, b.end];
  return ends.includes(StatementEnd.SUSPENDED) && ends.includes(StatementEnd.COMPLETE) && a.rows !== b.rows;
}

function sameColumns(a: ComparedObservation, b: ComparedObservation): boolean {
  return a.columnCount === b.columnCount && (!a.digested || !b.digested || a.columnsDigest === b.columnsDigest);
}

function describeColumnCounts(a: ComparedObservation, b: ComparedObservation): string {
  return a.columnCount === b.columnCount
    ? 'names, types or formats of columns differ'
    : `${a.columnCount} → ${b.columnCount} columns`;
}

function describeRowCounts(a: ComparedObservation, b: ComparedObservation, kept: RawAnswers): string {
  const first = firstRowNumber(kept);
  return `${a.rows} → ${b.rows} rows${first > 0 ? `, first difference at row ${first}` : ''}`;
}

/** The words of the tag without the numbers at its end: `INSERT 0 5` is INSERT, `CREATE TABLE` stays. */
export function verbOf(commandTag: string): string {
  return commandTag.replace(/( \d+)+$/, '');
}

function tagCount(commandTag: string): string {
  return /(\d+)$/.exec(commandTag)?.[1] ?? '';
}

function describeEnd(observation: ComparedObservation): string {
  switch (observation.end) {
    case StatementEnd.COMPLETE:
      return observation.commandTag;
    case StatementEnd.EMPTY:
      return 'empty query';
    case StatementEnd.SUSPENDED:
      return 'suspended portal';
    case StatementEnd.FUNCTION:
      return 'function result';
    default:
      return 'no answer';
  }
}
