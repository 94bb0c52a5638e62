// A story as lines for a terminal.
import { formatDuration } from '../duration.ts';
import { type Line, paint, type Span, type Style, span } from '../view/line.ts';
import { fit, harmless, padTo, widthOf } from '../view/text.ts';
import type { AnswerDiff, DiffRow } from './answer-diff.ts';
import { planLines } from './plan.ts';
import type { Story, StoryExchange, StorySide, StoryStatement } from './story.ts';

const maxCell = 40;
const goodClasses: ReadonlySet<string> = new Set(['match', 'numericEpsilon', 'maskedMatch']);

export function storyLines(
  story: Story,
  options: { readonly columns: number; readonly colour: boolean; readonly showValues: boolean },
): readonly string[] {
  const lines: Line[] = [...head(story)];
  for (const exchange of story.exchanges) lines.push([], ...exchangeLines(exchange, options.showValues));
  if (story.notes.length > 0) lines.push([], ...story.notes.map((note) => [span(`note: ${harmless(note)}`, 'faint')]));
  return lines.map((line) => paint(line, options.columns, options.colour));
}

const labelled = (label: string, ...spans: readonly Span[]): Line => [span(padTo(label, 12), 'faint'), ...spans];

function head({ envelope, source, mirror, run, session, captured, replayed }: Story): Line[] {
  const where = mirror === null ? source : `${source} → ${mirror}${run === 'live' ? '' : `, run ${run}`}`;
  const lines: Line[] = [
    [span(`envelope ${envelope}`, 'strong'), span(`  ${where}`)],
    labelled(
      'session',
      span(
        harmless(
          `${session.id} transaction ${session.seq}, ${session.user} on ${session.database}${session.application === '' ? '' : `, ${session.application}`}`,
        ),
      ),
    ),
    labelled(
      'captured',
      span(
        `${timeOf(captured.startedAtUs)}, ${captured.outcome}${captured.parts > 1 ? `, in ${captured.parts} parts` : ''}`,
      ),
    ),
  ];
  if (!captured.complete) lines.push(labelled('', span('not all of its parts are shown', 'warn')));
  if (captured.redactions > 0)
    lines.push(labelled('', span(`${captured.redactions} statements had secrets taken out by capture`, 'warn')));
  for (const setting of session.settings) lines.push(labelled('setting', span(harmless(setting))));
  if (session.dependsOn.length > 0) lines.push(labelled('depends on', span(session.dependsOn.join(', '), 'warn')));
  lines.push(replayed === null ? labelled('replayed', span('no result found', 'warn')) : replayLine(replayed));
  return lines;
}

function replayLine(replayed: NonNullable<Story['replayed']>): Line {
  const reason = replayed.reason === '' ? '' : ` (${replayed.reason})`;
  const order = replayed.order === '' ? '' : `, ${replayed.order}`;
  const late = replayed.scheduleLagUs >= 1000 ? `, ${duration(replayed.scheduleLagUs)} after its moment` : '';
  const when = replayed.sentAtUs === '0' ? '' : `${timeOf(replayed.sentAtUs)}, `;
  return labelled(
    'replayed',
    span(`${when}${replayed.outcome}${reason}, ${replayed.transactionOutcome}${late}${order}`),
  );
}

const timeOf = (us: string): string => new Date(Number(BigInt(us) / 1000n)).toISOString();
const duration = (us: number): string =>
  us < 1000 ? `${us} µs` : us < 1_000_000 ? `${(us / 1000).toFixed(1)} ms` : formatDuration(us / 1000);

function exchangeLines(
  { index, sentUs, doneUs, cancelledAfterUs, statements }: StoryExchange,
  showValues: boolean,
): Line[] {
  const took = doneUs === null ? 'never answered' : `took ${duration(doneUs - sentUs)}`;
  const cancelled = cancelledAfterUs === null ? '' : `, cancelled by its client after ${duration(cancelledAfterUs)}`;
  return [
    [span(`exchange ${index}`, 'strong'), span(`  sent at +${duration(sentUs)}, ${took}${cancelled}`, 'faint')],
    ...statements.flatMap((statement) => statementLines(statement, showValues)),
  ];
}

