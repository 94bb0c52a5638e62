// Text of several lines from the network, made harmless for a terminal without losing its lines.
import { harmless } from '../view/text.ts';

export const harmlessLines = (text: string): string =>
  text
    .split(/\r\n|\r|\n/)
    .map((line) => line.replace(/\t/g, '  '))
    .map((line) => `${/^ */.exec(line)?.[0] ?? ''}${harmless(line)}`)
    .join('\n');
