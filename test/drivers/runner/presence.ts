// What a test does when a toolchain is missing: it is skipped by name, or fails where nothing may be skipped.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { type Build, build } from './toolchain.ts';

/** Set by CI. */
const isRequired = process.env['MIRRORSTREAM_DRIVERS'] === 'required';

/** The folder of what was built; undefined when the test has been skipped. */
export async function folderOrSkip(t: TestContext, name: string, wanted: Build): Promise<string | undefined> {
  const built = await build(wanted);
  if ('dir' in built) return built.dir;
  const reason = `${name}: ${built.missing}`;
  if (isRequired) assert.fail(`${reason}; MIRRORSTREAM_DRIVERS=required allows no skip`);
  process.stderr.write(`drivers: skipped ${reason}\n`);
  t.skip(reason);
  return undefined;
}