function statementLines(told: StoryStatement, showValues: boolean): Line[] {
  const { sql, parameters, captured, replayed, judgement, diff, plans } = told;
  const [first = '', ...rest] = sql.split('\n').filter((line) => line.trim() !== '');
  const lines: Line[] = [
    [span('  '), ...verdictSpans(judgement), span(first === '' ? '(no text)' : first, 'accent')],
    ...rest.map((line) => [span(`    ${line}`, 'accent')]),
  ];
  if (parameters.length > 0)
    lines.push([span(`    ${parameters.map((value, i) => `$${i + 1} = ${harmless(value)}`).join(', ')}`)]);
  lines.push([span('    production  ', 'faint'), span(sideText(captured))]);
  if (replayed !== null)
    lines.push([span('    mirror      ', 'faint'), span(`${sideText(replayed)}${ratio(captured, replayed)}`)]);
  if (judgement !== null && judgement.detail !== '') lines.push([span(`    ${harmless(judgement.detail)}`, 'warn')]);
  if (judgement !== null && judgement.columns.length > 0)
    lines.push([span(`    columns: ${harmless(judgement.columns.join(', '))}`)]);
  if (judgement?.cause) lines.push([span(`    follows from ${judgement.cause.envelope}`, 'warn')]);
  if (diff !== null) lines.push(...diffLines(diff));
  for (const plan of plans)
    lines.push(
      [span(`    plan on the ${plan.side}, ${plan.serverVersion}, ${new Date(plan.atMs).toISOString()}`, 'faint')],
      ...planLines(plan, showValues).map((line) => [span(`      ${line}`)]),
    );
  return lines;
}

function verdictSpans(judgement: StoryStatement['judgement']): Span[] {
  if (judgement === null) return [];
  const style: Style = goodClasses.has(judgement.class)
    ? 'good'
    : judgement.class === 'notCompared' || judgement.class === 'suspect'
      ? 'warn'
      : 'bad';
  const reason = judgement.notCompared === '' ? '' : ` (${judgement.notCompared})`;
  return [span(`${judgement.class}${reason}`, style), span('  ')];
}

function sideText(side: StorySide | null): string {
  if (side === null) return 'nothing was kept';
  const what =
    side.sqlState !== ''
      ? `${side.sqlState}${side.message === '' ? '' : `: ${side.message}`}`
      : side.commandTag || side.end;
  const rows = side.rows > 0 ? `, ${side.rows} ${side.rows === 1 ? 'row' : 'rows'}` : '';
  return harmless(`${what}${rows}${side.latencyUs > 0 ? `, ${duration(side.latencyUs)}` : ''}`);
}

function ratio(captured: StorySide | null, replayed: StorySide): string {
  if (captured === null || captured.latencyUs === 0 || replayed.latencyUs === 0) return '';
  return `  (× ${(replayed.latencyUs / captured.latencyUs).toFixed(2)})`;
}

export function diffLines(diff: AnswerDiff): Line[] {
  const lines: Line[] = diff.columnChanges.map(({ captured, replayed }) => [
    span('    column  '),
    span(harmless(captured ?? '(none)'), 'bad'),
    span(' → '),
    span(harmless(replayed ?? '(none)'), 'good'),
  ]);
  for (const row of diff.rows) lines.push(...rowLines(row, diff.columns));
  if (diff.notShown > 0) lines.push([span(`    … and ${diff.notShown} more`, 'faint')]);
  if (diff.cut) lines.push([span('    what was kept of an answer ends before the answer did', 'faint')]);
  return lines;
}

function rowLines(row: DiffRow, columns: readonly string[]): Line[] {
  switch (row.kind) {
    case 'same':
      return [[span(`      ${row.rows} equal ${row.rows === 1 ? 'row' : 'rows'}`, 'faint')]];
    case 'changed': {
      const differs = new Set(row.columns);
      return [
        [span('    - ', 'bad'), ...cells(row.captured, columns, differs, 'bad')],
        [span('    + ', 'good'), ...cells(row.replayed, columns, differs, 'good')],
      ];
    }
    case 'onlyCaptured':
      return [[span(row.elsewhere ? '    ↓ ' : '    - ', 'bad'), ...cells(row.captured, columns, null, 'bad')]];
    case 'onlyReplayed':
      return [[span(row.elsewhere ? '    ↑ ' : '    + ', 'good'), ...cells(row.replayed, columns, null, 'good')]];
    default:
      return row satisfies never;
  }
}

function cells(
  row: readonly (string | null)[],
  columns: readonly string[],
  differs: ReadonlySet<number> | null,
  style: Style,
): Span[] {
  return row.flatMap((cell, i) => {
    const name = columns[i] ?? `${i + 1}`;
    const text = `${harmless(name)}=${fitCell(cell)}`;
    return [
      ...(i === 0 ? [] : [span(' | ', 'faint')]),
      span(text, differs === null || differs.has(i) ? style : 'plain'),
    ];
  });
}

function fitCell(cell: string | null): string {
  const text = cell === null ? 'NULL' : harmless(cell);
  return widthOf(text) > maxCell ? fit(text, maxCell) : text;
}
