// What the mirror's session has been through, against what an envelope takes for granted.
import type { NotComparedReason } from '@mirrorstream/domain';
import { DependencyReason, type Envelope, type SessionContext } from '@mirrorstream/envelope';
import { contextFrames, type Statements, statementFrames } from './context-frames.ts';

const bit = (reason: DependencyReason): number => 1 << reason;
const bitsOf = (reasons: readonly DependencyReason[]): number =>
  reasons.reduce<number>((bits, reason) => bits | bit(reason), 0);

/** What a session must have gone through on this very connection: without it nothing of the transaction can be played. */
const REQUIRED = bitsOf([
  DependencyReason.TEMP_TABLE,
  DependencyReason.HELD_CURSOR,
  DependencyReason.UNKNOWN_STATEMENT,
]);
/** What changes an answer or two when it is not there. */
const HELPFUL = bitsOf([
  DependencyReason.SEQUENCE_VALUE,
  DependencyReason.ADVISORY_LOCK,
  DependencyReason.LISTEN,
  DependencyReason.UNKNOWN_SETTING,
]);
/** Said of a transaction that uses it; the others are said of every transaction as long as the session has such a thing. */
const SAID_WHEN_USED = bitsOf([DependencyReason.UNKNOWN_STATEMENT, DependencyReason.SEQUENCE_VALUE]);

export class SessionHistory {
  /** The connection has not been told of any settings yet. */
  #fresh = false;
  /** Another session was on it: what marks it as ours. */
  #handedOn: readonly string[] | null = null;
  /** What production's session may have and this connection has not: bits of DependencyReason. */
  #missing = 0;
  /** Something before was not played here: statements prepared then are prepared when an envelope uses them. */
  #rebuilt = false;
  /** By the SQL command PREPARE, as the context gave them. */
  readonly #prepared = new Map<string, string>();
  #afterGap = false;
  /** session_seq of the last transaction begun on the mirror. */
  #played = 0;
  /** Transactions up to this one, from the first, were skipped without loss. */
  #harmlessUpTo = 0;

  connected(handedOn?: readonly string[]): void {
    this.#fresh = true;
    this.#handedOn = handedOn ?? null;
  }

  gap(): void {
    this.#afterGap = true;
  }

  begun(seq: number): void {
    this.#played = seq;
  }

  /** The mirror has taken it back: the session is where it was before. */
  takenBack(seq: number): void {
    this.#played = seq - 1;
  }

  /** It was not played, and is not going to be. */
  skipped(seq: number, harmless: boolean): void {
    if (!harmless) this.#missing = REQUIRED | HELPFUL;
    else if (seq === this.#harmlessUpTo + 1) this.#harmlessUpTo = seq;
  }

  /** The connection is not where the transaction before left production's: it has to be brought there. */
  isStrange(seq: number): boolean {
    return this.#fresh || this.#afterGap || seq !== this.#played + 1;
  }

  /** Whether the transaction that begins with this envelope needs what this connection never had. */
  lacks(envelope: Envelope, seq: number): boolean {
    if (this.#fresh) this.#missing = seq === this.#harmlessUpTo + 1 ? 0 : REQUIRED | HELPFUL;
    if (this.#missing === 0) return false;
    const needed = bitsOf(envelope.dependsOnSession);
    // What production's session does not have now, it has lost as well: what it gets from here on, this one gets, too.
    this.#missing &= needed | SAID_WHEN_USED;
    return (this.#missing & needed & REQUIRED) !== 0;
  }

  /** Why a difference in the answers to this part proves nothing; '': it does. */
  excuse(envelope: Envelope): NotComparedReason | '' {
    if (envelope.dependsOnSession.length === 0) return '';
    const needed = bitsOf(envelope.dependsOnSession);
    if ((needed & bit(DependencyReason.AFTER_GAP)) !== 0) return 'afterGap';
    // A snapshot exported by another session has another name here.
    return (needed & (this.#missing | bit(DependencyReason.SNAPSHOT))) !== 0 ? 'sessionState' : '';
  }

  /** What brings a strange connection to where transaction `seq` begins; null: nothing. */
  catchUp(context: SessionContext, seq: number): Uint8Array | null | 'damaged' {
    const bytes =
      this.#fresh && this.#handedOn !== null
        ? contextFrames(context, 'handedOn', this.#handedOn)
        : contextFrames(context, this.#fresh ? 'fresh' : 'used');
    if (bytes === 'damaged') return bytes;
    this.#rebuilt = !(this.#fresh && seq === 1);
    this.#prepared.clear();
    for (const { name, sql } of context.sqlStatements) this.#prepared.set(name, sql);
    this.#fresh = false;
    this.#afterGap = false;
    this.#played = seq - 1;
    return bytes;
  }

  /** The statements that an envelope uses and a rebuilt session may not have; null: none. */
  unprepared(context: SessionContext | undefined, isPrepared: (name: string) => boolean): Statements | null {
    if (!this.#rebuilt || context === undefined) return null;
    const statements = context.statements.filter(({ name }) => !isPrepared(name));
    const sqlStatements = context.sqlStatements.filter(({ name, sql }) => this.#prepared.get(name) !== sql);
    return statements.length === 0 && sqlStatements.length === 0 ? null : { statements, sqlStatements };
  }

  /** The frames that prepare them, which go out now. */
  prepare(statements: Statements): Uint8Array | 'damaged' {
    for (const { name, sql } of statements.sqlStatements) this.#prepared.set(name, sql);
    return statementFrames(statements);
  }
}
