// What `mirrorstream replay` is asked for: windows, settings from flags and file, and what is refused, with the flag.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseCommandLine } from '../command-line.ts';
import { type ReplayRequest, readReplayRequest, replayCommand, settingsArguments } from './replay-request.ts';

const nowMs = Date.parse('2026-11-21T14:00:00Z');
const mirror = ['--mirror', 'candidate=postgres://pg18:5432'];

function request(words: readonly string[], env: Record<string, string> = {}): Promise<ReplayRequest> {
  return readReplayRequest(parseCommandLine(replayCommand, words), { demo: 'postgres://127.0.0.1:5000' }, nowMs, env);
}

test('a window up to now, timed at production’s pace, of all sessions, unless told otherwise', async () => {
  const { window, settings, run, repeat, replayers, target } = await request([...mirror, '--from', '-15m']);
  assert.deepEqual(window, { fromMs: nowMs - 900_000, toMs: nowMs });
  assert.deepEqual([settings.pacing, settings.speed, settings.exposure], ['timed', 1, 1]);
  assert.deepEqual([run, repeat, replayers], [null, null, 1]);
  assert.deepEqual(target.env, { MIRRORSTREAM_TARGET_URL: 'postgres://pg18:5432' });
});

test('settings come from flags, then from the file, and go to the replayer as its flags', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'mirrorstream-test-request-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'mirrorstream.yaml');
  writeFileSync(
    file,
    'mirrors:\n  candidate: {url: "postgres://pg18:5432", exposure: 0.5, filters: {includeUsers: [web], excludeDatabases: [logs]}}\n',
  );
  const words = ['--mirror', 'candidate', '-f', file, '--from', '-1h', '--speed', '2.5', '--include-user', 'app'];
  const { settings, target } = await request([...words, '--include-user', 'jobs']);
  assert.deepEqual([settings.speed, settings.exposure], [2.5, 0.5]);
  assert.deepEqual(settings.filters.includeUsers, ['app', 'jobs']);
  assert.deepEqual(settings.filters.excludeDatabases, ['logs']);
  assert.deepEqual(target.arguments, ['--target-env', 'MIRRORSTREAM_TARGET_URL']);
  const line = settingsArguments(settings).join(' ');
  assert.match(line, /--pacing timed --speed 2\.5 .*--exposure 0\.5/);
  assert.match(
    line,
    /--exclude-database logs .*--include-user app --include-user jobs|--include-user app --include-user jobs.*--exclude-database logs/,
  );
});

test('ids are mapped as the flags say, else as the file does, and off is not said', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'mirrorstream-test-request-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'mirrorstream.yaml');
  writeFileSync(
    file,
    'mirrors:\n  m: {url: "postgres://pg18:5432", mapIds: mirror, mapIdsReferences: [a.b=c.d, t.id=t_seq]}\n',
  );
  const words = ['--mirror', 'm', '-f', file, '--from', '-1h'];
  const byFile = settingsArguments((await request(words)).settings).join(' ');
  assert.match(byFile, /--map-ids mirror --map-ids-reference a\.b=c\.d --map-ids-reference t\.id=t_seq$/);
  const byFlag = settingsArguments((await request([...words, '--map-ids', 'session'])).settings).join(' ');
  assert.match(byFlag, /--map-ids session --map-ids-reference a\.b=c\.d/);
  const off = settingsArguments((await request([...words, '--map-ids', 'off'])).settings).join(' ');
  assert.doesNotMatch(off, /map-ids/);
  await assert.rejects(request([...words, '--map-ids', 'all']), /--map-ids is none of/);
  await assert.rejects(request([...words, '--map-ids-reference', 'nothing']), /--map-ids-reference names no reference/);
});

test('where the mirror is: a variable, a file, or a server that the stack brought along; never on a command line', async () => {
  const from = ['--from', '-1h'];
  const byVariable = await request(['--mirror', 'm', '--target-env', 'PG', ...from], { PG: 'postgres://u:secret@h' });
  assert.deepEqual(byVariable.target.arguments, ['--target-env', 'PG']);
  const byFile = await request(['--mirror', 'm', '--target-file', '/run/url', ...from]);
  assert.deepEqual(byFile.target.arguments, ['--target-file', '/run/url']);
  const embedded = await request(['--mirror', 'demo', ...from]);
  assert.deepEqual(embedded.target.env, { MIRRORSTREAM_TARGET_URL: 'postgres://127.0.0.1:5000' });
  await assert.rejects(request(['--mirror', 'm', ...from]), /does not say where the mirror is/);
  await assert.rejects(request(['--mirror', 'm', '--target-env', 'PG', ...from]), /PG, which is not set/);
});

test('what cannot be is refused by the flag that says so', async () => {
  const refused: readonly (readonly [readonly string[], RegExp])[] = [
    [['--from', '10:00'], /--from is no time/],
    [['--from', '-1h', '--to', '2026-11-21T14:00:01Z'], /--to lies in the future/],
    [['--from', '-1h', '--to', '-2h'], /--from is not before --to/],
    [['--to', 'now'], /--to needs --from/],
    [['--from', '-1h', '--speed', '0'], /--speed is not a number/],
    [['--from', '-1h', '--exposure', '1.5'], /--exposure is not a number/],
    [['--from', '-1h', '--pacing', 'fast'], /--pacing is neither/],
    [['--from', '-1h', '--late', 'long'], /--late is not a duration/],
    [['--from', '-1h', '--include-class', 'most'], /--include-class is not usable/],
    [['--repeat', 'a', '--speed', '2'], /--speed does not go with --repeat/],
    [['--run', 'live', '--from', '-1h'], /--run is the live replay/],
    [['--run', 'Not A Name', '--from', '-1h'], /run name/],
    [['--replayers', '0', '--from', '-1h'], /--replayers is not a number/],
  ];
  for (const [words, message] of refused)
    await assert.rejects(request([...mirror, ...words]), { code: 'badInput', message });
  await assert.rejects(request(['--from', '-1h']), /--mirror is missing/);
});
