// Tests of reading a command line and of the help made from the same table.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CommandSpec, helpText, parseCommandLine } from './command-line.ts';
import { statusCommand } from './status/status.ts';
import { upCommand } from './up/flags.ts';

const spec: CommandSpec = {
  name: 'play',
  summary: 'Plays.',
  flags: [
    { name: 'file', short: 'f', placeholder: 'FILE', description: 'what to play' },
    { name: 'with', placeholder: 'WHOM', repeatable: true, description: 'partner' },
    { name: 'loud', description: 'loudly' },
  ],
  examples: [{ command: 'play --loud', does: 'for the neighbours' }],
};

test('values are taken from the next word or after an equals sign', () => {
  const given = parseCommandLine(spec, ['-f', 'a=b', '--with=x=y', '--with', '-z', '--loud']);
  assert.equal(given.last('file'), 'a=b');
  assert.deepEqual(given.all('with'), ['x=y', '-z']);
  assert.equal(given.has('loud'), true);
  assert.equal(given.has('help'), false);
});

test('help names every flag and example, and fits a line of 110 columns', () => {
  for (const command of [spec, upCommand, statusCommand]) {
    const text = helpText(command);
    for (const flag of command.flags) assert.ok(text.includes(`--${flag.name}`), flag.name);
    for (const example of command.examples) assert.ok(text.includes(example.command));
    const flagLines = text.slice(0, text.indexOf('Examples:')).split('\n');
    for (const line of flagLines) assert.ok(line.length <= 110, line);
  }
});
