// Draws the live view: (model, size) → lines. Pure, so that tests can look at it.
import { divergenceClasses, type MirrorStatus, toleratedClasses } from '@mirrorstream/domain';
import { formatDuration } from '../duration.ts';
import type { Divergence } from './divergences.ts';
import { emptyLine, flow, type Line, paint, span } from './line.ts';
import type { MirrorView, ViewModel } from './model.ts';
import { fit, formatBytes, formatCount, padTo } from './text.ts';

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

const dot = span(' · ', 'faint');
const minColumns = 40;
/** Below this height both answers share a line and blank lines go. */
const smallRows = 32;

/** Lines for a terminal of that size, at most `rows` of them. */
export function renderView(model: ViewModel, { columns, rows }: Size, colour: boolean): string[] {
  const width = Math.max(minColumns, columns);
  const small = rows < smallRows;
  const gap = small ? [] : [emptyLine];
  const mirrors = model.mirrors.flatMap((mirror) => [...gap, ...mirrorBlock(mirror, width)]);
  const top = [...header(model, width), ...(small ? [emptyLine] : []), ...mirrors];
  const notes = model.notes.map((note) => [span('! ', 'bad'), span(note, 'bad')]);
  const bottom = [...gap, footer(model)];
  const room = rows - top.length - notes.length - bottom.length;
  const lines = [...top, ...notes, ...divergenceBlock(model, room, width, small), ...bottom];
  const shown = lines.length <= rows ? lines : [...lines.slice(0, Math.max(0, rows - 1)), footer(model)];
  return shown.map((line) => paint(line, columns, colour));
}

/** The same as plain text of any height: the final summary. */
export function renderSummary(model: ViewModel, columns: number, colour: boolean): string[] {
  const width = Math.max(minColumns, columns);
  const lines = [
    ...header(model, width),
    ...model.mirrors.flatMap((mirror) => [emptyLine, ...mirrorBlock(mirror, width)]),
    ...divergenceBlock(model, Number.POSITIVE_INFINITY, width, false),
    ...model.notes.map((note) => [span('! ', 'bad'), span(note, 'bad')]),
    ...(model.phase === 'stopped' && model.mirrors.some((mirror) => mirror.status.transactions.inFlight > 0)
      ? [emptyLine, [span('What is in flight stays in Kafka: the next run on the same data goes on with it.', 'faint')]]
      : []),
  ];
  return lines.map((line) => paint(line, columns, colour));
}

function header(model: ViewModel, width: number): Line[] {
  const { source } = model.status;
  const ranForMs = Math.max(0, model.nowMs - model.startedAtMs);
  const phase = model.phase === 'running' ? [] : [span(model.phase, 'warn')];
  const time =
    model.forMs === null
      ? formatDuration(ranForMs)
      : `${formatDuration(Math.min(ranForMs, model.forMs))} of ${formatDuration(model.forMs)}`;
  const connect: Line[] = model.connectWith === null ? [] : [[span(model.connectWith)]];
  const proxy =
    model.listen === null
      ? []
      : flow(
          [[span('proxy ', 'faint'), span(model.listen, 'accent'), span(` → ${source.name}`, 'faint')], ...connect],
          span('   '),
          width,
          '',
        );
  const { dropped, leftOut } = source;
  const droppedSpan =
    dropped.transactions === 0 && dropped.bytes === 0
      ? span('nothing dropped', 'good')
      : span(`dropped ${formatCount(dropped.transactions)} transactions, ${formatBytes(dropped.bytes)}`, 'bad');
  const ended = model.phase === 'stopped';
  const traffic: Line[] = [
    ...(ended || model.transactionsPerSecond === null
      ? []
      : [[span(`${model.transactionsPerSecond.toFixed(0)} tx/s`, 'strong')]]),
    ...(ended ? [] : [[span(`${formatCount(model.openSessions)} sessions`)]]),
    [span(`${formatCount(source.transactions)} transactions`)],
    [span(`${formatCount(source.exchanges)} exchanges`)],
    [droppedSpan],
    // A sample must not be taken for the whole.
    ...(leftOut.sessions === 0 && leftOut.bytes === 0
      ? []
      : [
          [
            span(
              `left out on purpose ${formatCount(leftOut.sessions)} sessions, ${formatBytes(leftOut.bytes)}`,
              'warn',
            ),
          ],
        ]),
  ];
  return [
    ...flow([[span('mirrorstream', 'strong')], [span(time)], ...phase.map((one) => [one])], span('  '), width, ''),
    ...proxy,
    ...flow(traffic, dot, width, ''),
  ];
}

