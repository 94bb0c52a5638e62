// The command line: the default set, one part of it, and what is refused.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseFlags } from './flags.ts';

const parse = (...argv: string[]) => parseFlags(argv, '/out');

test('without flags everything is measured on four loads and written', () => {
  const parsed = parse();
  assert.ok(parsed.kind === 'run');
  assert.deepEqual(
    parsed.settings.loads.map(({ workload, protocol, clients }) => `${workload} ${protocol} ${clients}`),
    ['select simple 8', 'select prepared 8', 'tpcb simple 8', 'tpcb prepared 8'],
  );
  assert.deepEqual([parsed.settings.out, parsed.settings.rounds], ['/out', 3]);
});

test('a quick look takes one round and writes nothing', () => {
  const parsed = parse('--quick', '--workload', 'select', '--protocol', 'prepared', '--clients', '4,8');
  assert.ok(parsed.kind === 'run');
  assert.deepEqual([parsed.settings.out, parsed.settings.rounds, parsed.settings.loads.length], [null, 1, 2]);
});

test('what is wrong is said with the name of the flag', () => {
  for (const [flag, value] of [
    ['--part', 'speed'],
    ['--workload', 'connect'],
    ['--clients', '0'],
    ['--rounds', 'many'],
    ['--minutes', '0'],
    ['--pause-minutes', '0.01'],
  ] as const) {
    const parsed = parse(flag, value);
    assert.ok(parsed.kind === 'wrong' && parsed.reason.startsWith(flag), flag);
  }
});

test('traffic with think times takes seconds or minutes, and a pause may be a real one', () => {
  const long = parse('--part', 'schedule', '--minutes', '10');
  assert.ok(long.kind === 'run');
  assert.deepEqual([long.settings.thinkSeconds, long.settings.pauseSeconds], [600, null]);
  const paused = parse('--pause-minutes', '0.5');
  assert.ok(paused.kind === 'run');
  assert.deepEqual([paused.settings.thinkSeconds, paused.settings.pauseSeconds], [20, 30]);
  assert.equal(parse('--minutes', '1', '--think', '8').kind, 'wrong');
});

test('pgreplay-go plays beside us where its binary is named', () => {
  const pgreplayOf = (env: Record<string, string>) => {
    const parsed = parseFlags([], '/out', env);
    assert.ok(parsed.kind === 'run');
    return parsed.settings.pgreplay;
  };
  assert.equal(pgreplayOf({ PGREPLAY_BIN: '/opt/pgreplay' }), '/opt/pgreplay');
  assert.equal(pgreplayOf({ PGREPLAY_BIN: '' }), null);
  assert.equal(pgreplayOf({}), null);
});
