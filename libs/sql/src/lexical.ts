// Shape of a statement by its tokens alone, for text that the parser rejects: another dialect, a cut text, a syntax error.
//
// Tokens as PostgreSQL's scanner knows them (manual, "Lexical Structure"): comments, string constants ('…', E'…', B'…', X'…', U&'…',
// dollar-quoted), quoted identifiers, numbers, parameters, words, operators. A constant that is not closed ends with the text.

const token =
  /--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|[eE]'(?:[^'\\]|\\[\s\S]|'')*(?:'|$)|(?:[uU]&|[bBxXnN])?'(?:[^']|'')*(?:'|$)|\$([A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$[\s\S]*?(?:\$\1\$|$)|(?:[uU]&)?"(?:[^"]|"")*(?:"|$)|\$\d+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|\s+|[\s\S]/g;

const isConstant = /^(?:[eEbBxXnN]?'|[uU]&'|\$(?!\d)|\.?\d|\$\d)/;

/** Comments go, white space becomes one space, constants and parameters become `?`, unquoted words lower case. Lists of constants keep one. */
export function lexicalNormalize(sql: string): string {
  const words: string[] = [];
  for (const [text] of sql.matchAll(token)) {
    if (text.startsWith('--') || text.startsWith('/*') || /^\s/.test(text)) words.push(' ');
    else if (text.length > 1 ? isConstant.test(text) : /\d/.test(text)) words.push('?');
    else words.push(text.startsWith('"') ? text : text.toLowerCase());
  }
  return words
    .join('')
    .replace(/ +/g, ' ')
    .replace(/\?(?: ?, ?\?)+/g, '?')
    .trim();
}

/** 16 hexadecimal digits (64-bit FNV-1a over UTF-16 units, in two halves), beginning with the shape the parser's have. */
export function lexicalFingerprint(normalized: string): string {
  let hash = 0xcbf29ce484222325n;
  for (let i = 0; i < normalized.length; i++)
    hash = BigInt.asUintN(64, (hash ^ BigInt(normalized.charCodeAt(i))) * 0x100000001b3n);
  return hash.toString(16).padStart(16, '0');
}
