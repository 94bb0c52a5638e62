// Flags become a checked configuration, or an error that names the flag.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseFlags } from '@mirrorstream/service-kit';
import { parseReplayerConfig, replayerFlags } from './config.ts';

const given = ['--mirror', 'candidate', '--brokers', '127.0.0.1:9092'];
const parse = (...flags: readonly string[]) =>
  parseReplayerConfig(parseFlags(replayerFlags, [...given, ...flags], {}).values);

describe('the pacing of a replayer', () => {
  it('is production’s, keeps no order and gives nothing up, unless told otherwise', () => {
    const { pacing, order } = parse();
    assert.deepEqual(pacing, { mode: 'timed', speed: 1, replayDelayMs: 1000 });
    assert.equal(order.keeps, false);
  });

  it('keeps the order with ordered, each wait with a bound', () => {
    const { order } = parse('--pacing', 'ordered', '--order-wait-ms', '20');
    const { keeps, rule, waitUs, silenceUs } = order;
    assert.deepEqual(
      { keeps, rule, waitUs, silenceUs },
      { keeps: true, rule: 'mixed', waitUs: 20_000, silenceUs: 15e6 },
    );
  });

  it('takes speeds from 0.1 to 100, and names the flag otherwise', () => {
    for (const speed of ['0.1', '1', '100']) assert.equal(parse(`--speed=${speed}`).pacing.speed, Number(speed));
    for (const speed of ['0.09', '101', '0', '-1', 'fast', 'Infinity'])
      assert.throws(() => parse(`--speed=${speed}`), /speed/, speed);
    assert.throws(() => parse('--order-overlaps', 'any'), /order-overlaps/);
    assert.throws(() => parse('--order-wait-ms', '0'), /order-wait-ms/);
  });
});

describe('the mapping of ids', () => {
  it('is off unless asked for, and bounded', () => {
    assert.equal(parse().ids, null);
    const { ids } = parse(
      '--map-ids',
      'mirror',
      '--map-ids-max-entries',
      '7',
      '--map-ids-reference',
      'a.b=c.d,t.id=t_seq',
    );
    assert.deepEqual(
      [ids?.scope, ids?.limits.maxEntries, ids?.limits.maxBytes, ids?.references],
      [
        'mirror',
        7,
        128 * 1024 * 1024,
        [
          { from: 'a.b', to: 'c.d' },
          { from: 't.id', to: 't_seq' },
        ],
      ],
    );
  });

  it('names the flag that is wrong', () => {
    assert.throws(() => parse('--map-ids', 'all'), /map-ids/);
    assert.throws(() => parse('--map-ids-max-entries', '0'), /map-ids-max-entries/);
    for (const wrong of ['a=b.c', 'a.b', 'a.b=', 'a.b=c=d'])
      assert.throws(() => parse('--map-ids', 'mirror', '--map-ids-reference', wrong), /names no reference/, wrong);
  });
});
