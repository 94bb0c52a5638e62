// A lexer for SQL text, just deep enough to split statements and read SET, SAVEPOINT and PASSWORD. Not a parser.
//
//   literals   'it''s'  E'a\'b'  B'01'  X'ff'  N'…'  U&'…'  $tag$ … $tag$
//   names      word  "quoted ""name"""  U&"…"
//   comments   -- to the end of the line   /* nested /* … */ */

/** `word` is lower case in `value`, `name` is a quoted identifier without its quotes, `literal` keeps its quotes. */
export type SqlToken = {
  readonly kind: 'word' | 'name' | 'literal' | 'number' | 'symbol';
  readonly value: string;
  readonly start: number;
  readonly end: number;
};

const wordStart = /[A-Za-z_\u0080-\uffff]/;
const wordPart = /[A-Za-z0-9_$\u0080-\uffff]/;
const dollarTag = /\$(?:[A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*)?\$/y;
const literalPrefix = /(?:[eEbBxXnN]|[uU]&)?'/y;
const namePrefix = /(?:[uU]&)?"/y;

/** Tokens of `sql` from `from` on, in order. What is not closed reaches to the end. */
export function* tokensOf(sql: string, from = 0): Generator<SqlToken> {
  let at = from;
  while (at < sql.length) {
    const start = at;
    const char = sql[at] as string;
    const blankEnd = skipBlank(sql, at);
    if (blankEnd > at) {
      at = blankEnd;
      continue;
    }
    const literal = literalEnd(sql, at);
    if (literal > 0) {
      at = literal;
      yield { kind: 'literal', value: sql.slice(start, at), start, end: at };
    } else if (matchesAt(namePrefix, sql, at)) {
      const open = sql.indexOf('"', at);
      at = quotedEnd(sql, open + 1, '"', false);
      yield {
        kind: 'name',
        value: sql.slice(open + 1, Math.max(open + 1, at - 1)).replaceAll('""', '"'),
        start,
        end: at,
      };
    } else if (wordStart.test(char)) {
      while (at < sql.length && wordPart.test(sql[at] as string)) at += 1;
      yield { kind: 'word', value: sql.slice(start, at).toLowerCase(), start, end: at };
    } else if (char >= '0' && char <= '9') {
      while (at < sql.length && /[0-9.A-Za-z_]/.test(sql[at] as string)) at += 1;
      yield { kind: 'number', value: sql.slice(start, at), start, end: at };
    } else {
      at += 1;
      yield { kind: 'symbol', value: char, start, end: at };
    }
  }
}

/** The first `most` tokens. */
export function firstTokens(sql: string, most: number): SqlToken[] {
  const tokens: SqlToken[] = [];
  for (const token of tokensOf(sql)) {
    tokens.push(token);
    if (tokens.length === most) break;
  }
  return tokens;
}

/**
 * Texts of the statements, without the semicolon; empty ones are left out, as the server leaves them out. Semicolons inside
 * parentheses (CREATE RULE) and inside BEGIN ATOMIC … END (SQL-standard function bodies) separate nothing.
 */
export function* statementsOf(sql: string): Generator<string> {
  let start = -1;
  let end = 0;
  let depth = 0;
  let before = '';
  let atomic = false;
  for (const token of tokensOf(sql)) {
    if (token.value === ';' && token.kind === 'symbol' && depth <= 0) {
      if (start >= 0) yield sql.slice(start, end);
      start = -1;
      depth = 0;
      atomic = false;
      continue;
    }
    if (start < 0) start = token.start;
    end = token.end;
    if (token.kind === 'symbol') depth += token.value === '(' ? 1 : token.value === ')' ? -1 : 0;
    if (token.kind === 'word') {
      if (token.value === 'atomic' && before === 'begin') atomic = true;
      if (atomic && (token.value === 'atomic' || token.value === 'case')) depth += 1;
      if (atomic && token.value === 'end') depth -= 1;
    }
    before = token.kind === 'word' ? token.value : '';
  }
  if (start >= 0) yield sql.slice(start, end);
}

/** What a literal stands for; null where only the server knows (escapes of E'' and U&'', bit strings). */
export function literalText(literal: string): string | null {
  const open = literal.indexOf("'");
  if (literal.startsWith('$')) {
    const tagEnd = literal.indexOf('$', 1) + 1;
    return literal.slice(tagEnd, -tagEnd);
  }
  const text = literal.slice(open + 1, -1).replaceAll("''", "'");
  if (open === 0) return text;
  const prefix = literal.slice(0, open).toLowerCase();
  return (prefix === 'e' || prefix === 'u&') && !text.includes('\\') ? text : null;
}

function skipBlank(sql: string, from: number): number {
  let at = from;
  while (at < sql.length && sql.charCodeAt(at) <= 0x20) at += 1;
  if (sql.startsWith('--', at)) {
    const line = sql.indexOf('\n', at);
    return line < 0 ? sql.length : line + 1;
  }
  return sql.startsWith('/*', at) ? commentEnd(sql, at + 2) : at;
}

function commentEnd(sql: string, from: number): number {
  let depth = 1;
  let at = from;
  while (at < sql.length && depth > 0) {
    if (sql.startsWith('/*', at)) depth += 1;
    else if (sql.startsWith('*/', at)) depth -= 1;
    else {
      at += 1;
      continue;
    }
    at += 2;
  }
  return at;
}

/** End of the literal that begins at `at`; 0 when none does. */
function literalEnd(sql: string, at: number): number {
  if (matchesAt(literalPrefix, sql, at)) {
    const escapes = sql[at] === 'e' || sql[at] === 'E';
    return quotedEnd(sql, sql.indexOf("'", at) + 1, "'", escapes);
  }
  if (sql[at] !== '$' || !matchesAt(dollarTag, sql, at)) return 0;
  const tag = sql.slice(at, dollarTag.lastIndex);
  const close = sql.indexOf(tag, dollarTag.lastIndex);
  return close < 0 ? sql.length : close + tag.length;
}

function quotedEnd(sql: string, from: number, quote: string, escapes: boolean): number {
  let at = from;
  while (at < sql.length) {
    if (escapes && sql[at] === '\\') at += 1;
    else if (sql[at] === quote) {
      if (sql[at + 1] !== quote) return at + 1;
      at += 1;
    }
    at += 1;
  }
  return sql.length;
}

function matchesAt(pattern: RegExp, sql: string, at: number): boolean {
  pattern.lastIndex = at;
  return pattern.test(sql);
}
