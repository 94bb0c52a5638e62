// What aggregates take in memory beside what they say they take, and what adding a statement costs: `node --expose-gc libs/findings/bench/memory.ts`.
import { normal, seeded, seen } from '../src/aggregate.fixture.ts';
import { GrowingAggregate } from '../src/aggregate.ts';

const shapes = 20_000;
const callsOf = (shape: number): number => (shape % 10 === 0 ? 500 : 30);

const collect = (globalThis as { gc?: () => void }).gc ?? (() => {});
const inUse = (): number => {
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
};

const random = seeded(1);
const before = inUse();
const startedAt = performance.now();
let calls = 0;
const kept = Array.from({ length: shapes }, (_, i) => {
  const fingerprint = i.toString(16).padStart(16, '0');
  const normalizedSql = `SELECT a, b, c FROM table_${i} WHERE id = $1 AND kind = $2 ORDER BY created_at DESC LIMIT $3`;
  const growing = new GrowingAggregate(fingerprint, { normalizedSql, verb: 'SELECT', tables: [`table_${i}`] });
  const centre = 5 + 4 * random();
  for (let call = 0; call < callsOf(i); call++) {
    const captured = Math.exp(centre + 0.6 * normal(random));
    const differs = i % 20 === 0 && call % 10 === 0;
    growing.add(
      seen(differs ? 'value' : 'match', {
        columns: differs ? ['created_at'] : [],
        latencyUs: { captured, replayed: captured * Math.exp(0.3 * normal(random)) },
      }),
    );
    calls += 1;
  }
  return growing;
});
const tookMs = performance.now() - startedAt;
const measured = (inUse() - before) / shapes;
const said = kept.reduce((sum, one) => sum + one.sizeBytes, 0) / shapes;
const json = kept.reduce((sum, one) => sum + JSON.stringify(one.toData()).length, 0) / shapes;
console.log(
  JSON.stringify({
    shapes,
    bytesPerAggregate: Math.round(measured),
    saidBytesPerAggregate: Math.round(said),
    jsonBytesPerAggregate: Math.round(json),
    addsPerSecond: Math.round((calls / tookMs) * 1000),
  }),
);
