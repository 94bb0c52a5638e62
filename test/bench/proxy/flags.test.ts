import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWanted, parseFlags, type Settings } from './flags.ts';
import { titleOf, turnsOf } from './plan.ts';

function settings(...argv: string[]): Settings {
  const parsed = parseFlags(argv, '/results');
  assert.equal(parsed.kind, 'run', JSON.stringify(parsed));
  return (parsed as { settings: Settings }).settings;
}

function reasonAgainst(...argv: string[]): string {
  const parsed = parseFlags(argv, '/results');
  return parsed.kind === 'wrong' ? parsed.reason : `${parsed.kind}, but it should be wrong`;
}

test('without flags the loads of the targets are measured, and the result is kept', () => {
  const { loads, only, rounds, seconds, out } = settings();
  assert.deepEqual(loads.map(titleOf), ['pgbench -S, simple, 8 clients', 'pgbench -S, simple, 32 clients']);
  assert.deepEqual({ only, rounds, seconds, out }, { only: null, rounds: 5, seconds: 3, out: '/results' });
});

test('a quick run is short, has one load and leaves no file, unless one is asked for', () => {
  const { loads, rounds, seconds, out } = settings('--quick');
  assert.deepEqual({ loads: loads.length, rounds, seconds, out }, { loads: 1, rounds: 2, seconds: 2, out: null });
  assert.equal(settings('--quick', '--out', '/elsewhere').out, '/elsewhere');
  assert.equal(settings('--quick', '--rounds', '7').rounds, 7);
});

test('protocols and clients multiply only the workloads that know them', () => {
  const { loads } = settings('--workload', 'tpcb,connect,large', '--protocol', 'extended,prepared', '--clients', '1,8');
  assert.deepEqual(loads.map(titleOf), [
    'pgbench TPC-B, extended, 1 client',
    'pgbench TPC-B, extended, 8 clients',
    'pgbench TPC-B, prepared, 1 client',
    'pgbench TPC-B, prepared, 8 clients',
    'pgbench -S -C (a connection per transaction), 1 client',
    'pgbench -S -C (a connection per transaction), 8 clients',
    'a large SELECT',
    'a large COPY TO STDOUT',
    'a large COPY FROM STDIN',
  ]);
});

test('the grid has every workload, protocol and number of clients, and can be narrowed', () => {
  assert.equal(settings('--grid').loads.length, 2 * 3 * 4 + 4 + 3);
  assert.equal(settings('--grid', '--workload', 'select', '--protocol', 'simple').loads.length, 4);
});

test('what cannot be measured is refused by the name of its flag', () => {
  assert.match(reasonAgainst('--workload', 'selekt'), /--workload: selekt is none of select, tpcb/);
  assert.match(reasonAgainst('--protocol', ''), /--protocol: {2}is none of simple/);
  assert.match(reasonAgainst('--clients', '8,201'), /--clients: 201 is no whole number from 1 to 200/);
  assert.match(reasonAgainst('--rounds', '1.5'), /--rounds: 1\.5 is no whole number/);
  assert.match(reasonAgainst('--seconds', '0'), /--seconds: 0 is no whole number from 1/);
  assert.match(reasonAgainst('--workers', '2'), /--workers/);
});

test('help is given whatever else is on the command line', () => {
  assert.equal(parseFlags(['--help', '--grid'], '/results').kind, 'help');
});

test('contenders are chosen by whole names, or by patterns with a star', () => {
  const only = settings('--only', 'pgbouncer, mirrorstream*').only;
  const chosen = ['direct', 'pgbouncer', 'pgdog', 'mirrorstream', 'mirrorstream 2 workers'].filter((name) =>
    isWanted(name, only),
  );
  assert.deepEqual(chosen, ['pgbouncer', 'mirrorstream', 'mirrorstream 2 workers']);
  assert.equal(isWanted('mirrorstream digest', ['mirrorstream']), false);
  assert.equal(isWanted('pgdog', ['p.dog']), false);
  assert.equal(isWanted('anyone', null), true);
});

test('each round begins one contender further on, and everyone has one turn', () => {
  assert.deepEqual(turnsOf(['a', 'b', 'c'], 1), ['b', 'c', 'a']);
  assert.deepEqual(turnsOf(['a', 'b', 'c'], 3), ['a', 'b', 'c']);
  assert.deepEqual(turnsOf([], 4), []);
});
