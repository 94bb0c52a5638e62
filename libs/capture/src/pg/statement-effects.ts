// What a completed statement changes for the rest of the session: settings, prepared statements, what later envelopes depend on.
import { DependencyReason } from '@mirrorstream/envelope';
import type { TagKind } from './command-tag.ts';
import { preparedText, type StatementTable } from './prepared.ts';
import { QueryMark, SESSION_CALL_MARKS } from './query-marks.ts';
import { applyCalls, type CallValues, changesSettingsInBody, mayHaveLocked } from './session-call-effects.ts';
import { dependencyBit, Facet, type SessionState } from './session-state.ts';
import { savepointNameOf, settingChangeOf } from './settings.ts';
import { firstTokens, type SqlToken, tokensOf } from './sql-tokens.ts';
import { createdTempOf, droppedNamesOf } from './temp-objects.ts';
import type { Transaction } from './transaction.ts';

/** How the last statement of a transaction left it. */
export type EndMark = 'none' | 'commit' | 'rollback' | 'error';

/** A statement that completed: the marks of its text, the text (null when not at hand), and what its calls were given and gave. */
export interface CompletedStatement {
  readonly marks: number;
  /** Its rows came from the client. */
  readonly copiedIn: boolean;
  text(): string | null;
  values(): CallValues;
}

/** Applies tags as they come; `ended` when the transaction is over. */
export class StatementEffects {
  endMark: EndMark = 'none';
  readonly #state: SessionState;
  readonly #statements: StatementTable;
  readonly #transaction: Transaction;

  constructor(state: SessionState, statements: StatementTable, transaction: Transaction) {
    this.#state = state;
    this.#statements = statements;
    this.#transaction = transaction;
  }

  exchangeBegan(): void {
    this.endMark = 'none';
  }

  failed(): void {
    this.endMark = 'error';
  }

  /** A statement failed while it ran. What it had called may have taken a lock, which no rollback gives back. */
  failedRunning(marks: number, sql: string | null): void {
    // These may have committed before they failed.
    if (sql !== null && /^(?:call|do)\b/i.test(sql)) this.#transaction.writes = true;
    if ((marks & QueryMark.advisoryLock) !== 0 && (sql === null || mayHaveLocked(sql))) this.#state.locks.add(null);
  }

  /** The text of a statement now being executed: QueryMark bits. */
  executing(marks: number): void {
    if ((marks & QueryMark.sequenceValue) !== 0) this.dependsOn(DependencyReason.SEQUENCE_VALUE);
  }

  dependsOn(reason: DependencyReason): void {
    this.#transaction.dependencies |= dependencyBit(reason);
  }

  /** A CommandComplete. */
  completed(kind: TagKind, statement: CompletedStatement): void {
    this.endMark = 'none';
    if ((statement.marks & SESSION_CALL_MARKS) !== 0) this.#called(kind, statement);
    if (kind !== 'read' && kind !== 'write') this.#completed(kind, statement);
    else if (kind === 'write') this.#transaction.writes = true;
  }

  #completed(kind: Exclude<TagKind, 'read' | 'write'>, statement: CompletedStatement): void {
    const { journal } = this.#state;
    switch (kind) {
      case 'copy':
        if (statement.copiedIn) this.#transaction.writes = true;
        return;
      case 'select':
      case 'create':
        this.#created(kind, statement);
        return;
      case 'drop':
        this.#transaction.writes = true;
        if (this.#state.hasTemp || !journal.isEmpty) this.#dropped(statement.text());
        return;
      case 'block':
        this.#transaction.writes = true;
        this.#ranBlock(statement);
        return;
      case 'commit':
        this.endMark = 'commit';
        journal.commit();
        return;
      case 'rollback':
        this.#rolledBack(statement.text);
        return;
      case 'savepoint':
        journal.savepoint(savepointNameOf(statement.text() ?? ''));
        return;
      case 'release':
        if (!journal.isEmpty) journal.release(savepointNameOf(statement.text() ?? ''));
        return;
      case 'set':
      case 'reset':
        this.#setting(statement.text());
        return;
      case 'discardAll':
        this.#state.discardAll();
        this.#statements.closeAll();
        return;
      case 'discardTemp':
        journal.change({ kind: 'discardTemp' });
        return;
      case 'prepare':
        this.#prepared(statement);
        return;
      case 'deallocate':
        this.#deallocated(statement.text());
        return;
      case 'declareCursor':
        this.#declared(statement.text() ?? '');
        return;
      case 'closeCursor':
        this.#closedCursor(statement.text() ?? '');
        return;
      case 'listen':
        journal.change({ kind: 'listen', channel: nameAt(statement.text(), 1) });
        return;
      case 'unlisten':
        this.#unlistened(statement.text());
        return;
      default:
        kind satisfies never;
    }
  }

  /** The transaction is over. */
  ended(): void {
    if (this.endMark === 'commit' || this.endMark === 'none') this.#state.journal.commit();
    else this.#state.journal.rollback();
  }

  #called(kind: TagKind, statement: CompletedStatement): void {
    if (kind === 'prepare' || kind === 'block') return;
    const text = statement.text();
    applyCalls(this.#state, statement.marks, text, kind === 'select' ? statement.values() : null);
  }

