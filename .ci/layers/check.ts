// The layer check: the generated rules are current, no file breaks them, and planted violations are still caught.
//
// `node .ci/layers/check.ts --write` puts the rules generated from table.ts into .biome.json.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { layerOverrides } from './biome.ts';
import { packages } from './table.ts';

const root = join(import.meta.dirname, '../..');
const configPath = join(root, '.biome.json');

interface BiomeConfig {
  overrides: { includes: string[] }[];
}

const isLayerOverride = (override: { includes: string[] }): boolean =>
  Object.values(packages).some((rule) => override.includes[0] === `${rule.path}/src/**/*.ts`);

/** The configuration with the layer overrides replaced by generated ones (kept first, so that later overrides can relax). */
function withGeneratedOverrides(config: BiomeConfig): BiomeConfig {
  const others = config.overrides.filter((override) => !isLayerOverride(override));
  return { ...config, overrides: [...(layerOverrides() as BiomeConfig['overrides']), ...others] };
}

/** Every package.json of the repository names only packages that the table allows. */
function undeclaredInTable(): string[] {
  const problems: string[] = [];
  for (const [name, rule] of Object.entries(packages)) {
    const manifest = JSON.parse(readFileSync(join(root, rule.path, 'package.json'), 'utf8')) as {
      dependencies?: Record<string, string>;
    };
    for (const dependency of Object.keys(manifest.dependencies ?? {})) {
      const [scope, other] = dependency.split('/');
      if (scope === '@mirrorstream' && other !== undefined && !rule.mayImport.includes(other)) {
        problems.push(
          `${rule.path}/package.json depends on ${other}, which .ci/layers/table.ts does not allow for ${name}`,
        );
      }
    }
  }
  return problems;
}

interface Diagnostics {
  readonly files: number;
  readonly violations: readonly string[];
}

function runBiome(directory: string): Diagnostics {
  const run = spawnSync(
    join(root, 'node_modules/.bin/biome'),
    [
      'lint',
      '--only=style/noRestrictedImports',
      '--only=style/noRestrictedGlobals',
      '--only=suspicious/noImportCycles',
      '--reporter=json',
      '--max-diagnostics=none',
      '.',
    ],
    { cwd: directory, encoding: 'utf8', maxBuffer: 64 << 20 },
  );
  const start = run.stdout.indexOf('{');
  if (start < 0) throw new Error(`biome printed no report: ${run.stderr}`);
  const report = JSON.parse(run.stdout.slice(start)) as {
    summary: { changed: number; unchanged: number };
    diagnostics: { category?: string; location?: { path?: string | { file?: string } }; message?: unknown }[];
  };
  return {
    files: report.summary.changed + report.summary.unchanged,
    violations: report.diagnostics.map((d) => {
      const path = typeof d.location?.path === 'string' ? d.location.path : (d.location?.path?.file ?? '?');
      return `${path}: ${d.category ?? 'error'}`;
    }),
  };
}

/** Copies the fixtures to their pretended places in an empty tree and expects each to be caught. */
function plantedViolations(): string[] {
  const fixtures = join(import.meta.dirname, 'fixtures');
  const tree = mkdtempSync(join(tmpdir(), 'mirrorstream-layers-'));
  try {
    writeFileSync(join(tree, '.biome.json'), readFileSync(configPath, 'utf8').replace(/"vcs": \{[^}]*\},?/, ''));
    const missed: string[] = [];
    const planted = readdirSync(fixtures).map((file) => {
      const source = readFileSync(join(fixtures, file), 'utf8');
      const place = /^\/\/ plant: (\S+)/.exec(source)?.[1];
      if (place === undefined) throw new Error(`${file} does not say where it is planted`);
      mkdirSync(dirname(join(tree, place)), { recursive: true });
      writeFileSync(join(tree, place), source);
      return place;
    });
    const { violations } = runBiome(tree);
    for (const place of planted) {
      if (!violations.some((violation) => violation.startsWith(place)))
        missed.push(`planted violation not caught: ${place}`);
    }
    if (planted.length < 4) missed.push('fewer than four planted violations');
    return missed;
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}

function main(): number {
  const current = readFileSync(configPath, 'utf8');
  const wanted = `${JSON.stringify(withGeneratedOverrides(JSON.parse(current) as BiomeConfig), null, 2)}\n`;
  if (process.argv.includes('--write')) {
    writeFileSync(configPath, wanted);
    return 0;
  }
  const problems = [...undeclaredInTable()];
  if (JSON.stringify(JSON.parse(current)) !== JSON.stringify(JSON.parse(wanted))) {
    problems.push('.biome.json is not what .ci/layers/table.ts says: run `npm run layers -- --write`');
  }
  const { files, violations } = runBiome(root);
  problems.push(...violations, ...plantedViolations());
  if (files < 50) problems.push(`only ${files} files were looked at: the check sees too little to mean anything`);
  for (const problem of problems) process.stderr.write(`layers: ${problem}\n`);
  process.stderr.write(`layers: ${files} files, ${problems.length} problems\n`);
  return problems.length === 0 ? 0 : 1;
}

process.exitCode = main();
