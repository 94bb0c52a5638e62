// Takes passwords out of the SQL that carries them, without changing any length.
//
//   CREATE|ALTER ROLE|USER|GROUP … PASSWORD '…'          CREATE|ALTER … OPTIONS (… password '…')      (user mapping, server)
//   CREATE|ALTER SUBSCRIPTION … CONNECTION '…'           dblink…('… password=…')                      (connection strings)
//   DO and function bodies with any of these in it       SELECT format('ALTER ROLE %I PASSWORD %L', 'bob', '…')
//
// The characters of a literal become x; its quotes stay. Where the secret cannot be told from its surroundings (a statement put
// together from pieces), every literal of that statement goes. What cannot be read to its end is redacted as far as it goes.
// Of a statement so large that its beginning is published before its end has come, all goes from there on (request-intake.ts).
import { type SqlToken, tokensOf } from './sql-tokens.ts';

/** What redaction found. */
export interface Redaction {
  /** Statements that lost a secret. */
  redactions: number;
  /** One of them takes a secret as a parameter: what is bound to it must go, too. */
  parameters: boolean;
  /** Name of the statement that a PREPARE among them makes; null: none. */
  prepares: string | null;
}

export interface RedactionOptions {
  /** Prepared by the SQL command PREPARE, with a secret parameter: EXECUTE of such a name brings it. */
  readonly isSecretName?: (name: string) => boolean;
}

