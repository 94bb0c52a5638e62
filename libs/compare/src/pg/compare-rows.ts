// Names the difference between two answers of equally many rows, row by row and column by column, by the rules of their statement.
import type { NotComparedReason, StatementClass } from '@mirrorstream/domain';
import type { AnswerRules } from './answer-rules.ts';
import { cellText } from './cell-text.ts';
import { type CellColumn, type CellOutcome, compareCells } from './cells.ts';
import { oneLine } from './one-line.ts';
import { firstKeyOutOfOrder, isOrderTotalHere, tiesAtTheEnds } from './row-order.ts';
import { type Row, unmatchedRows } from './row-sets.ts';

export interface Found {
  readonly class: StatementClass;
  readonly notCompared: NotComparedReason | '';
  readonly detail: string;
  readonly columns: readonly string[];
}

/** Rows kept of both sides; `before`: rows of the answer left out before the first of them. */
export interface TwoAnswers {
  readonly captured: readonly Row[];
  readonly replayed: readonly Row[];
  readonly before: number;
  /** All rows of both answers are here. */
  readonly complete: boolean;
  readonly columns: readonly CellColumn[];
  /** The digests say that both have the same rows. */
  readonly sameRows: boolean;
  /** Something of production's answer was kept. */
  readonly capturedKept: boolean;
  readonly rules: AnswerRules;
}

const CELL_CHARS = 36;
const NAME_CHARS = 30;
/** Pairs of rows looked at to name the columns that differ. */
const MAX_PAIRS = 1000;

export function compareRows(answers: TwoAnswers): Found {
  const found = pairwise(answers);
  if (found.different < 0) return withoutDifference(answers, found);
  if (!answers.complete) return inPart(answers, found);
  const left = unmatchedRows(answers.captured, answers.replayed, answers.columns);
  if (left.captured.length === 0 && left.replayed.length === 0) return inOtherOrder(answers, found);
  return inValues(answers, left);
}

interface Pairwise {
  /** Position of the first row with a real difference; -1: none. */
  readonly different: number;
  readonly outcomes: readonly Set<CellOutcome>[];
  readonly widths: boolean;
}

/** Compares the rows at the same places. */
function pairwise({ captured, replayed, columns }: TwoAnswers): Pairwise {
  const outcomes: Set<CellOutcome>[] = [];
  let different = -1;
  let widths = false;
  for (let row = 0; row < Math.min(captured.length, replayed.length); row++) {
    const a = captured[row] as Row;
    const b = replayed[row] as Row;
    let differs = a.length !== b.length;
    widths ||= differs;
    for (let i = 0; i < Math.min(a.length, b.length); i++) {
      const outcome = compareCells(a[i] ?? null, b[i] ?? null, columnAt(columns, i));
      if (outcome === 'same') continue;
      outcomes[i] ??= new Set();
      outcomes[i]?.add(outcome);
      differs ||= outcome === 'different';
    }
    if (differs && different < 0) different = row;
  }
  return { different, outcomes, widths };
}

const undescribed: CellColumn = { captured: null, replayed: null, rule: { trait: '', extract: false } };
const columnAt = (columns: readonly CellColumn[], at: number): CellColumn => columns[at] ?? undescribed;

/** Everything that differs does so by nature, or is the same value in another notation. */
function withoutDifference(answers: TwoAnswers, { outcomes }: Pairwise): Found {
  const { columns, complete, sameRows } = answers;
  const touched = [...outcomes.keys()].filter((i) => (outcomes[i]?.size ?? 0) > 0);
  const names = touched.map((i) => nameOf(columns, i)).filter((name) => name !== '');
  const has = (outcome: CellOutcome): boolean => touched.some((i) => outcomes[i]?.has(outcome));
  if (!complete) return partlyEqual(answers, touched.length > 0, names);
  if (touched.length === 0)
    return sameRows
      ? diverged('orderOnly', 'the same rows in another order')
      : diverged('value', 'values differ; the answers kept do not show where');
  const detail = touched.map((i) => `${titleOf(columns, i)}: ${describe(outcomes[i] as Set<CellOutcome>)}`).join('; ');
  if (has('openOrder')) return { ...open(detail), columns: names };
  return (
    byNature(columns, detail) ??
    diverged(has('masked') || has('notation') ? 'maskedMatch' : 'numericEpsilon', detail, names)
  );
}

/** null: there are columns beside those that differ by nature. */
function byNature(columns: readonly CellColumn[], detail: string): Found | null {
  const traits = columns.map(({ rule }) => rule.trait);
  if (traits.length === 0 || !traits.every((trait) => trait === 'volatile' || trait === 'server')) return null;
  const notCompared = traits.includes('volatile') ? 'volatile' : 'serverSpecific';
  return { class: 'notCompared', notCompared, detail, columns: [] };
}

function describe(outcomes: ReadonlySet<CellOutcome>): string {
  if (outcomes.has('masked')) return 'differs by nature';
  if (outcomes.has('openOrder')) return 'its order is not given';
  return outcomes.has('number')
    ? 'the same number, of another scale or precision'
    : 'the same value in another notation';
}

