// Reads which temporary objects a statement creates or drops: tables, views and sequences live until the session's end.
import { firstTokens, type SqlToken } from './sql-tokens.ts';

const MAX_TOKENS = 400;
const beforeTemp = new Set(['or', 'replace', 'global', 'local']);
const objectWords = new Set(['table', 'view', 'sequence', 'recursive', 'materialized', 'unlogged']);

/** `name` null: there is one, but its name could not be read. */
export interface CreatedTemp {
  readonly name: string | null;
}

/** The temporary object that the statement leaves behind after its transaction; null: none. */
export function createdTempOf(sql: string): CreatedTemp | null {
  const tokens = firstTokens(sql, MAX_TOKENS);
  const creates = tokens[0]?.value === 'create';
  const into = tokens.findIndex((token) => isWord(token, 'into'));
  const from = creates ? 1 : into + 1;
  if (!creates && into < 0) return null;
  // CREATE [OR REPLACE] [GLOBAL | LOCAL] TEMP …, INTO TEMP …: the word stands before the name, or the schema is pg_temp.
  let temp = from;
  while (beforeTemp.has(tokens[temp]?.value ?? '')) temp += 1;
  const named = isTempWord(tokens[temp]) ? nameAfter(tokens, temp + 1) : pgTempName(tokens, from);
  if (named === null) return null;
  return dropsOnCommit(tokens) ? null : { name: named };
}

/** Names of the relations in a DROP that may be temporary: those without a schema, or with pg_temp. */
export function droppedNamesOf(sql: string): readonly string[] {
  const tokens = firstTokens(sql, MAX_TOKENS);
  const names: string[] = [];
  let at = isWord(tokens[2], 'if') ? 4 : 2;
  while (tokens[0]?.value === 'drop' && isName(tokens[at])) {
    const qualified = isSymbol(tokens[at + 1], '.');
    const inTemp = qualified && tokens[at]?.value === 'pg_temp';
    if (!qualified) names.push((tokens[at] as SqlToken).value);
    else if (inTemp && isName(tokens[at + 2])) names.push((tokens[at + 2] as SqlToken).value);
    at += qualified ? 3 : 1;
    if (!isSymbol(tokens[at], ',')) break;
    at += 1;
  }
  return names;
}

function dropsOnCommit(tokens: readonly SqlToken[]): boolean {
  return tokens.some(
    (token, at) => isWord(token, 'on') && isWord(tokens[at + 1], 'commit') && isWord(tokens[at + 2], 'drop'),
  );
}

/** '': none there, which then is an object without a name we can read. */
function nameAfter(tokens: readonly SqlToken[], from: number): string | null {
  let at = from;
  while (tokens[at]?.kind === 'word' && objectWords.has((tokens[at] as SqlToken).value)) at += 1;
  if (isWord(tokens[at], 'if')) at += 3;
  if (!isName(tokens[at])) return '';
  return (tokens[isSymbol(tokens[at + 1], '.') ? at + 2 : at] as SqlToken | undefined)?.value ?? '';
}

function pgTempName(tokens: readonly SqlToken[], from: number): string | null {
  const at = tokens.findIndex((token, index) => index >= from && token.value === 'pg_temp' && isName(token));
  if (at < 0 || at > from + 6 || !isSymbol(tokens[at + 1], '.')) return null;
  return tokens[at + 2]?.value ?? '';
}

function isTempWord(token: SqlToken | undefined): boolean {
  return isWord(token, 'temp') || isWord(token, 'temporary');
}

function isWord(token: SqlToken | undefined, value: string): boolean {
  return token?.kind === 'word' && token.value === value;
}

function isSymbol(token: SqlToken | undefined, value: string): boolean {
  return token?.kind === 'symbol' && token.value === value;
}

function isName(token: SqlToken | undefined): boolean {
  return token?.kind === 'word' || token?.kind === 'name';
}
