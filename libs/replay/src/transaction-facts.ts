// What a transaction does, from the texts of its statements: asked for only while a filter or shedding wants to know.
import type { SideEffect } from '@mirrorstream/domain';
import { DependencyReason, type Envelope } from '@mirrorstream/envelope';
import { exchangeStatements } from './request-walk.ts';
import { SQL_CAP_BYTES, StatementTable } from './statement-table.ts';

/** What is known of one text; `StatementFacts` of libs/sql. */
export interface TextFacts {
  readonly kind: 'control' | 'reads' | 'unknown' | 'writes' | 'ddl';
  readonly tables: readonly string[];
  readonly harmless: boolean;
  readonly prepares: readonly { readonly name: string; readonly facts: TextFacts }[];
  readonly executes: readonly string[];
}

/** Knows SQL; caches by text. */
export interface SqlShapes {
  facts(sql: string): TextFacts;
  fingerprint(sql: string): string;
  /** Whether some word hints at a side effect: of a text, or of the bytes of requests as Latin-1. */
  mayHaveSideEffects(text: string): boolean;
  sideEffects(sql: string): ReadonlySet<SideEffect>;
}

export interface TransactionFacts {
  /** By the statement that does the most; what may do anything counts as writing. `none`: nothing but BEGIN, SET and the like. */
  readonly kind: 'none' | 'reads' | 'writes' | 'ddl';
  readonly tables: ReadonlySet<string>;
  /** Leaves nothing in its session but what the context of later envelopes carries along. */
  readonly harmless: boolean;
}

/** Longer texts are cut and so not understood: they may do anything. */
export const TEXT_CAP_BYTES = 64 * 1024;

/** Of an envelope with its context: the first part of a transaction. */
export function transactionFacts(envelope: Envelope, shapes: SqlShapes): TransactionFacts {
  const prepared = new Map<string, TextFacts>();
  for (const { name, sql } of envelope.context?.sqlStatements ?? []) {
    const found = shapes.facts(sql).prepares[0];
    if (found !== undefined) prepared.set(name, found.facts);
  }
  const tables = new Set<string>();
  const found: { kind: TextFacts['kind']; harmless: boolean } = { kind: 'control', harmless: true };
  const add = (facts: TextFacts): void => {
    found.kind = stronger(found.kind, facts.kind);
    found.harmless &&= facts.harmless;
    for (const table of facts.tables) tables.add(table);
    for (const { name, facts: inner } of facts.prepares) prepared.set(name, inner);
    for (const name of facts.executes) add(prepared.get(name) ?? unknown);
  };
  for (const text of textsOf(envelope, TEXT_CAP_BYTES)) add(text === '' ? unknown : shapes.facts(text));
  const kind = envelope.writes ? stronger(found.kind, 'writes') : found.kind;
  const dependsOnCursor = envelope.dependsOnSession.includes(DependencyReason.HELD_CURSOR);
  return { kind: named(kind), tables, harmless: found.harmless && leavesNothing(kind) && !dependsOnCursor };
}

/** Cut where results cut the text they name, so that a fingerprint of a finding is found again. */
export function transactionFingerprints(envelope: Envelope, shapes: SqlShapes): ReadonlySet<string> {
  return new Set(textsOf(envelope, SQL_CAP_BYTES).map((text) => shapes.fingerprint(text)));
}

/** Of each statement that is executed; '' where its text was never seen. */
export function textsOf(envelope: Envelope, capBytes: number): readonly string[] {
  const table = new StatementTable();
  for (const { parseFrame } of envelope.context?.statements ?? []) exchangeStatements(parseFrame, table, capBytes);
  return envelope.exchanges.flatMap(({ request }) => exchangeStatements(request, table, capBytes));
}

const unknown: TextFacts = { kind: 'unknown', tables: [], harmless: false, prepares: [], executes: [] };
const strength = ['control', 'reads', 'unknown', 'writes', 'ddl'] as const satisfies readonly TextFacts['kind'][];

function stronger(a: TextFacts['kind'], b: TextFacts['kind']): TextFacts['kind'] {
  return strength.indexOf(a) >= strength.indexOf(b) ? a : b;
}

/** A write may advance a sequence, whose value the session remembers, or fill a temporary table. */
function leavesNothing(kind: TextFacts['kind']): boolean {
  return kind === 'control' || kind === 'reads';
}

function named(kind: TextFacts['kind']): TransactionFacts['kind'] {
  if (kind === 'control') return 'none';
  return kind === 'unknown' ? 'writes' : kind;
}
