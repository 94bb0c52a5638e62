// Test only: servers, databases, conditions with deadlines, seeded randomness, load, services as processes.
export * from './certificates.ts';
export * from './databases.ts';
export * from './fault-proxy.ts';
export * from './faulty-kafka.ts';
export * from './latency-histogram.ts';
export * from './seeded-random.ts';
export * from './servers.ts';
export * from './spawned-service.ts';
export * from './tpcb.ts';
export * from './waiting.ts';
export * from './wire-connection.ts';
