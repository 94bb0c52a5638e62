// Connects the replies to the statements they are about: which text ran, which prepared statement was used, prepared or closed.
import { DependencyReason } from '@mirrorstream/envelope';
import {
  bindPortal,
  bindStatement,
  closeName,
  closeTarget,
  describeName,
  describeTarget,
  executePortal,
  F,
  parseStatementName,
  queryText,
  TargetByte,
} from '@mirrorstream/pg-wire';
import type { AnswerRecorder } from './answer-recorder.ts';
import type { ClientFrame } from './client-frames.ts';
import type { TagKind } from './command-tag.ts';
import { copyOf, type PreparedEntry, preparedText, type StatementTable, textOfEntry } from './prepared.ts';
import { MARK_BITS, QueryMark, SESSION_CALL_MARKS } from './query-marks.ts';
import type { RequestIntake } from './request-intake.ts';
import { bindParameter, type CallArgument, executeArgumentsOf, rowValues } from './session-calls.ts';
import {
  type CompletedStatement,
  deallocatedNameOf,
  executedNameOf,
  type StatementEffects,
} from './statement-effects.ts';
import { StatementTexts } from './statement-texts.ts';
import type { Transaction } from './transaction.ts';

/** A Bind is kept with its portal where the statement's parameters matter, up to this. */
const MAX_BIND_BYTES = 4 * 1024;

export interface StatementUseParts {
  readonly intake: RequestIntake;
  readonly statements: StatementTable;
  readonly transaction: Transaction;
  readonly effects: StatementEffects;
  readonly recorder: AnswerRecorder;
}

export class StatementUse {
  readonly #intake: RequestIntake;
  readonly #statements: StatementTable;
  readonly #transaction: Transaction;
  readonly #effects: StatementEffects;
  readonly #recorder: AnswerRecorder;
  /** Statements of the Query under way that are complete. */
  #completed = 0;
  readonly #texts = new StatementTexts();
  /** The statement that completed or failed: its frame, and of an Execute its portal. */
  #frame: ClientFrame | null = null;
  #portal: PreparedEntry | null = null;
  /** It is an EXECUTE of this statement, with these arguments. */
  #executed: { readonly text: string | null; readonly args: readonly CallArgument[] } | null = null;
  /** What the effects ask of it: one object, filled anew for each. */
  readonly #statement: CompletedStatement & { marks: number; copiedIn: boolean } = {
    marks: 0,
    copiedIn: false,
    text: () => this.#text(),
    values: () => ({ parameter: (index) => this.#parameter(index), row: () => this.#row() }),
  };

  constructor({ intake, statements, transaction, effects, recorder }: StatementUseParts) {
    this.#intake = intake;
    this.#statements = statements;
    this.#transaction = transaction;
    this.#effects = effects;
    this.#recorder = recorder;
  }

  /** The first reply to a Query (or FunctionCall): it is being executed. A Query drops the unnamed statement. */
  queryBegan(frame: ClientFrame): void {
    this.#completed = 0;
    if (frame.type !== F.Query) return;
    this.#texts.reset();
    this.#statements.close('');
    this.#executing(frame.marks);
  }

  parsed(frame: ClientFrame): void {
    this.#statements.parsed(this.#intake.bytesOf(frame), frame.marks & MARK_BITS, this.#transaction.number);
  }

  bound(frame: ClientFrame): void {
    const bytes = this.#intake.bytesOf(frame);
    if (bytes === null) return;
    const entry = this.#statements.statement(bindStatement(bytes, 0, bytes.length));
    const keeps = entry !== null && (entry.marks & SESSION_CALL_MARKS) !== 0 && bytes.length <= MAX_BIND_BYTES;
    this.#statements.bind(bindPortal(bytes, 0, bytes.length), entry, keeps ? copyOf(bytes) : null);
    this.#uses(entry);
    if (entry !== null) this.#executing(entry.marks);
  }

  described(frame: ClientFrame): void {
    const bytes = this.#intake.bytesOf(frame);
    if (bytes !== null) this.#uses(this.#statements.statement(describeName(bytes, 0, bytes.length)));
  }

  closed(frame: ClientFrame): void {
    const bytes = this.#intake.bytesOf(frame);
    if (bytes === null) return;
    const name = closeName(bytes, 0, bytes.length);
    if (closeTarget(bytes, 0, bytes.length) === TargetByte.Statement) this.#statements.close(name);
    else this.#statements.closePortal(name);
  }

  /** A Bind or Describe that failed used its statement all the same, if there was one; so did a Query with EXECUTE. */
  failed(frame: ClientFrame): void {
    if (frame.type === F.Query || frame.type === F.Execute) {
      this.#failedRunning(frame);
      return;
    }
    if (frame.type === F.Parse) this.#parseFailed(frame);
    const entry = this.#statementNamedBy(frame);
    if (entry !== null) this.#uses(entry);
  }

  /** The server drops the unnamed statement before it looks at the new one (exec_parse_message). A name may have been taken. */
  #parseFailed(frame: ClientFrame): void {
    const bytes = this.#intake.bytesOf(frame);
    const name = bytes === null ? null : parseStatementName(bytes, 0, bytes.length);
    if (name === '') this.#statements.close('');
    else if (name !== null) this.#usesIfThere(name);
  }

