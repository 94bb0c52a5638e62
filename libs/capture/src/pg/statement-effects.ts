// What a completed statement changes for the rest of the session: settings, prepared statements, what later envelopes depend on.
import { DependencyReason } from '@mirrorstream/envelope';
import type { TagKind } from './command-tag.ts';
import type { StatementTable } from './prepared.ts';
import { QueryMark } from './query-marks.ts';
import { type SettingsTracker, savepointNameOf, settingChangeOf } from './settings.ts';
import { firstTokens, tokensOf } from './sql-tokens.ts';
import type { Transaction } from './transaction.ts';

/** How the last exchange of a transaction left it. */
export type EndMark = 'none' | 'commit' | 'rollback' | 'error';

export const dependencyBit = (reason: DependencyReason): number => 1 << reason;

/** Applies tags as they come; `ended` when the transaction is over. */
export class StatementEffects {
  /** Dependencies of every later transaction, as bits. */
  sessionDependencies = 0;
  endMark: EndMark = 'none';
  readonly #settings: SettingsTracker;
  readonly #statements: StatementTable;
  readonly #transaction: Transaction;
  /** Become session dependencies if the transaction commits. */
  #pendingDependencies = 0;

  constructor(settings: SettingsTracker, statements: StatementTable, transaction: Transaction) {
    this.#settings = settings;
    this.#statements = statements;
    this.#transaction = transaction;
  }

  exchangeBegan(): void {
    this.endMark = 'none';
  }

  failed(): void {
    this.endMark = 'error';
  }

  /** The text of a statement now being executed: QueryMark bits. */
  executing(marks: number): void {
    if (marks === 0) return;
    if ((marks & QueryMark.advisoryLock) !== 0) this.#dependsOn(DependencyReason.ADVISORY_LOCK);
    // SQL-level PREPARE is not tracked.
    if ((marks & QueryMark.executes) !== 0) this.#dependsOn(DependencyReason.UNKNOWN_STATEMENT);
  }

  /** A CommandComplete. `textOf` gives the statement's text, null when it is not at hand; `copiedIn`: its rows came from the client. */
  completed(kind: TagKind, marks: number, copiedIn: boolean, textOf: () => string | null): void {
    switch (kind) {
      case 'read':
        return;
      case 'write':
        this.#transaction.writes = true;
        return;
      case 'copy':
        if (copiedIn) this.#transaction.writes = true;
        return;
      case 'select':
      case 'create':
        this.#created(kind, marks, textOf);
        return;
      case 'commit':
        this.endMark = 'commit';
        this.#settings.commit();
        return;
      case 'rollback':
        this.#rolledBack(textOf);
        return;
      case 'savepoint':
        this.#settings.savepoint(savepointNameOf(textOf() ?? ''));
        return;
      case 'release':
        if (this.#settings.hasPending) this.#settings.release(savepointNameOf(textOf() ?? ''));
        return;
      case 'set':
      case 'reset':
        this.#setting(textOf());
        return;
      case 'discardAll':
        this.#discardedAll();
        return;
      case 'discard':
        this.sessionDependencies &= ~dependencyBit(DependencyReason.TEMP_TABLE);
        return;
      case 'deallocate':
        this.#deallocated(textOf());
        return;
      case 'declareCursor':
        if (declaresHold(textOf() ?? '')) this.#pendingDependencies |= dependencyBit(DependencyReason.HELD_CURSOR);
        return;
      case 'listen':
        this.#pendingDependencies |= dependencyBit(DependencyReason.LISTEN);
        return;
      default:
        kind satisfies never;
    }
  }

  /** The transaction is over; what it changed holds, or not. */
  ended(kept: boolean): void {
    if (kept) {
      this.#settings.commit();
      this.sessionDependencies |= this.#pendingDependencies;
    } else {
      this.#settings.rollback();
    }
    this.#pendingDependencies = 0;
  }

  #dependsOn(reason: DependencyReason): void {
    this.#transaction.dependencies |= dependencyBit(reason);
  }

  /** CREATE TABLE AS and SELECT INTO answer SELECT: the text says that they write, and whether the table is temporary. */
  #created(kind: 'select' | 'create', marks: number, textOf: () => string | null): void {
    const temporary = (marks & QueryMark.temporary) !== 0;
    if (kind === 'select' && !temporary) {
      if ((marks & QueryMark.creates) !== 0) this.#transaction.writes = true;
      return;
    }
    const words = temporary ? wordsOf(textOf() ?? '', 400) : [];
    const creates = kind === 'create' || words[0] === 'create' || words.includes('into');
    if (creates) this.#transaction.writes = true;
    if (creates && (words.includes('temp') || words.includes('temporary'))) {
      this.#pendingDependencies |= dependencyBit(DependencyReason.TEMP_TABLE);
    }
  }

  #rolledBack(textOf: () => string | null): void {
    const savepoint = this.#settings.hasPending ? savepointNameOf(textOf() ?? '') : '';
    if (savepoint !== '') {
      this.#settings.rollbackTo(savepoint);
      return;
    }
    this.endMark = 'rollback';
    this.#settings.rollback();
  }

  #setting(text: string | null): void {
    const change = text === null ? null : settingChangeOf(text);
    if (change !== null) this.#settings.change(change);
  }

  #discardedAll(): void {
    this.#settings.discardAll();
    this.#statements.closeAll();
    this.sessionDependencies = 0;
    this.#pendingDependencies = 0;
  }

  #deallocated(text: string | null): void {
    const tokens = firstTokens(text ?? '', 3);
    const named = tokens[1]?.value === 'prepare' && tokens[2] !== undefined ? tokens[2] : tokens[1];
    if (named === undefined) return;
    if (named.kind === 'word' && named.value === 'all') this.#statements.closeAll();
    else this.#statements.close(named.value);
  }
}

function wordsOf(sql: string, most: number): string[] {
  const words: string[] = [];
  for (const token of tokensOf(sql)) {
    if (token.kind === 'word') words.push(token.value);
    if (words.length >= most) break;
  }
  return words;
}

function declaresHold(sql: string): boolean {
  const words = wordsOf(sql, 20);
  return words.some((word, index) => word === 'hold' && words[index - 1] === 'with');
}
