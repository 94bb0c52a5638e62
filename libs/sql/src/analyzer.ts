// Fingerprint and normalised SQL by PostgreSQL's own parser, cached by text; by tokens for what the parser rejects.
import type { SideEffect } from '@mirrorstream/domain';
import { fingerprintSync, loadModule, normalizeSync, parseSync } from 'libpg-query';
import { type AnswerShape, answerShape, unknownShape } from './answer-shape.ts';
import { BoundedCache } from './bounded-cache.ts';
import { lexicalFingerprint, lexicalNormalize } from './lexical.ts';
import { readingFunctions } from './reading-functions.ts';
import { mayHaveSideEffects, sideEffectsIn, sideEffectsOfWords } from './side-effects.ts';
import { type StatementFacts, statementFacts, unknownStatement } from './statement-facts.ts';

export interface SqlAnalyzerOptions {
  readonly maxEntries?: number; // default 10 000
  readonly maxBytes?: number; // default 16 MiB
  /** Longer texts are looked at by tokens only, and of those only this much. Default 64 KiB of UTF-16 units. */
  readonly maxParsedChars?: number;
}

export interface SqlAnalyzerStats {
  readonly hits: number;
  readonly misses: number;
  readonly entries: number;
  readonly sizeBytes: number;
  /** Texts the parser rejected (or was not asked about, for their length). */
  readonly lexical: number;
}

export interface SqlAnalyzer {
  /** 16 hexadecimal digits: libpg_query's fingerprint, or one over the tokens. */
  fingerprint(sql: string): string;
  /** Constants replaced by parameters. */
  normalize(sql: string): string;
  /** What the text says of the answer to its statement at `position` (from 0): its columns, its order, which rows come. */
  answerShape(sql: string, position: number): AnswerShape;
  /** Whether some word of it hints at a side effect: a text, or the bytes of requests as Latin-1. */
  mayHaveSideEffects(text: string): boolean;
  /** What it does outside the tables of its database; see side-effects.ts for what can be seen. Cheap where no word hints at any. */
  sideEffects(sql: string): ReadonlySet<SideEffect>;
  /** What it does and to which tables; of a text that does not parse, `unknown`. */
  facts(sql: string): StatementFacts;
  /** Whether the text is in the cache: looking at it costs nothing more. */
  isKnown(sql: string): boolean;
  stats(): SqlAnalyzerStats;
}

/** What is known of one text. Filled when first asked for: most callers never need all of it. */
interface Shape {
  readonly parsed: boolean;
  readonly fingerprint: string;
  normalized: string | null;
  answer: { readonly position: number; readonly shape: AnswerShape } | null;
  sideEffects: ReadonlySet<SideEffect> | null;
  facts: StatementFacts | null;
}

const hexFingerprint = /^[0-9a-f]{16}$/;
/** An entry's own overhead, and the normalised text that may still come: about as long as the text. */
const ENTRY_BYTES = 200;
const BYTES_PER_CHAR = 4;

const none: ReadonlySet<SideEffect> = new Set();

/** Loads the parser (WebAssembly, about 15 ms the first time). */
export async function createSqlAnalyzer(options: SqlAnalyzerOptions = {}): Promise<SqlAnalyzer> {
  await loadModule();
  return new CachedAnalyzer(options);
}

class CachedAnalyzer implements SqlAnalyzer {
  private readonly cache: BoundedCache<Shape>;
  private readonly maxParsedChars: number;
  private lexical = 0;

  constructor(options: SqlAnalyzerOptions) {
    this.cache = new BoundedCache({
      maxEntries: options.maxEntries ?? 10_000,
      maxBytes: options.maxBytes ?? 16 * 1024 * 1024,
    });
    this.maxParsedChars = options.maxParsedChars ?? 65_536;
  }

  fingerprint(sql: string): string {
    return this.shapeOf(sql).fingerprint;
  }

  normalize(sql: string): string {
    const shape = this.shapeOf(sql);
    shape.normalized ??= shape.parsed ? this.normalizeParsed(sql) : this.normalizeTokens(sql);
    return shape.normalized;
  }

  answerShape(sql: string, position: number): AnswerShape {
    const shape = this.shapeOf(sql);
    if (!shape.parsed) return unknownShape;
    if (shape.answer?.position !== position) shape.answer = { position, shape: parsedAnswerShape(sql, position) };
    return shape.answer.shape;
  }

  mayHaveSideEffects(text: string): boolean {
    return mayHaveSideEffects(text);
  }

  sideEffects(sql: string): ReadonlySet<SideEffect> {
    if (!mayHaveSideEffects(sql)) return none;
    const shape = this.shapeOf(sql);
    shape.sideEffects ??= shape.parsed ? parsedSideEffects(sql) : sideEffectsOfWords(sql);
    return shape.sideEffects;
  }

  facts(sql: string): StatementFacts {
    const shape = this.shapeOf(sql);
    shape.facts ??= shape.parsed ? parsedFacts(sql) : unknownStatement;
    return shape.facts;
  }

  isKnown(sql: string): boolean {
    return this.cache.has(sql);
  }

  stats(): SqlAnalyzerStats {
    const { hits, misses, size, sizeBytes } = this.cache;
    return { hits, misses, entries: size, sizeBytes, lexical: this.lexical };
  }

  private shapeOf(sql: string): Shape {
    const known = this.cache.get(sql);
    if (known !== undefined) return known;
    const shape = this.look(sql);
    this.cache.set(sql, shape, ENTRY_BYTES + sql.length * BYTES_PER_CHAR);
    return shape;
  }

  private look(sql: string): Shape {
    const parsed = this.parserFingerprint(sql);
    if (parsed !== null)
      return { parsed: true, fingerprint: parsed, normalized: null, answer: null, sideEffects: null, facts: null };
    this.lexical += 1;
    const normalized = this.normalizeTokens(sql);
    return {
      parsed: false,
      fingerprint: lexicalFingerprint(normalized),
      normalized,
      answer: null,
      sideEffects: null,
      facts: null,
    };
  }

  /** null when the parser rejects the text. It throws for a syntax error, and answers with the message for some other ones. */
  private parserFingerprint(sql: string): string | null {
    if (sql.length > this.maxParsedChars || sql.trim() === '') return null;
    try {
      const fingerprint = fingerprintSync(sql);
      return hexFingerprint.test(fingerprint) ? fingerprint : null;
    } catch {
      return null;
    }
  }

  private normalizeParsed(sql: string): string {
    try {
      return normalizeSync(sql);
    } catch {
      return this.normalizeTokens(sql);
    }
  }

  private normalizeTokens(sql: string): string {
    return lexicalNormalize(sql.slice(0, this.maxParsedChars));
  }
}

function parsedAnswerShape(sql: string, position: number): AnswerShape {
  try {
    return answerShape(parseSync(sql), position);
  } catch {
    return unknownShape;
  }
}

function parsedSideEffects(sql: string): ReadonlySet<SideEffect> {
  try {
    return sideEffectsIn(parseSync(sql));
  } catch {
    return sideEffectsOfWords(sql);
  }
}

function parsedFacts(sql: string): StatementFacts {
  try {
    return statementFacts(parseSync(sql), readingFunctions);
  } catch {
    return unknownStatement;
  }
}
