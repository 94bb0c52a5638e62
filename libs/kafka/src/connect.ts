// Opens the way to Kafka: the one place that knows which client stands behind the port.
import { MirrorstreamError } from '@mirrorstream/domain';
import type { KafkaClient, KafkaConnectionOptions } from './port.ts';

/** What this package logs through: pino fits, so does a stub. */
export interface KafkaLogger {
  debug(details: object, message: string): void;
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}

/** Connects lazily: the first producer, consumer or admin opens connections. */
export function connectKafka(_options: KafkaConnectionOptions, _logger?: KafkaLogger): KafkaClient {
  throw new MirrorstreamError('internal', 'the Kafka adapter is not written yet', { stage: 'kafka' });
}
