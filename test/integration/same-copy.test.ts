// Replay onto an identical copy: nothing is found. What overlapped in production is marked as such, and what differs by chance is noise.
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { divergenceClasses } from '@mirrorstream/domain';
import type { Finding } from '@mirrorstream/findings';
import {
  createTpcbTables,
  removeDirectory,
  runTpcb,
  type SpawnedService,
  sharedKafka,
  spawnService,
  temporaryDirectory,
} from '@mirrorstream/testkit';
import { run } from '../e2e/up-process.ts';
import { createRacingTables, racingTables, runRacingLoad } from './racing-load.ts';
import { type Mirror, ReplayerScene } from './replayer-scene.ts';

const racing = { sessions: 8, transactions: 1_200, serializable: 0.05, rows: 24, seed: 7 };
const tpcb = { clients: 4, transactions: 60, seed: 3 };
const divergences: ReadonlySet<string> = new Set(divergenceClasses);

describe('replay onto an identical copy', { timeout: 240_000 }, () => {
  it('finds nothing with ordered pacing, where transactions fight over rows', async (t) => {
    const line = await openLine(t);
    const mirror = await line.scene.newMirror();
    for (const url of [line.scene.sourceUrl, mirror.url]) await createRacingTables(url, racing.rows);
    await line.scene.startReplayer(mirror, '--pacing', 'ordered');
    const comparer = await line.compare(mirror);
    await runRacingLoad({ ...racing, url: line.scene.proxyUrl });
    await line.scene.stopProxy();
    const transactions = (await line.scene.captured()).size;
    await line.scene.waitForAll(mirror, transactions);
    const { findings, compared, notCompared } = await line.findings(mirror, comparer);
    t.diagnostic(`${compared} statements compared, not compared: ${JSON.stringify(notCompared)}`);
    assert.deepEqual(findings.map(textOf), []);
    const [source, copy] = [await racingTables(line.scene.sourceUrl), await racingTables(mirror.url)];
    assert.equal(copy.determined, source.determined);
  });

  it('finds nothing real with timed pacing, beside a control', async (t) => {
    const line = await openLine(t);
    const [candidate, control] = [await line.scene.newMirror(), await line.scene.newMirror()];
    for (const url of [line.scene.sourceUrl, candidate.url, control.url]) await createTpcbTables(url);
    const comparers: SpawnedService[] = [];
    for (const mirror of [candidate, control]) {
      await line.scene.startReplayer(mirror, '--speed', '2');
      comparers.push(await line.compare(mirror));
    }
    await line.cli('mirror', 'set', control.name, '--role', 'control');
    await runTpcb({ ...tpcb, url: line.scene.proxyUrl });
    await line.scene.stopProxy();
    const transactions = (await line.scene.captured()).size;
    for (const mirror of [candidate, control]) await line.scene.waitForAll(mirror, transactions);
    await line.findings(control, comparers[1] as SpawnedService);
    const { findings, compared } = await line.findings(candidate, comparers[0] as SpawnedService);
    t.diagnostic(`${compared} statements compared, ${findings.length} shapes and classes differ by chance`);
    assert.deepEqual(findings.filter(({ decision }) => decision === 'real').map(textOf), []);
  });
});

const textOf = ({ class: name, normalizedSql, why, exemplars }: Finding): string =>
  `${name}: ${normalizedSql} (${why}; ${exemplars[0]?.detail})`;

interface Line {
  readonly scene: ReplayerScene;
  compare(mirror: Mirror): Promise<SpawnedService>;
  cli(...args: readonly string[]): Promise<string>;
  /** Of divergences; stops the comparer first, so that everything is published. */
  findings(
    mirror: Mirror,
    comparer: SpawnedService,
  ): Promise<{
    readonly findings: readonly Finding[];
    readonly compared: number;
    readonly notCompared: Readonly<Record<string, number>>;
  }>;
}

async function openLine(t: TestContext): Promise<Line> {
  const { bootstrap } = await sharedKafka();
  const scene = await ReplayerScene.open(bootstrap);
  t.after(() => scene.close());
  const folder = await temporaryDirectory('same-copy');
  t.after(() => removeDirectory(folder));
  const cli = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await run([...args, '--brokers', bootstrap], folder);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  return {
    scene,
    cli,
    compare: async (mirror) => {
      const comparer = await spawnService(['comparer', '--mirror', mirror.name, '--brokers', bootstrap]);
      t.after(() => comparer.kill9());
      await comparer.waitForLine(/"ready":true/);
      return comparer;
    },
    findings: async (mirror, comparer) => {
      assert.equal((await comparer.stop({ graceMs: 60_000 })).code, 0);
      const said = JSON.parse(await cli('findings', '--mirror', mirror.name, '--json')) as { findings: Finding[] };
      const status = JSON.parse(await cli('status', '--source-name', scene.source, '--json')) as {
        mirrors: Record<string, { statements: Record<string, number> }>;
      };
      const statements = status.mirrors[mirror.name]?.statements ?? {};
      const compared = Object.entries(statements).reduce(
        (sum, [name, n]) => (name === 'notCompared' ? sum : sum + n),
        0,
      );
      return {
        findings: said.findings.filter((finding) => divergences.has(finding.class)),
        compared,
        notCompared: { all: statements['notCompared'] ?? 0 },
      };
    },
  };
}