/** What was kept of both sides is equal for people, but not all of it was kept. */
function partlyEqual(answers: TwoAnswers, touched: boolean, names: readonly string[]): Found {
  const { columns, sameRows, rules } = answers;
  const nothing = byNature(columns, unseen(answers));
  if (nothing !== null) return nothing;
  if (sameRows) return diverged('orderOnly', 'the same rows in another order; the answers kept do not show where');
  if (rules.rows !== 'all' && !rules.orderTotal) return open('the answers kept do not show where');
  if (!touched && columns.every(({ rule }) => rule.trait === '')) return diverged('value', unseen(answers));
  return {
    ...{ class: 'notCompared', notCompared: 'truncated', columns: names },
    detail: 'what was kept differs by nature or notation only; the rest was not kept',
  };
}

function unseen({ capturedKept }: TwoAnswers): string {
  return capturedKept
    ? 'values differ; the answers kept do not show where'
    : "values differ; of production's answer only the digest was kept";
}

/** The first difference was kept, and not all that comes after it. */
function inPart(answers: TwoAnswers, { different, widths }: Pairwise): Found {
  const { rules, sameRows, before } = answers;
  if (sameRows) return inOtherOrder(answers, { different });
  if (rules.rows === 'some' || (rules.rows === 'ends' && !rules.orderTotal && !rules.keysComplete))
    return open(describePair(answers, different, different));
  const columns = widths ? [] : differingColumns(answers, [different], [different]);
  return diverged('value', describePair(answers, different, different, before), columns);
}

/** The same rows, not in the same order. */
function inOtherOrder(answers: TwoAnswers, { different }: Pick<Pairwise, 'different'>): Found {
  const { rules, captured, before, columns } = answers;
  const where = `from row ${before + different + 1} on`;
  const count = answers.complete ? `the same ${captured.length} rows` : 'the same rows';
  const key = firstKeyOutOfOrder(answers);
  if (key !== null) {
    const names = [nameOf(columns, key.column)].filter((name) => name !== '');
    return key.collated
      ? diverged('collation', `${count}, text of ${titleOf(columns, key.column)} ordered otherwise, ${where}`, names)
      : diverged(
          'value',
          `${count}, not in the order of ${titleOf(columns, key.column)} that ORDER BY gives, ${where}`,
          names,
        );
  }
  if (rules.orderTotal) return diverged('value', `order differs although ORDER BY is total, ${where}`);
  if (answers.complete && isOrderTotalHere(answers))
    return diverged('value', `order differs although no two rows are equal in ORDER BY, ${where}`);
  return diverged('orderOnly', `${count} in another order, ${where}`);
}

function inValues(
  answers: TwoAnswers,
  left: { readonly captured: readonly number[]; readonly replayed: readonly number[] },
): Found {
  const { rules } = answers;
  const a = left.captured[0] ?? left.replayed[0] ?? 0;
  const b = left.replayed[0] ?? a;
  const detail = describePair(answers, a, b);
  if (rules.rows === 'some') return open(detail);
  if (rules.rows === 'ends' && !rules.orderTotal && (!rules.keysComplete || tiesAtTheEnds(answers, left)))
    return open(`${detail}; ORDER BY has ties where LIMIT cuts`);
  return diverged('value', detail, differingColumns(answers, left.captured, left.replayed));
}

function differingColumns(answers: TwoAnswers, captured: readonly number[], replayed: readonly number[]): string[] {
  const { columns } = answers;
  const found = new Set<number>();
  for (let i = 0; i < Math.min(captured.length, replayed.length, MAX_PAIRS); i++) {
    const a = answers.captured[captured[i] as number] ?? [];
    const b = answers.replayed[replayed[i] as number] ?? [];
    for (let at = 0; at < Math.min(a.length, b.length); at++)
      if (compareCells(a[at] ?? null, b[at] ?? null, columnAt(columns, at)) === 'different') found.add(at);
  }
  return [...found]
    .sort((x, y) => x - y)
    .map((at) => nameOf(columns, at))
    .filter((name) => name !== '');
}

/** `row 3, column balance: 10 → 12` */
function describePair(answers: TwoAnswers, a: number, b: number, before = answers.before): string {
  const { columns } = answers;
  const left = answers.captured[a] ?? [];
  const right = answers.replayed[b] ?? [];
  const row = `row ${before + a + 1}`;
  if (left.length !== right.length) return `${row}: ${left.length} → ${right.length} values`;
  const at = left.findIndex((cell, i) => compareCells(cell, right[i] ?? null, columnAt(columns, i)) === 'different');
  if (at < 0) return row;
  const { captured, replayed } = columnAt(columns, at);
  const title = columns.length === 0 ? '' : `, ${titleOf(columns, at)}`;
  return `${row}${title}: ${shortCell(left[at] ?? null, captured)} → ${shortCell(right[at] ?? null, replayed)}`;
}

type Field = CellColumn['captured'];

function shortCell(cell: Row[number], field: Field): string {
  if (cell === null) return 'NULL';
  const text = cellText(cell, field);
  return text === '' ? "''" : oneLine(text, CELL_CHARS);
}

const nameOf = (columns: readonly CellColumn[], at: number): string => columns[at]?.captured?.name ?? '';
const titleOf = (columns: readonly CellColumn[], at: number): string =>
  `column ${oneLine(nameOf(columns, at), NAME_CHARS) || at + 1}`;

function diverged(name: StatementClass, detail: string, columns: readonly string[] = []): Found {
  return { class: name, notCompared: '', detail, columns };
}

function open(detail: string): Found {
  return { class: 'notCompared', notCompared: 'undetermined', detail, columns: [] };
}
