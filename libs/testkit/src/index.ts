// Test only: servers, databases, conditions with deadlines, seeded randomness, load.
export * from './databases.ts';
export * from './seeded-random.ts';
export * from './servers.ts';
export * from './waiting.ts';