  #usesIfThere(name: string): void {
    const entry = this.#statements.statement(name);
    if (entry !== null) this.#uses(entry);
  }

  /** Frames the server may or may not have got to. */
  leftUnanswered(from: number, to: number): void {
    for (let i = from; i < to; i++) this.failed(this.#intake.frames.at(i));
  }

  /** Text of the statement that this reply completes. */
  textOf(frame: ClientFrame): string | null {
    this.#began(frame);
    return this.#text();
  }

  completed(kind: TagKind, frame: ClientFrame, copiedIn: boolean): void {
    this.#began(frame);
    const statement = this.#statement;
    statement.copiedIn = copiedIn;
    if ((statement.marks & QueryMark.executes) !== 0) this.#usesExecuted(kind !== 'prepare');
    if (kind === 'deallocate') this.#usesDeallocated();
    this.#effects.completed(kind, statement);
    this.#completed += 1;
  }

  #failedRunning(frame: ClientFrame): void {
    this.#began(frame);
    const { marks } = this.#statement;
    if ((marks & QueryMark.executes) !== 0) this.#usesExecuted(false);
    const sql = this.#text();
    const prepares = sql === null ? null : preparedText(sql);
    if (prepares !== null) this.#usesIfThere(prepares.name);
    this.#effects.failedRunning(marks, sql);
  }

  /** The statement in hand is this frame's. */
  #began(frame: ClientFrame): void {
    this.#frame = frame;
    this.#executed = null;
    this.#portal = frame.type === F.Execute ? this.#portalOf(frame) : null;
    this.#statement.marks = (this.#portal ?? frame).marks & MARK_BITS;
  }

  #executing(marks: number): void {
    this.#effects.executing(marks);
    if ((marks & (SESSION_CALL_MARKS | QueryMark.executes)) !== 0) this.#recorder.keepRow = true;
  }

  /** Of a name that is not there, DEALLOCATE fails. */
  #usesDeallocated(): void {
    const name = deallocatedNameOf(this.#text() ?? '');
    if (name !== null) this.#uses(this.#statements.statement(name));
  }

  /** The SQL command EXECUTE uses a prepared statement like a Bind. `succeeded`: so it must have been there. */
  #usesExecuted(succeeded: boolean): void {
    const sql = this.#text();
    const name = sql === null ? null : executedNameOf(sql);
    if (name === null || sql === null) return;
    const entry = this.#statements.statement(name);
    if (entry !== null || succeeded) this.#uses(entry);
    if (entry === null) return;
    this.#statement.marks |= entry.marks;
    this.#effects.executing(entry.marks);
    if ((entry.marks & SESSION_CALL_MARKS) !== 0 && !/^create\b/i.test(sql))
      this.#executed = { text: textOfEntry(entry), args: executeArgumentsOf(sql) };
  }

  #statementNamedBy(frame: ClientFrame): PreparedEntry | null {
    if (frame.type !== F.Bind && frame.type !== F.Describe) return null;
    const bytes = this.#intake.bytesOf(frame);
    if (bytes === null) return null;
    if (frame.type === F.Bind) return this.#statements.statement(bindStatement(bytes, 0, bytes.length));
    const ofStatement = describeTarget(bytes, 0, bytes.length) === TargetByte.Statement;
    return ofStatement ? this.#statements.statement(describeName(bytes, 0, bytes.length)) : null;
  }

  #uses(entry: PreparedEntry | null): void {
    if (entry === null || !this.#transaction.uses(entry)) this.#effects.dependsOn(DependencyReason.UNKNOWN_STATEMENT);
    else if (entry.suspect) this.#effects.dependsOn(DependencyReason.AFTER_GAP);
  }

  #portalOf(frame: ClientFrame): PreparedEntry | null {
    const bytes = this.#intake.bytesOf(frame);
    return bytes === null ? null : this.#statements.portal(executePortal(bytes, 0, bytes.length));
  }

  /** Text of the statement in hand. */
  #text(): string | null {
    const frame = this.#frame;
    if (frame === null) return null;
    if (this.#executed !== null) return this.#executed.text;
    if (frame.type === F.Execute) return textOfEntry(this.#portal);
    if (frame.type !== F.Query) return null;
    return this.#texts.at(this.#completed, () => {
      const bytes = this.#intake.bytesOf(frame);
      return bytes === null ? null : queryText(bytes, 0, bytes.length);
    });
  }

  #parameter(index: number): string | null {
    if (this.#executed !== null) {
      const argument = this.#executed.args[index];
      return argument?.kind === 'text' ? argument.text : null;
    }
    const bytes = this.#frame === null ? null : this.#intake.bytesOf(this.#frame);
    const bind = bytes === null ? null : this.#statements.bindOf(executePortal(bytes, 0, bytes.length));
    return bind === null ? null : bindParameter(bind, index);
  }

  #row(): readonly (string | null)[] | null {
    const { row } = this.#recorder;
    return row === null ? null : rowValues(row);
  }
}
