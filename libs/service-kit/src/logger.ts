// The service's log: JSON lines on stderr, nothing secret in them.
import { MirrorstreamError } from '@mirrorstream/domain';
import { destination, type Logger, pino, stdSerializers } from 'pino';

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

const secretName = /pass(word|wd|phrase)|secret|token|credential|authorization|private.?key/i;
const maxDepth = 6;

/** A copy in which everything named like a secret is blacked out, however deep (to maxDepth) it lies. */
export function redacted(value: unknown, depth = 0): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Error || value instanceof Date) return value;
  if (depth >= maxDepth) return '[deep]';
  if (Array.isArray(value)) return value.map((each) => redacted(each, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [
      name,
      secretName.test(name) ? '[redacted]' : redacted(each, depth + 1),
    ]),
  );
}

/** Errors of this project without a stack: their code and message say it all. Others with theirs. */
export function describeError(error: unknown): unknown {
  if (!(error instanceof MirrorstreamError)) return error instanceof Error ? stdSerializers.err(error) : error;
  const { code, stage, message, retryable, hint, cause } = error;
  return { code, stage, message, retryable, hint, cause: cause instanceof Error ? cause.message : undefined };
}

/** Writes at once, so nothing is lost when the process ends. `write` is for tests. */
export function createLogger(service: string, level: LogLevel, write?: (line: string) => void): Logger {
  return pino(
    {
      name: service,
      level,
      formatters: {
        level: (label) => ({ level: label }),
        log: (details) => redacted(details) as Record<string, unknown>,
      },
      serializers: { err: describeError, error: describeError },
    },
    write === undefined ? destination({ fd: 2, sync: true }) : { write },
  );
}
