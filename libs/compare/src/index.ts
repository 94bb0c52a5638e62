// Digests of answers and what a difference between two of them is called.
export { AnswerDigester, type AnswerDigesterOptions } from './pg/answer-digester.ts';
