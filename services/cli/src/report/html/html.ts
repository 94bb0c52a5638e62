// HTML as a tagged template: whatever is put in is text and escaped, unless it is HTML made by the same template.

export class Html {
  readonly text: string;

  /** Only for text that no one outside of this folder had a part in. */
  constructor(text: string) {
    this.text = text;
  }
}

type Part = Html | string | number | null | readonly Part[];

/** What is put in must stand in text or in a double-quoted attribute: nowhere else is the escaping enough. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(strings.map((string, i) => string + textOf(parts[i] ?? null)).join(''));
}

export const nothing = new Html('');

export const joined = (parts: readonly Html[], between = ''): Html =>
  new Html(parts.map(({ text }) => text).join(between));

function textOf(part: Part): string {
  if (part === null) return '';
  if (part instanceof Html) return part.text;
  return typeof part === 'object' ? part.map(textOf).join('') : escaped(String(part));
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
  '`': '&#96;',
};

/** Those that a reader would not see, or that reorder or hide what is shown; tabs and line ends stay. */
const deceiving = /(?![\t\n])[\p{Cc}\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/gu;

/** What would deceive is made visible: no text can pretend to be another. */
export function escaped(text: string): string {
  return text
    .toWellFormed()
    .replace(/[&<>"'`]/g, (character) => entities[character] ?? '')
    .replace(deceiving, (character) => `\ufffd${character.charCodeAt(0).toString(16)}`);
}
