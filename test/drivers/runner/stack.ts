// A driver under test: how its program is built and run, and what is its own in the cases.
import type { CaseName, Outcome } from './cases.ts';
import type { Build, Command } from './toolchain.ts';

export interface Stack {
  /** As its users call it; the program names its sessions `<name>/<case>`. */
  readonly name: string;
  /** Of test/drivers, with the table `<name>.captured.json`. */
  readonly folder: string;
  readonly build: Build;
  program(dir: string): Command;
  /** Cases that the driver has no way to do, and why. Its program does not know them. */
  readonly lacks: Readonly<Partial<Record<CaseName, string>>>;
  /** Outcomes that are this driver's own. */
  readonly outcomes: Readonly<Partial<Record<CaseName, Outcome>>>;
}
