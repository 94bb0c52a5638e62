// What capture must hold of each case of a driver, line by line: a table beside the driver, written with MIRRORSTREAM_DRIVERS_RECORD=1
// after a change of the driver or its version, and read by a person before it is committed.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CapturedSession } from './capture-log.ts';
import { folded, transactionLine } from './notation.ts';
import type { Stack } from './stack.ts';
import { driversDir } from './toolchain.ts';

/** By case; one list per session, of its transactions in the notation of notation.ts. */
export type CapturedTable = Readonly<Record<string, readonly (readonly string[])[]>>;

const isRecording = process.env['MIRRORSTREAM_DRIVERS_RECORD'] === '1';

export function linesOf(sessions: readonly CapturedSession[]): string[][] {
  return sessions.map(({ transactions }) => folded(transactions.map(transactionLine), '; '));
}

/** The table in a file; when recording, the one just seen, which goes there. */
export function tableInTree(file: string, seen: CapturedTable): CapturedTable {
  if (isRecording) writeFileSync(file, `${JSON.stringify(seen, undefined, 2)}\n`);
  return JSON.parse(readFileSync(file, 'utf8')) as CapturedTable;
}

/** The table beside a driver. */
export const expectedTable = (stack: Stack, seen: CapturedTable): CapturedTable =>
  tableInTree(join(driversDir, stack.folder, `${stack.name}.captured.json`), seen);
