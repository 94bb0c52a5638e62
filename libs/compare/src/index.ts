// Digests of answers and what a difference between two of them is called.
export { AnswerDigester, type AnswerDigesterOptions } from './pg/answer-digester.ts';
export { type Classification, type ComparedObservation, classify, notCompared, verbOf } from './pg/classify.ts';
export {
  type AnswerColumn,
  type AnswerError,
  type DecodedAnswer,
  type DecodeLimits,
  decodeAnswer,
} from './pg/decode-answer.ts';
export { oneLine, type RawAnswers } from './pg/difference.ts';
export { describeSqlState, sqlStateName } from './pg/sql-state.ts';
export type { RawAnswer, StatementEndName } from './pg/statement-frames.ts';
