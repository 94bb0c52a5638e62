// Turns the table of layers into Biome overrides, one per package.
import { globalsForbiddenInCore, nodeModulesForCore, type PackageRule, packages } from './table.ts';

const scope = '@mirrorstream';
const testFiles = ['**/*.test.ts', '**/bench/**'];

/** Biome's `noRestrictedImports` patterns for one package. */
function restrictedImports(name: string, rule: PackageRule): unknown {
  const allowed = [name, ...rule.mayImport].map((other) => `!${scope}/${other}`);
  const patterns = [
    {
      group: [`${scope}/*`, ...allowed],
      message: `${rule.path} (${rule.layer}) may import only: ${rule.mayImport.join(', ') || 'nothing of this repository'}. See .ci/layers/table.ts.`,
    },
    { group: ['**/src/**'], message: 'Import another package by its name, not by its files.' },
  ];
  if (rule.layer === 'core') {
    patterns.push({
      group: ['node:*', ...nodeModulesForCore.map((module) => `!${module}`)],
      message: 'A core package does no I/O: take what you need as an argument.',
    });
  }
  return { level: 'error', options: { patterns } };
}

function overrideOf(name: string, rule: PackageRule): unknown {
  const style: Record<string, unknown> = { noRestrictedImports: restrictedImports(name, rule) };
  if (rule.layer === 'core') {
    style['noRestrictedGlobals'] = {
      level: 'error',
      options: {
        deniedGlobals: Object.fromEntries(
          globalsForbiddenInCore.map((name) => [name, 'A core package takes clock, randomness and I/O as arguments.']),
        ),
      },
    };
  }
  return {
    includes: [`${rule.path}/src/**/*.ts`, ...testFiles.map((glob) => `!${glob}`)],
    linter: { rules: { style } },
  };
}

/** All overrides, in the order of the table. */
export const layerOverrides = (): readonly unknown[] =>
  Object.entries(packages).map(([name, rule]) => overrideOf(name, rule));