function mirrorBlock({ name, what, status, reasons }: MirrorView, width: number): Line[] {
  const { transactions } = status;
  const differs = divergenceClasses.reduce((sum, className) => sum + status.statements[className], 0);
  const head: Line[] = [
    [span(name, 'strong'), span(what === '' ? '' : ` ${what}`, 'faint')],
    [differs === 0 ? span('no divergence', 'good') : span(`${formatCount(differs)} statements differ`, 'bad')],
    [span('behind source '), span(formatDuration(status.behindSourceMs))],
    [span(`lag ${formatCount(status.consumerLag)}`)],
    ...playing(status),
    ...pacing(status),
  ];
  const why = [...reasons]
    .filter(([, count]) => count > 0)
    .map(([reason, count]) => [span(`${reason} ${formatCount(count)}`, 'warn')]);
  return [
    ...flow(head, dot, width, ''),
    ...flow(
      [[span(`${bar(transactions, width < 100 ? 8 : 20)} `, 'accent')], ...accounting(transactions)],
      span(''),
      width,
      '  ',
    ),
    ...flow(classes(status), dot, width, '  '),
    ...(why.length === 0 ? [] : flow(why, dot, width, '  ')),
  ];
}

/** What is out of the ordinary: less than all of the sessions, a pause, relief. */
function playing({ playing }: MirrorStatus): Line[] {
  if (playing === undefined) return [];
  const { paused, exposure, sessions, shedding } = playing;
  const share = sessions.seen === 0 ? '' : `, effective ${((100 * sessions.played) / sessions.seen).toFixed(1)} %`;
  return [
    ...(exposure === 1 ? [] : [[span(`exposure ${Number((100 * exposure).toFixed(4))} %${share}`)]]),
    ...(paused ? [[span('paused', 'warn')]] : []),
    ...(shedding === 'none' ? [] : [[span(`sheds: ${shedding}`, 'warn')]]),
  ];
}

/** How late sends are, and what order is not kept or may explain. */
function pacing({ pacing }: MirrorStatus): Line[] {
  if (pacing === undefined) return [];
  const { mode, scheduleLagMs, orderGivenUp, divergedByOrder } = pacing;
  const late = `${mode}, 99 % of sends within ${formatDuration(scheduleLagMs.p99)}`;
  return [
    [span(mode === 'timed' && scheduleLagMs.sends > 0 ? late : mode)],
    ...(orderGivenUp === 0 ? [] : [[span(`order given up ${formatCount(orderGivenUp)}`, 'warn')]]),
    ...(divergedByOrder === 0 ? [] : [[span(`order may explain ${formatCount(divergedByOrder)}`, 'warn')]]),
  ];
}

/** `1 234 captured = 1 200 replayed + 34 in flight`; what is 0 is left out, the sum is still exact. */
function accounting({ captured, inFlight, ...outcomes }: MirrorStatus['transactions']): Line[] {
  const terms = [
    span(`${formatCount(outcomes.replayed)} replayed`),
    ...(['filtered', 'unexposed', 'shed'] as const)
      .filter((outcome) => outcomes[outcome] > 0)
      .map((outcome) => span(`${formatCount(outcomes[outcome])} ${outcome}`, 'warn')),
    ...(outcomes.failed > 0 ? [span(`${formatCount(outcomes.failed)} failed`, 'bad')] : []),
    span(`${formatCount(inFlight)} in flight`, inFlight > 0 ? 'plain' : 'faint'),
  ];
  return [
    [span(`${formatCount(captured)} captured`)],
    ...terms.map((term, index) => [span(index === 0 ? ' = ' : ' + ', 'faint'), term]),
  ];
}

