// Malformed streams never throw out of capture, never grow it and never make it say what was not so: kept cases and a short seeded run.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { caseSeed } from '../fuzz/dice.ts';
import { type FuzzCase, readCase, writeCase } from '../fuzz/fuzz-case.ts';
import { complaint, shrink } from '../fuzz/shrink.ts';
import { drawCase, targetNames, targets } from '../fuzz/targets.ts';

const seed = 20_261_121;
const cases = 1_200;
const corpus = new URL('../fuzz/corpus/', import.meta.url);

function keepsEveryPromise(fuzzCase: FuzzCase, what: string): void {
  for (const name of targetNames) assert.equal(complaint(targets[name], fuzzCase), null, `${name}: ${what}`);
}

for (const file of readdirSync(corpus)) {
  test(`the kept case ${file} keeps every promise`, () => {
    keepsEveryPromise(readCase(readFileSync(new URL(file, corpus), 'utf8')), file);
  });
}

test(`${cases} drawn cases keep every promise of the splitter, the decoders and the assembler`, () => {
  for (let i = 0; i < cases; i++) keepsEveryPromise(drawCase(caseSeed(seed, i)), `seed ${seed}, case ${i}`);
});

test('a case is the same when it was written down and read again', () => {
  for (let i = 0; i < 50; i++) {
    const fuzzCase = drawCase(caseSeed(seed, i));
    const again = readCase(writeCase(fuzzCase, 'a test'));
    assert.equal(writeCase(again, 'a test'), writeCase(fuzzCase, 'a test'));
    assert.deepEqual(
      again.events.map(([kind, value]) => [kind, typeof value === 'object' ? Buffer.from(value) : value]),
      fuzzCase.events.map(([kind, value]) => [kind, typeof value === 'object' ? Buffer.from(value) : value]),
    );
  }
});

test('a failing case is made small and goes on failing in the same way', () => {
  const hasWord = ({ events }: FuzzCase): void => {
    const found = events.filter(([kind, bytes]) => kind === 'F' && Buffer.from(bytes).includes('SELECT'));
    if (found.length > 0) throw new Error(`${found.length} events say SELECT`);
  };
  let tried = 0;
  for (let i = 0; tried < 5; i++) {
    const fuzzCase = drawCase(caseSeed(seed, i));
    if (fuzzCase.valid || complaint(hasWord, fuzzCase) === null) continue;
    tried += 1;
    const small = shrink(hasWord, fuzzCase);
    assert.deepEqual(
      small.events.map(([kind, value]) => [kind, String(value)]),
      [['F', 'SELECT']],
    );
  }
});
