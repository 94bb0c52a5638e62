// The benchmark's command line: what is measured, against whom, for how long.
import { parseArgs } from 'node:util';
import { listOf, wholeNumber } from '../flag-values.ts';
import { clientCounts, type Load, protocols, workloads } from './plan.ts';

export interface Settings {
  readonly loads: readonly Load[];
  /** Patterns of contenders' names; null: all. */
  readonly only: readonly string[] | null;
  readonly rounds: number;
  readonly seconds: number;
  readonly megabytes: number;
  /** Print the record rather than the page. */
  readonly json: boolean;
  /** Where the result files go; null: nowhere. */
  readonly out: string | null;
}

export type Parsed =
  | { readonly kind: 'run'; readonly settings: Settings }
  | { readonly kind: 'help' }
  | { readonly kind: 'wrong'; readonly reason: string };

export const help = `npm run bench -- proxy [flags]

Measures the capture proxy beside a direct connection and other proxies, on real servers on this machine. Without flags: pgbench -S,
simple protocol, 8 and 32 clients, everyone who is installed; less than ten minutes.

  --workload LIST   ${workloads.join(', ')}, or large (the three that move 100 MB)   [select]
  --protocol LIST   ${protocols.join(', ')}; of select and tpcb   [simple]
  --clients LIST    how many connect at once; of select, tpcb and connect   [8,32]
  --grid            all of these: every workload, protocol and ${clientCounts.join(', ')} clients; takes more than an hour
  --only LIST       contenders by name; * stands for anything: --only 'direct,pgbouncer,mirrorstream*'
  --rounds N        how often each contender has its turn   [5]
  --seconds N       how long a turn takes   [3]
  --megabytes N     size of the large results   [100]
  --quick           2 rounds of 2 s at 8 clients; writes no file
  --json            print the record, not the page
  --out DIRECTORY   where the page and the record are written   [test/bench/results]
  --help

PgDog takes part where PGDOG_BIN names its binary (PGDOG_ABOUT: what the result says of it). It mirrors to a second
PostgreSQL server.
`;

const options = {
  workload: { type: 'string' },
  protocol: { type: 'string' },
  clients: { type: 'string' },
  grid: { type: 'boolean', default: false },
  only: { type: 'string' },
  rounds: { type: 'string' },
  seconds: { type: 'string' },
  megabytes: { type: 'string' },
  quick: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  out: { type: 'string' },
  help: { type: 'boolean', default: false },
} as const;

/** Everything wrong is said with the flag's name. */
export function parseFlags(argv: readonly string[], defaultOut: string): Parsed {
  try {
    const { values } = parseArgs({ args: [...argv], options });
    if (values.help) return { kind: 'help' };
    const { quick, grid } = values;
    const clients = values.clients ?? (grid ? clientCounts.join() : quick ? '8' : '8,32');
    const chosen = {
      workloads: listOf('workload', withLarge(values.workload ?? (grid ? workloads.join() : 'select')), workloads),
      protocols: listOf('protocol', values.protocol ?? (grid ? protocols.join() : 'simple'), protocols),
      clients: clients.split(',').map((text) => wholeNumber('clients', text, 1, 200)),
    };
    const settings: Settings = {
      loads: loadsOf(chosen),
      only: values.only?.split(',').map((name) => name.trim()) ?? null,
      rounds: wholeNumber('rounds', values.rounds ?? (quick ? '2' : grid ? '3' : '5'), 1, 100),
      seconds: wholeNumber('seconds', values.seconds ?? (quick ? '2' : '3'), 1, 3600),
      megabytes: wholeNumber('megabytes', values.megabytes ?? '100', 1, 1000),
      json: values.json,
      out: values.out ?? (quick ? null : defaultOut),
    };
    return { kind: 'run', settings };
  } catch (error) {
    return { kind: 'wrong', reason: (error as Error).message };
  }
}

/** Whether a contender is wanted. A name without * must match whole. */
export function isWanted(name: string, only: readonly string[] | null): boolean {
  if (only === null) return true;
  return only.some((pattern) => {
    const parts = pattern.split('*').map((part) => part.replaceAll(/[\\^$.|?+()[\]{}]/g, '\\$&'));
    return new RegExp(`^${parts.join('.*')}$`).test(name);
  });
}

interface Chosen {
  readonly workloads: readonly Load['workload'][];
  readonly protocols: readonly Load['protocol'][];
  readonly clients: readonly number[];
}

/** Protocol and clients multiply only the workloads that know them. */
function loadsOf({ workloads: chosen, protocols, clients }: Chosen): Load[] {
  return chosen.flatMap((workload): Load[] => {
    if (workload === 'connect') return clients.map((count) => ({ workload, protocol: 'simple', clients: count }));
    if (workload !== 'select' && workload !== 'tpcb') return [{ workload, protocol: 'simple', clients: 1 }];
    return protocols.flatMap((protocol) => clients.map((count) => ({ workload, protocol, clients: count })));
  });
}

const withLarge = (list: string): string => list.replace(/(?<=^|,) *large *(?=,|$)/, 'select-large,copy-out,copy-in');
