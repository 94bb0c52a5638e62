// Tests of the live view: what stands on the screen, at several sizes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MirrorStatus } from '@mirrorstream/domain';
import { renderSummary, renderView } from './render.ts';
import { reportLine } from './report-line.ts';
import { sampleModel } from './sample-model.ts';
import { widthOf } from './text.ts';

test('at 140×45 everything is shown, each divergence with both answers', () => {
  assert.deepEqual(renderView(sampleModel(), { columns: 140, rows: 45 }, false), [
    'mirrorstream  1 min 12 s',
    'proxy 127.0.0.1:6543 → source   psql -h 127.0.0.1 -p 6543 -U demo demo',
    '142 tx/s · 12 sessions · 10 312 transactions · 24 100 exchanges · nothing dropped',
    '',
    'candidate PostgreSQL 18 · 188 statements differ · behind source 0 ms · lag 0',
    '  ███████████████████░ 10 312 captured = 10 200 replayed + 2 failed + 110 in flight',
    '  match 23 312 · orderOnly 40 · value 112 · errorNew 36 · not compared 5',
    '  failed/connectionLost 2',
    '',
    'control PostgreSQL 17 · no divergence · behind source 0 ms · lag 0',
    '  ████████████████████ 10 312 captured = 10 312 replayed + 0 in flight',
    '  match 24 000',
    '',
    'What differs  (first example of each kind)',
    '  value        ×112  SELECT loyalty_points($1)',
    '    production  loyalty_points = 12',
    '    candidate   loyalty_points = 13',
    '  errorNew     ×36   INSERT INTO order_lines (order_id, line, product_id, quantity) VALUES ($1, $5, $2, $3)',
    '    production  INSERT 0 1',
    '    candidate   ERROR 23514: new row for relation "order_lines" violates check constraint "order_lines_quantity_limit"',
    '  orderOnly    ×40   SELECT id, name FROM shipping_zones',
    '    production  1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12',
    '    candidate   12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1',
    '',
    'Ctrl-C stops everything',
  ]);
});

test('at 80×24 both answers share a line and the accounting is whole', () => {
  const lines = renderView(sampleModel(), { columns: 80, rows: 24 }, false);
  assert.ok(lines.length <= 24);
  assert.ok(
    lines.includes('  ███████░ 10 312 captured = 10 200 replayed + 2 failed + 110 in flight'),
    lines.join('\n'),
  );
  assert.ok(lines.includes('  value ×112 candidate SELECT loyalty_points($1)'), lines.join('\n'));
  assert.ok(lines.includes('    loyalty_points = 12 → loyalty_points = 13'));
  assert.equal(lines.at(-1), 'Ctrl-C stops everything');
});

test('at 60 columns the accounting wraps rather than losing a term', () => {
  const text = renderView(sampleModel(), { columns: 60, rows: 24 }, false).join('\n');
  assert.match(text, /10 312 captured = 10 200 replayed \+ 2 failed\n {3}\+ 110 in flight/);
});

test('no line is wider and no frame higher than the terminal, at any size', () => {
  for (let columns = 20; columns <= 160; columns += 7) {
    for (let rows = 3; rows <= 50; rows += 5) {
      for (const line of renderView(sampleModel({ notes: ['something needs attention'] }), { columns, rows }, false)) {
        assert.ok(widthOf(line) <= columns, `${columns}×${rows}: ${line}`);
      }
      assert.ok(renderView(sampleModel(), { columns, rows }, false).length <= rows, `${columns}×${rows}`);
    }
  }
});

test('divergences that do not fit are counted, not forgotten', () => {
  const lines = renderView(sampleModel(), { columns: 80, rows: 18 }, false);
  assert.ok(lines.includes('  … and 2 more kinds'), lines.join('\n'));
});

