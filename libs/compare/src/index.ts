// Digests of answers and what a difference between two of them is called.
export { AnswerDigester, type AnswerDigesterOptions } from './pg/answer-digester.ts';
export { type AnswerRules, type ColumnRule, noRules, plainColumn, type RulesOf } from './pg/answer-rules.ts';
export { cellText } from './pg/cell-text.ts';
export { type Classification, type ComparedObservation, classify, match, notCompared, verbOf } from './pg/classify.ts';
export {
  type AnswerColumn,
  type AnswerError,
  type DecodedAnswer,
  type DecodeLimits,
  decodeAnswer,
} from './pg/decode-answer.ts';
export type { RawAnswers } from './pg/difference.ts';
export { oneLine } from './pg/one-line.ts';
export { describeSqlState, sqlStateName } from './pg/sql-state.ts';
export type { RawAnswer, StatementEndName } from './pg/statement-frames.ts';
export { sameCanonical } from './pg/values/canonical.ts';
export { readValue } from './pg/values/read-value.ts';
