// Kafka as this project uses it.
export * from './batcher-port.ts';
export * from './port.ts';
