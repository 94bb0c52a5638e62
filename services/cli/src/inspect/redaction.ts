// Makes values safe for people who are to see that something differs, not what it is: lengths and kinds stay, contents go.
import type { AnswerDiff } from './answer-diff.ts';

/** How values are shown: as they are, or what they look like. */
export type ShowValue = (value: string | null) => string;

export const asItIs: ShowValue = (value) => value ?? 'NULL';

/** `‹12 characters›`, `‹3 digits›`; NULL and the empty text are told apart. */
export const redacted: ShowValue = (value) => {
  if (value === null) return 'NULL';
  if (value === '') return '‹empty›';
  const digits = /^-?\d+(\.\d+)?$/.test(value);
  const length = [...value].length;
  return `‹${length} ${digits ? 'digit' : 'character'}${length === 1 ? '' : 's'}›`;
};

export const showValueOf = (show: boolean): ShowValue => (show ? asItIs : redacted);

/** Details of verdicts of these classes name values. */
const valueClasses: ReadonlySet<string> = new Set([
  'value',
  'orderOnly',
  'collation',
  'numericEpsilon',
  'maskedMatch',
  'suspect',
  'notCompared',
]);
export const tellsValues = (className: string): boolean => valueClasses.has(className);

export function redactDiff(diff: AnswerDiff, show: ShowValue): AnswerDiff {
  const row = (cells: readonly (string | null)[]): readonly (string | null)[] =>
    cells.map((cell) => (cell === null ? null : show(cell)));
  return {
    ...diff,
    rows: diff.rows.map((entry) => {
      switch (entry.kind) {
        case 'same':
        case 'onlyCaptured':
          return { ...entry, captured: row(entry.captured) };
        case 'onlyReplayed':
          return { ...entry, replayed: row(entry.replayed) };
        case 'changed':
          return { ...entry, captured: row(entry.captured), replayed: row(entry.replayed) };
        default:
          return entry satisfies never;
      }
    }),
  };
}
