// The frames that bring a session of the mirror to where an envelope expects it: settings in force and prepared statements.
import type { PreparedStatement, SessionContext, SqlStatement } from '@mirrorstream/envelope';
import { encodeFrontend, F, frameEndAt, WireWriter } from '@mirrorstream/pg-wire';

/** What takes a session's settings back to those of its start. RESET ALL leaves user and role as they are (GUC_NO_RESET_ALL). */
const takeBack = ['RESET SESSION AUTHORIZATION', 'RESET ROLE', 'RESET ALL'];
/** What leaves nothing of a session. A role that came with the user's own settings is not what DISCARD ALL sets. */
const leaveNothing = ['DISCARD ALL', 'RESET ROLE'];

/**
 * `fresh`: a new connection has what start-up gave it and nothing else. `used`: the session has gone on without us, so what it had is
 * taken back first. `handedOn`: another session was on it, of which nothing is left; `marks` say whose it is now. Each setting and each Parse is an exchange of its own: one that the mirror refuses must not undo the others.
 * Null: nothing to send. `damaged`: a kept Parse is not one whole Parse frame; sent, it would put the connection out of step.
 */
export function contextFrames(
  context: SessionContext,
  connection: 'fresh' | 'used' | 'handedOn',
  marks: readonly string[] = [],
): Uint8Array | null | 'damaged' {
  const writer = new WireWriter();
  const before = { fresh: [], used: takeBack, handedOn: [...leaveNothing, ...marks] };
  for (const query of before[connection]) encodeFrontend({ kind: 'query', query }, writer);
  for (const { sql } of context.settings) encodeFrontend({ kind: 'query', query: sql }, writer);
  if (!writeStatements(writer, context, connection === 'used')) return 'damaged';
  return writer.sizeBytes === 0 ? null : writer.take();
}

/** The frames that prepare statements on a connection that may have others of these names. */
export function statementFrames(statements: Statements): Uint8Array | 'damaged' {
  const writer = new WireWriter();
  return writeStatements(writer, statements, true) ? writer.take() : 'damaged';
}

export interface Statements {
  readonly statements: readonly PreparedStatement[];
  readonly sqlStatements: readonly SqlStatement[];
}

/** False: one of them is damaged. */
function writeStatements(writer: WireWriter, { statements, sqlStatements }: Statements, replace: boolean): boolean {
  for (const { name, parseFrame } of statements) {
    if (!isWholeParse(parseFrame)) return false;
    if (replace) encodeFrontend({ kind: 'close', target: 'S', name }, writer);
    writer.bytes(parseFrame);
    encodeFrontend({ kind: 'sync' }, writer);
  }
  for (const { name, sql } of sqlStatements) {
    if (replace) {
      encodeFrontend({ kind: 'close', target: 'S', name }, writer);
      encodeFrontend({ kind: 'sync' }, writer);
    }
    encodeFrontend({ kind: 'query', query: sql }, writer);
  }
  return true;
}

function isWholeParse(frame: Uint8Array): boolean {
  return frame[0] === F.Parse && frameEndAt(frame, 0, frame.length) === frame.length;
}
