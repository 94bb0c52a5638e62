// Microseconds on the host's monotonic clock (CLOCK_MONOTONIC): the same in every thread and process of the host.

/** The clock of this thread. performance.now() costs 80 ns and no allocation; hrtime only says where its zero lies. */
export function createMonoClock(): () => number {
  const zeroUs = Number(process.hrtime.bigint() / 1000n) - performance.now() * 1000;
  return () => Math.floor(performance.now() * 1000 + zeroUs);
}

/** Wall clock (µs since the epoch) at the monotonic clock's zero. Taken once: a wall clock that is set later does not reorder capture. */
export function wallUsAtMonoZero(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 1000 - Number(process.hrtime.bigint()) / 1000);
}
