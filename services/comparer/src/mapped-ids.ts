// What the replayer found with ids mapped, as a class: it has both answers whole and knows the map, which the comparer does not.
import { type AnswerRules, type Classification, plainColumn } from '@mirrorstream/compare';
import { type IdMark, idMarks } from '@mirrorstream/domain';
import type { StatementResult } from '@mirrorstream/envelope';

const found: Readonly<Record<Exclude<IdMark, ''>, Classification>> = {
  equal: {
    class: 'maskedMatch',
    notCompared: '',
    columns: [],
    detail: "equal with the mirror's ids in place of production's",
  },
  order: {
    class: 'orderOnly',
    notCompared: '',
    columns: [],
    detail: "the same rows in another order, with the mirror's ids in place of production's",
  },
  other: {
    class: 'value',
    notCompared: '',
    columns: [],
    detail: 'equal byte by byte, but on this mirror these are ids of other rows',
  },
};

/** Null: ids do not settle it. */
export function classifyMapped({ ids }: StatementResult): Classification | null {
  const mark = idMarks.find((name) => name === ids?.mark) ?? '';
  return mark === '' ? null : found[mark];
}

/** Columns in which only mapped ids differ are no reason for a difference; what stands beside them may be one. */
export function withMappedColumns(rules: AnswerRules, { ids }: StatementResult, columnCount: number): AnswerRules {
  if (ids === undefined || ids.columns.length === 0) return rules;
  const columns = Array.from({ length: columnCount }, (_, i) => rules.columns[i] ?? plainColumn);
  for (const at of ids.columns) {
    const rule = columns[at];
    if (rule !== undefined && rule.trait === '') columns[at] = { ...rule, trait: 'server' };
  }
  return { ...rules, columns };
}
