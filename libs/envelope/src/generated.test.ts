// The generated code is what the schema yields: nobody edited one and forgot the other.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const library = fileURLToPath(new URL('..', import.meta.url));
const binaries = fileURLToPath(new URL('../../../node_modules/.bin', import.meta.url));
const buf = join(binaries, 'buf');
const messages = join('src', 'gen', 'mirrorstream', 'v1');

test('the generated files are what the proto files yield', {
  skip: existsSync(buf) ? false : 'buf is not installed',
}, () => {
  const folder = mkdtempSync(join(tmpdir(), 'mirrorstream-generated-'));
  try {
    const env = { ...process.env, PATH: `${binaries}${delimiter}${process.env['PATH']}` };
    execFileSync(buf, ['generate', '--output', folder], { cwd: library, env, stdio: 'pipe' });
    const names = readdirSync(join(library, messages)).sort();
    assert.deepEqual(readdirSync(join(folder, messages)).sort(), names);
    for (const name of names) {
      const [kept, yielded] = [library, folder].map((root) => readFileSync(join(root, messages, name), 'utf8'));
      assert.ok(kept === yielded, `${name} differs: run npm run proto`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
