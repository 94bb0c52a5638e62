// Names the difference between what two servers answered to one statement. Swapping the sides swaps errorNew and errorGone, nothing else.
import type { NotComparedReason, StatementClass } from '@mirrorstream/domain';
import { type Observation, StatementEnd } from '@mirrorstream/envelope';
import { describeFirstColumn, describeFirstRow, firstRowNumber, oneLine, type RawAnswers } from './difference.ts';
import { describeSqlState } from './sql-state.ts';

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
>;

export interface Classification {
  readonly class: StatementClass;
  /** Only with class notCompared. */
  readonly notCompared: NotComparedReason | '';
  /** One line for people, at most 120 characters; '' for a match. */
  readonly detail: string;
}

/** What these verbs answer depends on the server itself, not on the data. */
const serverSpecificVerbs: ReadonlySet<string> = new Set(['EXPLAIN', 'SHOW']);

const match: Classification = { class: 'match', notCompared: '', detail: '' };

const diverged = (name: StatementClass, detail: string): Classification => ({
  class: name,
  notCompared: '',
  detail: oneLine(detail),
});

export function notCompared(reason: NotComparedReason, detail = ''): Classification {
  return { class: 'notCompared', notCompared: reason, detail: oneLine(detail) };
}

/**
 * Precedence: errors, verb of the command tag, columns, number of rows, order, values. `kept` only sharpens the detail: the class comes
 * from the observations alone.
 */
export function classify(
  captured: ComparedObservation,
  replayed: ComparedObservation,
  kept: RawAnswers = {},
): Classification {
  if (captured.end === StatementEnd.UNANSWERED || replayed.end === StatementEnd.UNANSWERED)
    return notCompared('unanswered', `${sideOf(captured.end === StatementEnd.UNANSWERED)} never answered`);
  const capturedFailed = failed(captured);
  const replayedFailed = failed(replayed);
  if (capturedFailed && replayedFailed) return classifyErrors(captured, replayed);
  if (replayedFailed) return diverged('errorNew', `${describeFailure(replayed)} on the mirror; production succeeded`);
  if (capturedFailed) return diverged('errorGone', `${describeFailure(captured)} in production; the mirror succeeded`);
  const found = classifyAnswers(captured, replayed, kept);
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

function classifyErrors(captured: ComparedObservation, replayed: ComparedObservation): Classification {
  const bothSkipped = captured.end === StatementEnd.SKIPPED && replayed.end === StatementEnd.SKIPPED;
  if (bothSkipped) return notCompared('skipped', 'both servers skipped it after an earlier error');
  if (captured.end !== replayed.end || captured.sqlState !== replayed.sqlState)
    return diverged('errorChanged', `${describeFailure(captured)} → ${describeFailure(replayed)}`);
  if (captured.severity !== replayed.severity)
    return diverged(
      'errorChanged',
      `${describeFailure(captured)}: severity ${captured.severity} → ${replayed.severity}`,
    );
  return match;
}

function classifyAnswers(
  captured: ComparedObservation,
  replayed: ComparedObservation,
  kept: RawAnswers,
): Classification {
  if (!sameVerb(captured, replayed))
    return diverged('commandTag', `${describeEnd(captured)} → ${describeEnd(replayed)}`);
  if (!sameColumns(captured, replayed))
    return diverged('columns', describeFirstColumn(kept) || describeColumnCounts(captured, replayed));
  if (captured.rows !== replayed.rows || captured.end !== replayed.end)
    return diverged('rowCount', describeRowCounts(captured, replayed, kept));
  if (tagCount(captured.commandTag) !== tagCount(replayed.commandTag))
    return diverged('rowCount', `${captured.commandTag} → ${replayed.commandTag}`);
  if (captured.digested !== replayed.digested || !captured.digested)
    return notCompared('notStored', "production's answer was not kept");
  if (captured.orderedDigest === replayed.orderedDigest) return match;
  if (captured.multisetDigest === replayed.multisetDigest) return diverged('orderOnly', describeOrder(captured, kept));
  return diverged('value', describeFirstRow(kept) || 'values differ; the answers kept do not show where');
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

function describeOrder(a: ComparedObservation, kept: RawAnswers): string {
  const first = firstRowNumber(kept);
  return `the same ${a.rows} rows in another order${first > 0 ? `, from row ${first} on` : ''}`;
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