  /** CREATE TABLE AS and SELECT INTO answer SELECT: the text says that they write, and whether the table is temporary. */
  #created(kind: 'select' | 'create', { marks, text }: CompletedStatement): void {
    const temporary = (marks & QueryMark.temporary) !== 0;
    if (kind === 'create' || (marks & QueryMark.creates) !== 0) this.#transaction.writes = true;
    if (!temporary) return;
    const sql = text();
    const created = sql === null ? { name: '' } : createdTempOf(sql);
    if (created === null) return;
    this.#transaction.writes = true;
    this.#state.journal.change({ kind: 'createTemp', name: created.name === '' ? null : created.name });
  }

  #dropped(sql: string | null): void {
    for (const name of droppedNamesOf(sql ?? '')) this.#state.journal.change({ kind: 'dropTemp', name });
  }

  /** DO: what its body says is done, as far as that can be seen. */
  #ranBlock({ marks, text }: CompletedStatement): void {
    const { journal, locks } = this.#state;
    const sql = text();
    if ((marks & QueryMark.temporary) !== 0) journal.change({ kind: 'createTemp', name: null });
    if ((marks & QueryMark.advisoryLock) !== 0) locks.add(null);
    if ((marks & QueryMark.setConfig) !== 0 || sql === null || changesSettingsInBody(sql))
      journal.change({ kind: 'unknownSetting' });
  }

  #rolledBack(textOf: () => string | null): void {
    const { journal } = this.#state;
    const savepoint = journal.isEmpty ? '' : savepointNameOf(textOf() ?? '');
    if (savepoint !== '') {
      journal.rollbackTo(savepoint);
      return;
    }
    this.endMark = 'rollback';
    journal.rollback();
  }

  #setting(text: string | null): void {
    const { journal } = this.#state;
    if (text === null) {
      journal.change({ kind: 'unknownSetting' });
      return;
    }
    if (takesSnapshot(text)) this.dependsOn(DependencyReason.SNAPSHOT);
    const change = settingChangeOf(text);
    if (change !== null) journal.change(change);
  }

  #prepared({ marks, text }: CompletedStatement): void {
    const sql = text();
    const prepared = sql === null ? null : preparedText(sql);
    if (prepared === null || sql === null) return;
    const kept = marks & ~(QueryMark.executes | QueryMark.creates);
    this.#statements.prepared(prepared.name, sql, kept, this.#transaction.number);
  }

  #deallocated(text: string | null): void {
    const name = deallocatedNameOf(text ?? '');
    if (name === null) this.#statements.closeAll();
    else this.#statements.close(name);
  }

  #declared(sql: string): void {
    const words = firstTokens(sql, 20).filter((token) => token.kind === 'word');
    const holds = words.some((token, at) => token.value === 'hold' && words[at - 1]?.value === 'with');
    if (holds) this.#state.journal.change({ kind: 'holdCursor', name: nameAt(sql, 1) });
  }

  /** Closing is no part of the transaction: a rollback does not open the cursor again. */
  #closedCursor(sql: string): void {
    const [, named] = firstTokens(sql, 2);
    if (named?.kind === 'word' && named.value === 'all') this.#state.settle(Facet.cursors);
    else if (named !== undefined) this.#state.cursors.delete(named.value);
  }

  #unlistened(sql: string | null): void {
    const [, named] = firstTokens(sql ?? '', 2);
    if (named === undefined) return;
    const channel = named.kind === 'symbol' ? null : named.value;
    this.#state.journal.change({ kind: 'unlisten', channel });
  }
}

/** Null: could not be read. */
function nameAt(sql: string | null, index: number): string {
  return firstTokens(sql ?? '', index + 1)[index]?.value ?? '';
}

function takesSnapshot(sql: string): boolean {
  const [verb, what, snapshot] = firstTokens(sql, 3);
  return verb?.value === 'set' && what?.value === 'transaction' && snapshot?.value === 'snapshot';
}

/** Name of the prepared statement that a statement executes: EXECUTE, EXPLAIN … EXECUTE, CREATE TABLE … AS EXECUTE; null: none. */
export function executedNameOf(sql: string): string | null {
  let before: SqlToken | null = null;
  let seen = 0;
  for (const token of tokensOf(sql)) {
    const first = seen === 0;
    if (before !== null && (token.kind === 'word' || token.kind === 'name')) return token.value;
    before = token.kind === 'word' && token.value === 'execute' ? token : null;
    if (first && token.kind === 'word' && !mayExecute.has(token.value)) return null;
    seen += 1;
    if (seen > 200) return null;
  }
  return null;
}

const mayExecute = new Set(['execute', 'explain', 'create']);

/** DEALLOCATE [PREPARE] name; null: ALL. */
export function deallocatedNameOf(sql: string): string | null {
  const tokens = firstTokens(sql, 3);
  const named = tokens[1]?.value === 'prepare' && tokens[2] !== undefined ? tokens[2] : tokens[1];
  return named === undefined || (named.kind === 'word' && named.value === 'all') ? null : named.value;
}
