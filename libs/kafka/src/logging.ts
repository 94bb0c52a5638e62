// What this package logs through, and how kafkajs's own log is kept quiet.

/** pino fits, so does a stub. */
export interface KafkaLogger {
  debug(details: object, message: string): void;
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}

export const silentLogger: KafkaLogger = { debug() {}, info() {}, warn() {}, error() {} };

/**
 * kafkajs reports every failed attempt as an error with a stack; here the caller decides what a failure means, so all of it
 * is `debug`. Only the message is passed on: its details may hold payloads.
 */
export function kafkajsLogger(logger: KafkaLogger): object {
  const say = (message: string): void => logger.debug({ from: 'kafkajs' }, message);
  const nothing = (): void => {};
  const adapter: Record<string, unknown> = {
    info: nothing,
    debug: nothing,
    warn: say,
    error: say,
    setLogLevel: nothing,
  };
  adapter['namespace'] = () => adapter;
  return adapter;
}