/** Share of captured transactions that are resolved. */
function bar({ captured, inFlight }: MirrorStatus['transactions'], cells: number): string {
  // Full only when nothing is in flight.
  const filled = captured === 0 ? 0 : Math.floor(((captured - inFlight) / captured) * cells);
  return '█'.repeat(filled) + '░'.repeat(cells - filled);
}

function classes({ statements }: MirrorStatus): Line[] {
  return [
    [span(`match ${formatCount(statements.match)}`, 'good')],
    ...toleratedClasses
      .filter((name) => statements[name] > 0)
      .map((name) => [span(`${name} ${formatCount(statements[name])}`, 'good')]),
    ...divergenceClasses
      .filter((name) => statements[name] > 0)
      .map((name) => [span(`${name} ${formatCount(statements[name])}`, 'bad')]),
    ...(statements.suspect > 0 ? [[span(`suspect ${formatCount(statements.suspect)}`, 'warn')]] : []),
    ...(statements.notCompared > 0 ? [[span(`not compared ${formatCount(statements.notCompared)}`, 'faint')]] : []),
  ];
}

function divergenceBlock({ divergences }: ViewModel, room: number, width: number, small: boolean): Line[] {
  if (divergences === null) return [];
  const lines: Line[] = [emptyLine];
  if (divergences.length === 0) {
    lines.push([span('No answer differs so far.', 'faint')]);
    return room >= lines.length ? lines : [];
  }
  lines.push([span('What differs', 'strong'), span('  (first example of each kind)', 'faint')]);
  let shown = 0;
  for (const divergence of divergences) {
    const block = small ? smallDivergence(divergence, width) : divergenceLines(divergence, width);
    const rest = divergences.length - shown - 1;
    if (lines.length + block.length + (rest > 0 ? 1 : 0) > room) break;
    lines.push(...block);
    shown++;
  }
  const left = divergences.length - shown;
  if (left > 0) lines.push([span(`  … and ${left} more ${left === 1 ? 'kind' : 'kinds'}`, 'faint')]);
  return lines.length <= room ? lines : [];
}

function divergenceLines(
  { mirror, class: className, count, sql, captured, replayed, detail }: Divergence,
  width: number,
): Line[] {
  const side = Math.max('production'.length, Math.min(mirror.length, Math.floor(width / 4))) + 2;
  return [
    [
      span(`  ${padTo(className, 13)}`, 'bad'),
      span(padTo(`×${formatCount(count)}`, 6), 'warn'),
      span(sql === '' ? detail : sql),
    ],
    [span(`    ${padTo('production', side)}`, 'faint'), span(captured)],
    [span(`    ${padTo(mirror, side)}`, 'faint'), span(replayed)],
  ];
}

/** Both answers on one line, each with its half of it. */
function smallDivergence(
  { mirror, class: className, count, sql, captured, replayed, detail }: Divergence,
  width: number,
): Line[] {
  const half = Math.floor((width - 9) / 2);
  return [
    [
      span(`  ${className} `, 'bad'),
      span(`×${formatCount(count)} `, 'warn'),
      span(`${mirror} `, 'faint'),
      span(sql === '' ? detail : sql),
    ],
    [span(`    ${fit(captured, half)}`), span(' → ', 'faint'), span(fit(replayed, half))],
  ];
}

function footer({ phase }: ViewModel): Line {
  const text =
    phase === 'running'
      ? 'Ctrl-C stops everything'
      : phase === 'stopped'
        ? ''
        : 'Ctrl-C again: stop at once, without draining';
  return [span(text, 'faint')];
}
