// Takes passwords out of the SQL that carries them, without changing any length.
//
//   CREATE|ALTER ROLE|USER|GROUP … PASSWORD '…'      CREATE|ALTER USER MAPPING … OPTIONS (… password '…')
//   CREATE|ALTER SUBSCRIPTION … CONNECTION '…password=…'
//
// The characters of the literal become x; its quotes stay. A statement that cannot be read to its end is redacted as far as it goes.
import { type SqlToken, tokensOf } from './sql-tokens.ts';

const X = 0x78;
const accountKinds = new Set(['role', 'user', 'group']);

/**
 * Redacts `buffer[start, end)`, the text of a Query or Parse, in place. Returns how many statements lost a secret. `anywhere`: the
 * text is a later piece of a statement too large to hold, so what precedes PASSWORD is not known.
 */
export function redactSecrets(buffer: Uint8Array, start: number, end: number, anywhere = false): number {
  // One byte, one character: offsets in the string are offsets in the buffer, whatever the encoding.
  const sql = Buffer.from(buffer.buffer, buffer.byteOffset + start, end - start).toString('latin1');
  let redactions = 0;
  let statement: SqlToken[] = [];
  let redacted = false;
  const endStatement = (): void => {
    if (redacted) redactions += 1;
    statement = [];
    redacted = false;
  };
  for (const token of tokensOf(sql)) {
    if (token.kind === 'symbol' && token.value === ';') {
      endStatement();
      continue;
    }
    if (token.kind === 'literal' && isSecret(statement, anywhere)) {
      blank(buffer, start, sql, token);
      redacted = true;
    }
    // The first words say what it is, the last one what the literal is for.
    if (statement.length > 2) statement[2] = token;
    else statement.push(token);
  }
  endStatement();
  return redactions;
}

function isSecret(statement: readonly SqlToken[], anywhere: boolean): boolean {
  const verb = wordAt(statement, 0);
  const object = wordAt(statement, 1);
  const before = wordAt(statement, statement.length - 1);
  if (anywhere && before === 'password') return true;
  if (verb !== 'create' && verb !== 'alter') return false;
  if (accountKinds.has(object)) return before === 'password';
  return object === 'subscription' && before === 'connection';
}

function wordAt(statement: readonly SqlToken[], index: number): string {
  const token = statement[index];
  return token === undefined || token.kind === 'symbol' ? '' : token.value.toLowerCase();
}

function blank(buffer: Uint8Array, start: number, sql: string, token: SqlToken): void {
  const open = sql[token.start] === '$' ? sql.indexOf('$', token.start + 1) + 1 : sql.indexOf("'", token.start) + 1;
  const tag = sql[token.start] === '$' ? open - token.start : 1;
  const closed = token.end - tag >= open && sql.slice(token.end - tag, token.end).endsWith(sql[open - 1] as string);
  buffer.fill(X, start + open, start + (closed ? token.end - tag : token.end));
}
