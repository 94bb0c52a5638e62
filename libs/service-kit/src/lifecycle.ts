// The lifecycle of a service process: flags in, ready line out, orderly stop.
import { MirrorstreamError } from '@mirrorstream/domain';
import type { Logger } from 'pino';
import type { FlagTable, FlagValues } from './flags.ts';

export interface ServiceKit {
  readonly logger: Logger;
  /** Writes the one ready line to stdout. */
  ready(details: Readonly<Record<string, unknown>>): void;
  /** Something that cannot be mended: stops the service, exit code by the error. */
  fatal(error: unknown): void;
}
export interface RunningService {
  /** Must be done, one way or the other, by the deadline (ms from now). */
  stop(deadlineMs: number): Promise<void>;
}
export interface ServiceDefinition<C> {
  readonly name: string;
  readonly summary: string;
  readonly flags: FlagTable;
  readonly parse: (values: FlagValues) => C;
  readonly start: (config: C, kit: ServiceKit) => Promise<RunningService>;
}
/** Runs a service until it stops; resolves with the exit code. */
export function runService<C>(_definition: ServiceDefinition<C>, _argv: readonly string[]): Promise<number> {
  throw new MirrorstreamError('internal', 'the lifecycle is not written yet', { stage: 'service-kit' });
}
