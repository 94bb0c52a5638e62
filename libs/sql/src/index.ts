// Shape of SQL texts: fingerprint, normalised text, and what besides the data an answer depends on.
export { createSqlAnalyzer, type SqlAnalyzer, type SqlAnalyzerOptions, type SqlAnalyzerStats } from './analyzer.ts';
export type { AnswerShape, ColumnPlace, ColumnShape } from './answer-shape.ts';
export type { Trait } from './column-traits.ts';
export {
  type CatalogFacts,
  type ColumnName,
  type KeyCatalog,
  keyCatalog,
  type NamedReference,
  type SequenceName,
} from './keys/key-catalog.ts';
export { lastValue } from './keys/key-plan.ts';
export { createKeyPlans, type KeyPlans } from './keys/key-plans.ts';
export type { StatementFacts, StatementKind } from './statement-facts.ts';
export { mayEndTransaction, type TransactionCommand, transactionCommands } from './transaction-commands.ts';
export type { Predicate } from './variability.ts';
