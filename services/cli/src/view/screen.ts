// The terminal: redraws the view in the alternate screen, and gives the screen back whatever happens.
import type { WriteStream } from 'node:tty';
import type { ViewModel } from './model.ts';
import { renderView } from './render.ts';

// ECMA-48 and xterm control sequences.
const enterAlternate = '\u001b[?1049h\u001b[?25l';
const leaveAlternate = '\u001b[?25h\u001b[?1049l';
const home = '\u001b[H';
const clearToEndOfLine = '\u001b[K';
const clearBelow = '\u001b[J';

const redrawEveryMs = 333;

export interface Screen {
  close(): void;
}

/** https://no-color.org: any non-empty value means no colour. */
export function wantsColour(env: Readonly<Record<string, string | undefined>>, isTerminal: boolean): boolean {
  return isTerminal && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
}

export function openScreen(terminal: WriteStream, model: () => ViewModel, colour: boolean): Screen {
  let open = true;
  const draw = (): void => {
    const size = { columns: terminal.columns || 80, rows: terminal.rows || 24 };
    const lines = renderView(model(), size, colour);
    terminal.write(home + lines.map((line) => line + clearToEndOfLine).join('\r\n') + clearBelow);
  };
  const close = (): void => {
    if (!open) return;
    open = false;
    clearInterval(timer);
    terminal.off('resize', draw);
    process.off('exit', close);
    terminal.write(leaveAlternate);
  };
  terminal.write(enterAlternate);
  terminal.on('resize', draw);
  process.on('exit', close);
  const timer = setInterval(draw, redrawEveryMs);
  draw();
  return { close };
}
