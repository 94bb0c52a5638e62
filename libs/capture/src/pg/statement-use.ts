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
  queryText,
  TargetByte,
} from '@mirrorstream/pg-wire';
import type { ClientFrame } from './client-frames.ts';
import type { TagKind } from './command-tag.ts';
import { type PreparedEntry, type StatementTable, textOfEntry } from './prepared.ts';
import type { RequestIntake } from './request-intake.ts';
import { splitStatements } from './sql-tokens.ts';
import { dependencyBit, type StatementEffects } from './statement-effects.ts';
import type { Transaction } from './transaction.ts';

export class StatementUse {
  readonly #intake: RequestIntake;
  readonly #statements: StatementTable;
  readonly #transaction: Transaction;
  readonly #effects: StatementEffects;
  /** Statements of the Query under way that are complete. */
  #completed = 0;
  #running: ClientFrame | null = null;
  #portal: PreparedEntry | null = null;
  readonly #textOf = (): string | null => this.#text();

  constructor(intake: RequestIntake, statements: StatementTable, transaction: Transaction, effects: StatementEffects) {
    this.#intake = intake;
    this.#statements = statements;
    this.#transaction = transaction;
    this.#effects = effects;
  }

  /** The first reply to a Query (or FunctionCall): it is being executed. A Query drops the unnamed statement. */
  queryBegan(frame: ClientFrame): void {
    this.#completed = 0;
    if (frame.type !== F.Query) return;
    this.#statements.close('');
    this.#effects.executing(frame.marks & 0xff);
  }

  parsed(frame: ClientFrame): void {
    this.#statements.parsed(this.#intake.bytesOf(frame), frame.marks & 0xff, this.#transaction.number);
  }

  bound(frame: ClientFrame): void {
    const bytes = this.#intake.bytesOf(frame);
    if (bytes === null) return;
    const entry = this.#statements.statement(bindStatement(bytes, 0, bytes.length));
    this.#statements.bind(bindPortal(bytes, 0, bytes.length), entry);
    this.#uses(entry);
    if (entry !== null) this.#effects.executing(entry.marks);
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

  /** A Bind or Describe that failed used its statement all the same, if there was one. */
  failed(frame: ClientFrame): void {
    const entry = this.#statementNamedBy(frame);
    if (entry !== null) this.#uses(entry);
  }

  /** Frames the server may or may not have got to. */
  leftUnanswered(from: number, to: number): void {
    for (let i = from; i < to; i++) this.failed(this.#intake.frames.at(i));
  }

  completed(kind: TagKind, frame: ClientFrame, copiedIn: boolean): void {
    this.#running = frame;
    this.#portal = frame.type === F.Execute ? this.#portalOf(frame) : null;
    const marks = this.#portal !== null ? this.#portal.marks : frame.marks & 0xff;
    this.#effects.completed(kind, marks, copiedIn, this.#textOf);
    this.#completed += 1;
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
    if (entry !== null && this.#transaction.uses(entry)) return;
    this.#transaction.dependencies |= dependencyBit(DependencyReason.UNKNOWN_STATEMENT);
  }

  #portalOf(frame: ClientFrame): PreparedEntry | null {
    const bytes = this.#intake.bytesOf(frame);
    return bytes === null ? null : this.#statements.portal(executePortal(bytes, 0, bytes.length));
  }

  /** Text of the statement that just completed. */
  #text(): string | null {
    const frame = this.#running;
    if (frame === null) return null;
    if (frame.type === F.Execute) return textOfEntry(this.#portal);
    const bytes = frame.type === F.Query ? this.#intake.bytesOf(frame) : null;
    if (bytes === null) return null;
    return splitStatements(queryText(bytes, 0, bytes.length), this.#completed + 1)[this.#completed] ?? null;
  }
}