test('without colour there is no escape sequence, and with colour the text is the same', () => {
  const plain = renderView(sampleModel(), { columns: 100, rows: 40 }, false).join('\n');
  const painted = renderView(sampleModel(), { columns: 100, rows: 40 }, true).join('\n');
  assert.equal(plain.includes('\u001b'), false);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the sequences that are meant.
  assert.equal(painted.replace(/\u001b\[\d+m/g, ''), plain);
});

test('a bar is full only when nothing is in flight', () => {
  const [, candidate, , , control] = renderView(sampleModel(), { columns: 120, rows: 40 }, false).filter((line) =>
    /[█░]|PostgreSQL|match/.test(line),
  );
  assert.match(candidate ?? '', /█{19}░/);
  assert.match(control ?? '', /█{20}/);
});

test('what was dropped and what needs attention is said', () => {
  const model = sampleModel({ notes: ['mirror candidate has resolved 8 transactions but capture counts only 5'] });
  model.status.source.dropped = { transactions: 1234, bytes: 3_400_000 };
  const text = renderView(model, { columns: 120, rows: 40 }, false).join('\n');
  assert.match(text, /dropped 1 234 transactions, 3\.2 MiB/);
  assert.match(text, /! mirror candidate has resolved 8/);
});

test('what was left out on purpose is said: a sample is no whole', () => {
  const model = sampleModel();
  model.status.source.leftOut = { sessions: 99, bytes: 3_400_000 };
  const text = renderView(model, { columns: 160, rows: 40 }, false).join('\n');
  assert.match(text, /left out on purpose 99 sessions, 3\.2 MiB/);
});

test('the summary of a finished run shows no rates and no hint about keys', () => {
  const text = renderSummary(sampleModel({ phase: 'stopped' }), 100, false).join('\n');
  assert.doesNotMatch(text, /tx\/s|Ctrl-C/);
  assert.match(text, /10 312 captured = 10 200 replayed \+ 2 failed \+ 110 in flight/);
  assert.match(text, /orderOnly/);
});

test('a status without a look at divergences says nothing about examples', () => {
  const text = renderSummary(sampleModel({ divergences: null, transactionsPerSecond: null }), 100, false).join('\n');
  assert.doesNotMatch(text, /differs so far|What differs|tx\/s/);
});

test('a pipe gets one line with all mirrors', () => {
  assert.equal(
    reportLine(sampleModel()),
    '1 min 12 s: 10312 captured | candidate 10202 resolved, 188 differ, 0 ms behind | control 10312 resolved, 0 differ, 0 ms behind',
  );
});

test('less exposure, a pause and shedding are said', () => {
  const model = sampleModel();
  const [candidate, ...others] = model.mirrors;
  if (candidate === undefined) throw new Error('the sample has mirrors');
  const playing = {
    paused: true,
    exposure: 0.25,
    sessions: { seen: 40, played: 12 },
    transactions: { seen: 400, played: 90 },
    shedding: 'reads',
  } as const;
  const mirrors = [{ ...candidate, status: { ...candidate.status, playing } }, ...others];
  const text = renderSummary({ ...model, mirrors }, 140, false).join('\n');
  assert.match(text, /lag 0 · exposure 25 %, effective 30\.0 % · paused · sheds: reads/);
});

test('how late sends are, and what order is not kept or may explain, is said', () => {
  const model = sampleModel();
  const [candidate, ...others] = model.mirrors;
  if (candidate === undefined) throw new Error('the sample has mirrors');
  const shown = (pacing: MirrorStatus['pacing']) =>
    renderSummary(
      { ...model, mirrors: [{ ...candidate, status: { ...candidate.status, pacing } }, ...others] },
      140,
      false,
    ).join('\n');
  const none = { orderGivenUp: 0, outOfOrder: 0, divergedByOrder: 0 };
  const timed = { mode: 'timed', scheduleLagMs: { sends: 9, p50: 1, p99: 12, max: 40 }, ...none } as const;
  assert.match(shown(timed), /lag 0 · timed, 99 % of sends within 12 ms\n/);
  assert.match(shown({ ...timed, divergedByOrder: 3 }), /within 12 ms · order may explain 3\n/);
  assert.match(shown({ ...timed, mode: 'ordered', orderGivenUp: 7 }), /lag 0 · ordered · order given up 7\n/);
  assert.doesNotMatch(shown(undefined), /timed|ordered/);
});
