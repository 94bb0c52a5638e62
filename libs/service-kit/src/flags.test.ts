import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type FlagTable, helpText, parseFlags } from './flags.ts';

const table: FlagTable = [
  { name: 'brokers', description: 'where Kafka is', placeholder: 'HOST:PORT', multiple: true, required: true },
  { name: 'pace-factor', description: 'how fast', default: '1' },
  { name: 'verify', description: 'look twice', boolean: true },
  { name: 'note', description: 'a remark' },
];

describe('flags', () => {
  it('prefers the command line to the environment and the environment to the default', () => {
    const environment = { MIRRORSTREAM_PACE_FACTOR: '3', MIRRORSTREAM_BROKERS: 'a:1, b:2' };
    assert.deepEqual(parseFlags(table, ['--pace-factor', '5'], environment).values, {
      brokers: ['a:1', 'b:2'],
      'pace-factor': '5',
      verify: false,
    });
    assert.equal(parseFlags(table, [], environment).values['pace-factor'], '3');
    assert.equal(parseFlags(table, ['--brokers=c:3'], {}).values['pace-factor'], '1');
  });

  it('collects a flag given several times, and splits at commas', () => {
    const { values } = parseFlags(table, ['--brokers', 'a:1,b:2', '--brokers', 'c:3'], {});
    assert.deepEqual(values['brokers'], ['a:1', 'b:2', 'c:3']);
  });

  it('reads boolean flags with --name, --no-name and on or off in the environment', () => {
    const read = (argv: string[], environment = {}) =>
      parseFlags(table, ['--brokers=a:1', ...argv], environment).values['verify'];
    assert.equal(read(['--verify']), true);
    assert.equal(read(['--no-verify'], { MIRRORSTREAM_VERIFY: 'on' }), false);
    assert.equal(read([], { MIRRORSTREAM_VERIFY: 'on' }), true);
    assert.throws(() => read([], { MIRRORSTREAM_VERIFY: 'perhaps' }), {
      code: 'badInput',
      message: /MIRRORSTREAM_VERIFY/,
    });
  });

  it('takes an empty environment variable for an absent one', () => {
    assert.throws(() => parseFlags(table, [], { MIRRORSTREAM_BROKERS: '' }), {
      code: 'badInput',
      message: '--brokers is missing',
      hint: /MIRRORSTREAM_BROKERS/,
    });
  });

  it('names an unknown flag, a missing value and a stray argument', () => {
    const rejects = (argv: string[], message: RegExp) =>
      assert.throws(() => parseFlags(table, argv, {}), { code: 'badInput', message });
    rejects(['--brokes', 'a:1'], /--brokes/);
    rejects(['--note'], /--note/);
    rejects(['--brokers=a:1', 'stray'], /stray/);
  });

  it('answers --help even when required flags are missing', () => {
    assert.equal(parseFlags(table, ['--help'], {}).help, true);
  });

  it('prints every flag with its default and its variable', () => {
    assert.equal(
      helpText('replayer', 'plays traffic', table),
      `replayer: plays traffic

Usage: mirrorstream replayer [flags]

  --brokers HOST:PORT    where Kafka is
                         required · several: with commas, or the flag again · env: MIRRORSTREAM_BROKERS
  --pace-factor VALUE    how fast
                         default: 1 · env: MIRRORSTREAM_PACE_FACTOR
  --verify, --no-verify  look twice
                         env: MIRRORSTREAM_VERIFY
  --note VALUE           a remark
                         env: MIRRORSTREAM_NOTE
  --help                 print this text
`,
    );
  });
});
