// The layers of the repository: which package may import which. One table; everything else is generated from it or checked against it.
//
// core   pure: no I/O, no clock, no randomness, imports only core
// shell  I/O behind a port; may import core and the shells named
// test   test only
// service  a process; imports libs, never another service

export type Layer = 'core' | 'shell' | 'test' | 'service';

export interface PackageRule {
  readonly layer: Layer;
  /** Folder from the repository's root. */
  readonly path: string;
  /** Packages of this repository it may import, without the scope. */
  readonly mayImport: readonly string[];
}

const core = (path: string, mayImport: readonly string[] = []): PackageRule => ({ layer: 'core', path, mayImport });
const shell = (path: string, mayImport: readonly string[]): PackageRule => ({ layer: 'shell', path, mayImport });
const service = (path: string, mayImport: readonly string[]): PackageRule => ({ layer: 'service', path, mayImport });

export const packages: Readonly<Record<string, PackageRule>> = {
  domain: core('libs/domain'),
  'pg-wire': core('libs/pg-wire'),
  envelope: core('libs/envelope', ['domain']),
  sql: core('libs/sql', ['domain']),
  compare: core('libs/compare', ['domain', 'pg-wire', 'envelope']),
  findings: core('libs/findings', ['domain']),
  capture: core('libs/capture', ['domain', 'pg-wire', 'envelope', 'compare']),
  replay: core('libs/replay', ['domain', 'pg-wire', 'envelope', 'compare']),
  kafka: shell('libs/kafka', ['domain']),
  'pg-target': shell('libs/pg-target', ['domain', 'pg-wire']),
  'service-kit': shell('libs/service-kit', ['domain', 'kafka']),
  local: shell('deploy/local', ['domain']),
  testkit: { layer: 'test', path: 'libs/testkit', mayImport: ['domain', 'local', 'kafka', 'pg-wire'] },
  'capture-proxy': service('services/capture-proxy', [
    'domain',
    'pg-wire',
    'envelope',
    'capture',
    'kafka',
    'service-kit',
  ]),
  replayer: service('services/replayer', [
    'domain',
    'pg-wire',
    'envelope',
    'compare',
    'replay',
    'sql',
    'kafka',
    'pg-target',
    'service-kit',
  ]),
  comparer: service('services/comparer', ['domain', 'envelope', 'compare', 'findings', 'sql', 'kafka', 'service-kit']),
  cli: service('services/cli', [
    'domain',
    'pg-wire',
    'envelope',
    'compare',
    'findings',
    'replay',
    'sql',
    'kafka',
    'pg-target',
    'service-kit',
    'local',
  ]),
};

/** What a core package may take from Node: types and pure data structures, nothing that opens, waits or draws. */
export const nodeModulesForCore = ['node:buffer', 'node:util'] as const;

/** Globals that reach the outside world from a core package: clocks, timers, randomness, processes, sockets. */
export const globalsForbiddenInCore = [
  'process',
  'fetch',
  'WebSocket',
  'console',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'queueMicrotask',
  'performance',
  'crypto',
] as const;
