// Why a session cannot do without its very connection, as far as its traffic says: in `pooled` lanes such a session keeps it.
//
// What a transaction creates, only the next envelope of its session says. Until then words that can create it are enough: kept in vain, a
// connection costs others a wait; given away, the session would have lost something.
import { DependencyReason, type Envelope } from '@mirrorstream/envelope';

export const bindingReasons = [
  'tempTable',
  'heldCursor',
  'listen',
  'advisoryLock',
  'unknownSetting',
  'sequenceValue',
  'mayKeepState',
] as const;
export type BindingReason = (typeof bindingReasons)[number];

const saidBy: readonly (readonly [DependencyReason, BindingReason])[] = [
  [DependencyReason.TEMP_TABLE, 'tempTable'],
  [DependencyReason.HELD_CURSOR, 'heldCursor'],
  [DependencyReason.LISTEN, 'listen'],
  [DependencyReason.ADVISORY_LOCK, 'advisoryLock'],
  [DependencyReason.UNKNOWN_SETTING, 'unknownSetting'],
];

const suspicious =
  /(?:create(?:\s+or\s+replace)?(?:\s+(?:local|global))?|into)\s+temp(?:orary)?\b|pg_temp|\blisten\b|with\s+hold|advisory_lock|\bload\s+'/i;

export class SessionBinding {
  #reason: BindingReason | null = null;
  /** It asks for values of sequences: the server remembers them for the session. */
  #asksSequences = false;

  /** null: another session can have the connection, and this one another. */
  get reason(): BindingReason | null {
    return this.#reason;
  }

  /** A part of a transaction is about to be played. */
  begun(envelope: Envelope): void {
    if (envelope.part === 0) this.#reason = null;
    this.#asksSequences ||= envelope.dependsOnSession.includes(DependencyReason.SEQUENCE_VALUE);
    const said = saidBy.find(([reason]) => envelope.dependsOnSession.includes(reason))?.[1];
    this.#reason ??= said ?? (this.#asksSequences ? 'sequenceValue' : mayKeepState(envelope) ? 'mayKeepState' : null);
  }

  /** The connection is gone, and what the session had on it. */
  lost(): void {
    this.#reason = null;
  }
}

function mayKeepState({ exchanges, context }: Envelope): boolean {
  return (
    exchanges.some(({ request }) => suspicious.test(textOf(request))) ||
    (context?.statements.some(({ parseFrame }) => suspicious.test(textOf(parseFrame))) ?? false) ||
    (context?.sqlStatements.some(({ sql }) => suspicious.test(sql)) ?? false)
  );
}

const textOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
