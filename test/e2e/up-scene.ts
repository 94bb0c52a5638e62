// What the tests of `mirrorstream up` share: a folder, a command that ends with its test, and the account at the end.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { accountingProblems, type Status, statusSchema } from '@mirrorstream/domain';
import { removeDirectory, temporaryDirectory } from '@mirrorstream/testkit';
import { Command, type Ended } from './up-process.ts';

export const stackTimeoutMs = 240_000;

export async function scratch(t: TestContext): Promise<string> {
  const folder = await temporaryDirectory('e2e');
  t.after(() => removeDirectory(folder));
  return folder;
}

/** Started for one test, ended with it. */
export function start(
  t: TestContext,
  args: readonly string[],
  folder: string,
  env?: Readonly<Record<string, string>>,
): Command {
  const command = new Command(args, folder, env);
  t.after(() => command.clear());
  return command;
}

/** The one object on stdout; it must be valid, drained and add up. */
export function drainedStatus({ code, stdout, stderr }: Ended): Status {
  assert.equal(code, 0, stderr);
  assert.equal(stdout.trimEnd().split('\n').length, 1, 'exactly one line on stdout');
  const status = statusSchema.parse(JSON.parse(stdout));
  assert.deepEqual(accountingProblems(status, { drained: true }), []);
  return status;
}