const X = 0x78;
const MAX_DEPTH = 4;
const accountKinds = new Set(['role', 'user', 'group']);
const secretKinds = new Set([...accountKinds, 'server', 'subscription', 'foreign']);
/** After PASSWORD, these are the next clause and no password. */
const clauses = new Set(
  'null valid login nologin superuser nosuperuser createdb nocreatedb createrole nocreaterole inherit noinherit replication noreplication bypassrls nobypassrls connection in role admin user sysid rename to with set reset encrypted unencrypted'.split(
    ' ',
  ),
);
const passwordName = /passw|secret/;
/** A password in a connection string: as keyword, or in a URI. */
const inConnection = /passw\w*\s*=|:\/\/[^\s/@:]*:[^\s@]+@/i;
/** Text that is SQL about accounts, with a password; or about connections. */
const template =
  /\b(?:create|alter)(?:\s|--.*|\/\*[\s\S]*?\*\/)+(?:(?:role|user|group|server)\b[\s\S]*passw|subscription\b)|\bdblink\w*\s*\([\s\S]*(?:passw|:\/\/)/i;
const secretBody = /passw|dblink|subscription/i;

/** Redacts `buffer[start, end)`, the text of a Query or Parse, in place. */
export function redactSecrets(
  buffer: Uint8Array,
  start: number,
  end: number,
  options: RedactionOptions = {},
): Redaction {
  // One byte, one character: offsets in the string are offsets in the buffer, whatever the encoding.
  const sql = Buffer.from(buffer.buffer, buffer.byteOffset + start, end - start).toString('latin1');
  const redactor = new Redactor(buffer, start, options);
  redactor.text(sql, 0, sql.length, 0);
  return redactor.found;
}

class Redactor {
  readonly found: Redaction = { redactions: 0, parameters: false, prepares: null };
  readonly #buffer: Uint8Array;
  readonly #start: number;
  readonly #options: RedactionOptions;
  #changed = false;
  #sql = '';

  constructor(buffer: Uint8Array, start: number, options: RedactionOptions) {
    this.#buffer = buffer;
    this.#start = start;
    this.#options = options;
  }

  /** Statements in sql[from, to); `depth` counts the bodies around it. */
  text(sql: string, from: number, to: number, depth: number): void {
    this.#sql = sql;
    const part = to === sql.length ? sql : sql.slice(0, to);
    let statement: SqlToken[] = [];
    for (const token of tokensOf(part, from)) {
      if (token.kind !== 'symbol' || token.value !== ';') {
        statement.push(token);
        continue;
      }
      this.#statement(statement, depth);
      statement = [];
    }
    this.#statement(statement, depth);
  }

  #statement(tokens: readonly SqlToken[], depth: number): void {
    const changed = this.#changed;
    this.#changed = false;
    this.#look(tokens, depth);
    if (this.#changed && depth === 0) this.found.redactions += 1;
    this.#changed ||= changed;
  }

  #look(tokens: readonly SqlToken[], depth: number): void {
    const { isSecretName } = this.#options;
    const executes = tokens.findIndex((token) => isWord(token, 'execute'));
    const name = executes < 0 ? undefined : tokens[executes + 1];
    if (name !== undefined && isSecretName?.(name.value) === true) this.#literals(tokens, executes + 2);
    const kind = kindOf(tokens);
    if (kind !== '') this.#secretClauses(tokens, kind);
    if (kind === '' || kind === 'body') this.#pieces(tokens, depth);
    if (tokens.some((token) => isName(token) && token.value.startsWith('dblink')))
      this.#connectionStrings(tokens, depth);
  }

  /** PASSWORD '…', OPTIONS (password '…'), CONNECTION '…'. */
  #secretClauses(tokens: readonly SqlToken[], kind: string): void {
    const account = accountKinds.has(kind);
    for (let at = 0; at < tokens.length; at++) {
      const token = tokens[at] as SqlToken;
      if (!isName(token)) continue;
      const value = token.value.toLowerCase();
      const isConnection = value === 'connection' && kind === 'subscription';
      if (!isConnection && !passwordName.test(value)) continue;
      let next = at + 1;
      while (isSymbol(tokens[next], '=') || isSymbol(tokens[next], ':')) next += 1;
      const secret = tokens[next];
      if (secret === undefined) continue;
      if (secret.kind === 'literal') this.#literalsFrom(tokens, next);
      else if (account && value === 'password') this.#mistaken(tokens, next);
      else if (isSymbol(secret, '$')) this.#parameter();
    }
  }

  /** What stands where the password belongs without being a literal: a parameter, a word, a name in double quotes. */
  #mistaken(tokens: readonly SqlToken[], at: number): void {
    const token = tokens[at] as SqlToken;
    if (isSymbol(token, '$') || isSymbol(token, '%')) this.#parameter();
    else if (token.kind !== 'symbol' && !(token.kind === 'word' && clauses.has(token.value))) this.#blank(token);
  }

  #parameter(): void {
    this.found.parameters = true;
  }

  /** 'a' 'b', as the grammar joins literals over lines. */
  #literalsFrom(tokens: readonly SqlToken[], from: number): void {
    for (let at = from; tokens[at]?.kind === 'literal'; at++) this.#blank(tokens[at] as SqlToken);
  }

  #literals(tokens: readonly SqlToken[], from: number): void {
    for (let at = from; at < tokens.length; at++) {
      const token = tokens[at] as SqlToken;
      if (token.kind === 'literal' || token.kind === 'number') this.#blank(token);
    }
  }

  /** Statements that hold others as text: bodies are read like statements, and templates give their companions away. */
  #pieces(tokens: readonly SqlToken[], depth: number): void {
    const templates = new Set<SqlToken>();
    const prepared = isWord(tokens[0], 'prepare') ? (tokens[1]?.value ?? null) : null;
    let assembled = false;
    for (const token of tokens) {
      if (token.kind !== 'literal') continue;
      const body = depth < MAX_DEPTH && isBody(tokens, token) && secretBody.test(token.value);
      if (!body && !template.test(token.value)) continue;
      templates.add(token);
      if (body) this.#body(token, depth);
      else {
        assembled = true;
        this.#afterPassword(token);
      }
    }
    if (!assembled) return;
    for (const token of tokens) if (token.kind === 'literal' && !templates.has(token)) this.#blank(token);
    if (tokens.some((token) => isSymbol(token, '$'))) {
      this.#parameter();
      this.found.prepares = prepared;
    }
  }

  /** A dollar-quoted body is text as it stands. In single quotes its own quotes are doubled: all after PASSWORD goes. */
  #body(token: SqlToken, depth: number): void {
    const sql = this.#sql;
    if (sql[token.start] !== '$') {
      this.#afterPassword(token);
      return;
    }
    const { open, close } = contentOf(sql, token);
    this.text(sql, open, close, depth + 1);
    this.#sql = sql;
  }

  /** In a text in quotes: what follows PASSWORD, up to the end of its statement, but for a placeholder of format(). */
  #afterPassword(token: SqlToken): void {
    const { open, close } = contentOf(this.#sql, token);
    const content = this.#sql.slice(open, close);
    const after = /(?:passw\w*|connection)("?)\s*=?\s*([^;]*)/gi;
    for (const match of content.matchAll(after)) {
      const rest = match[2] ?? '';
      if (rest.trim() === '' || /^(?:%[\d$-]*[LsI]|\$\d+|null\b|valid\b|')\s*[^']*$/i.test(rest)) continue;
      const from = open + match.index + match[0].length - rest.length;
      this.#fill(from, from + rest.length);
    }
  }

  #connectionStrings(tokens: readonly SqlToken[], depth: number): void {
    for (const token of tokens) {
      if (token.kind !== 'literal' || (depth < MAX_DEPTH && isBody(tokens, token))) continue;
      const escaped = /^(?:e|u&)/i.test(token.value) && token.value.includes('\\');
      if (escaped || inConnection.test(token.value)) this.#blank(token);
    }
    if (tokens.some((token) => isSymbol(token, '$'))) this.#parameter();
  }

  #blank(token: SqlToken): void {
    const { open, close } = contentOf(this.#sql, token);
    this.#fill(open, close);
    // Where backslashes escape in plain literals, too, this one goes on after the quote.
    if (token.kind !== 'literal' || this.#sql[close - 1] !== '\\') return;
    const next = this.#sql.indexOf("'", token.end);
    this.#fill(token.end, next < 0 ? token.end : next);
  }

  #fill(from: number, to: number): void {
    if (to <= from) return;
    this.#buffer.fill(X, this.#start + from, this.#start + to);
    this.#changed = true;
  }
}

