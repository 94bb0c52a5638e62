// A line of the view: pieces of text with a style, cut to the terminal's width before they are painted.
import { fit, widthOf } from './text.ts';

export type Style = 'plain' | 'strong' | 'faint' | 'good' | 'bad' | 'warn' | 'accent';
export interface Span {
  readonly text: string;
  readonly style: Style;
}
export type Line = readonly Span[];

export const span = (text: string, style: Style = 'plain'): Span => ({ text, style });
export const emptyLine: Line = [];

/** SGR codes of ECMA-48; only the 16 basic colours, which every terminal maps to something readable. */
const codes: Readonly<Record<Style, string>> = {
  plain: '',
  strong: '1',
  faint: '2',
  good: '32',
  bad: '31',
  warn: '33',
  accent: '36',
};

/** The line as a string of at most `columns`, with colour or without. */
export function paint(line: Line, columns: number, colour: boolean): string {
  let left = columns;
  let painted = '';
  for (const { text, style } of line) {
    if (left <= 0) break;
    const shown = fit(text, left);
    left -= widthOf(shown);
    painted += colour && codes[style] !== '' ? `\u001b[${codes[style]}m${shown}\u001b[0m` : shown;
  }
  return painted;
}

/** Puts items one after the other, separated, onto as many lines as they need. */
export function flow(items: readonly Line[], separator: Span, columns: number, indent: string): Line[] {
  const lines: Line[] = [];
  let line: Span[] = [span(indent)];
  let width = widthOf(indent);
  let empty = true;
  for (const item of items) {
    const itemWidth = item.reduce((sum, one) => sum + widthOf(one.text), 0);
    if (!empty && width + widthOf(separator.text) + itemWidth > columns) {
      lines.push(line);
      line = [span(indent)];
      width = widthOf(indent);
      empty = true;
    }
    if (!empty) {
      line.push(separator);
      width += widthOf(separator.text);
    }
    line.push(...item);
    width += itemWidth;
    empty = false;
  }
  if (!empty) lines.push(line);
  return lines;
}
