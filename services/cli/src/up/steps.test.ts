// Tests of the steps shown while a stack starts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Steps } from './steps.ts';

function capture(isTTY: boolean) {
  let text = '';
  const write = (piece: string): void => {
    text += piece;
  };
  const output = { isTTY, columns: 40, write };
  return { output, text: () => text.replace(/\(\d+ ms\)/g, '(… ms)') };
}

test('away from a terminal each step is one line when it ends', async () => {
  const { output, text } = capture(false);
  const steps = new Steps(output, false);
  const result = await steps.run(
    'Kafka',
    async () => 7,
    (port) => `Kafka ready on ${port}`,
  );
  await assert.rejects(
    steps.run('proxy', () => Promise.reject(new Error('no'))),
    /no/,
  );
  assert.equal(result, 7);
  assert.equal(text(), '✔ Kafka ready on 7 (… ms)\n✘ proxy (… ms)\n');
});

test('on a terminal nothing of a step under way remains after it', async () => {
  const { output, text } = capture(true);
  const steps = new Steps(output, false);
  await Promise.all([steps.run('a', async () => {}), steps.run('b', async () => {})]);
  steps.close();
  // What a terminal shows: "up n lines and erase below" takes back what was drawn.
  const shown: string[] = [''];
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the sequences that are meant.
  for (const piece of text().split(/(\u001b\[\d+F\u001b\[J|\n)/)) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the sequences that are meant.
    const up = /\u001b\[(\d+)F/.exec(piece);
    if (up !== null) shown.splice(shown.length - 1 - Number(up[1]), Number(up[1]) + 1, '');
    else if (piece === '\n') shown.push('');
    else shown[shown.length - 1] += piece;
  }
  assert.deepEqual(shown, ['✔ a (… ms)', '✔ b (… ms)', '']);
});