/** What CREATE or ALTER makes of secrets: `role`, `user`, `server`, `subscription`…; `body`: a block or function. '': neither. */
function kindOf(tokens: readonly SqlToken[]): string {
  if (isWord(tokens[0], 'do')) return 'body';
  for (let at = 0; at + 1 < tokens.length; at++) {
    if (!isWord(tokens[at], 'create') && !isWord(tokens[at], 'alter')) continue;
    const replaces = isWord(tokens[at + 1], 'or') ? at + 3 : at + 1;
    const object = tokens[replaces];
    if (isWord(object, 'function') || isWord(object, 'procedure')) return 'body';
    if (isWord(object, 'user') && isWord(tokens[replaces + 1], 'mapping')) return 'mapping';
    if (object?.kind === 'word' && secretKinds.has(object.value)) return object.value;
  }
  return '';
}

/** The literal of DO, or what follows AS in CREATE FUNCTION. */
function isBody(tokens: readonly SqlToken[], token: SqlToken): boolean {
  if (kindOf(tokens) !== 'body') return false;
  const before = tokens[tokens.indexOf(token) - 1];
  return isWord(before, 'as') || isWord(before, 'do') || isWord(tokens[0], 'do');
}

/** Where the characters of a literal, name or word lie, without quotes. */
function contentOf(sql: string, token: SqlToken): { readonly open: number; readonly close: number } {
  const { start, end } = token;
  if (token.kind === 'word' || token.kind === 'number') return { open: start, close: end };
  const dollar = sql[start] === '$';
  const quote = dollar ? '$' : token.kind === 'name' ? '"' : "'";
  const open = sql.indexOf(quote, dollar ? start + 1 : start) + 1;
  const tagLength = dollar ? open - start : 1;
  const closed = end - tagLength >= open && sql[end - 1] === quote;
  return { open, close: closed ? end - tagLength : end };
}

function isWord(token: SqlToken | undefined, value: string): boolean {
  return token?.kind === 'word' && token.value === value;
}

function isName(token: SqlToken): boolean {
  return token.kind === 'word' || token.kind === 'name';
}

function isSymbol(token: SqlToken | undefined, value: string): boolean {
  return token?.kind === 'symbol' && token.value === value;
}

const inMessage =
  /passw\w*["']*\s*(?:=\s*('[^']*'?|[^\s'"]+)|(?:e|n|u&)?('(?:[^']|'')*'?|\$(?:\w*)\$[^$]*))|:\/\/[^\s/@:]*:([^\s@]+)@/dgi;

/** Redacts the fields of an ErrorResponse or NoticeResponse, which quote statements: whatever follows PASSWORD goes. True: some did. */
export function redactMessage(buffer: Uint8Array, start: number, end: number): boolean {
  const text = Buffer.from(buffer.buffer, buffer.byteOffset + start, end - start).toString('latin1');
  let found = false;
  for (const field of text.matchAll(/[^\0]+/g)) {
    for (const match of field[0].matchAll(inMessage)) {
      const [from, to] = match.indices?.[1] ?? match.indices?.[2] ?? match.indices?.[3] ?? [0, 0];
      const quoted = text[field.index + from] === "'";
      const closed = quoted && to - from > 1 && text[field.index + to - 1] === "'";
      buffer.fill(X, start + field.index + from + (quoted ? 1 : 0), start + field.index + to - (closed ? 1 : 0));
      found = true;
    }
  }
  return found;
}
