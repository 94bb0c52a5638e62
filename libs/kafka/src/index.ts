// Kafka as this project uses it.
export * from './batcher.ts';
export * from './batcher-port.ts';
export { BufferPool } from './buffer-pool.ts';
export * from './connect.ts';
export type { KafkaLogger } from './logging.ts';
export * from './port.ts';
