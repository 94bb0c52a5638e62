// The embedded stack: Apache Kafka and PostgreSQL servers as child processes that never outlive their parent.
export * from './data-dir.ts';
export * from './directory-lock.ts';
export * from './disk-space.ts';
export * from './free-port.ts';
export * from './java.ts';
export * from './kafka-broker.ts';
export * from './kafka-dist.ts';
export * from './kafka-probe.ts';
export * from './log-ring.ts';
export * from './postgres-dist.ts';
export * from './postgres-probe.ts';
export * from './postgres-server.ts';
export * from './process-group.ts';
export * from './process-tree.ts';
export * from './unprivileged-user.ts';
export * from './wait-until.ts';
