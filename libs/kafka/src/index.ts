// Kafka as this project uses it.
export * from './batcher.ts';
export * from './batcher-port.ts';
export * from './connect.ts';
export * from './port.ts';
