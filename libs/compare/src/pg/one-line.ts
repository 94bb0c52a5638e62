// Texts of others on one line for people: no control characters, cut where they are long.

export const DETAIL_CHARS = 120;

/** One line, at most `maxChars` characters, no control characters. */
export function oneLine(text: string, maxChars = DETAIL_CHARS): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  const line = text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ').toWellFormed();
  return line.length <= maxChars ? line : `${line.slice(0, maxChars - 1).toWellFormed()}…`;
}
