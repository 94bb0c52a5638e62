// The replay benchmark's command line: which parts are measured, on which loads, for how long.
import { parseArgs } from 'node:util';
import { listOf, wholeNumber } from '../flag-values.ts';
import { type Load, protocols } from '../proxy/plan.ts';

export const parts = ['throughput', 'schedule', 'catchup', 'scale', 'memory'] as const;
export type Part = (typeof parts)[number];

export interface Settings {
  readonly parts: readonly Part[];
  readonly loads: readonly Load[];
  readonly rounds: number;
  /** Of pgbench's turns. */
  readonly seconds: number;
  /** Captured once per load. */
  readonly transactions: { readonly select: number; readonly tpcb: number };
  /** Of traffic with think times. */
  readonly thinkSeconds: number;
  /** For so long the replayer is away from traffic that goes on, for catchup; null: until that traffic is over. */
  readonly pauseSeconds: number | null;
  /** Of pgreplay-go, which plays the same beside us; null: not given. */
  readonly pgreplay: string | null;
  /** Where replayers leave CPU profiles; null: none. */
  readonly profileDirectory: string | null;
  /** Print the record rather than the page. */
  readonly json: boolean;
  /** Where the result files go; null: nowhere. */
  readonly out: string | null;
}

export type Parsed =
  | { readonly kind: 'run'; readonly settings: Settings }
  | { readonly kind: 'help' }
  | { readonly kind: 'wrong'; readonly reason: string };

const workloads = ['select', 'tpcb'] as const;

export const help = `npm run bench -- replay [flags]

Captures pgbench's traffic once, through the real proxy into Kafka, and plays it with the real replayer. Without flags: everything, on
the loads select and tpcb, with the protocols simple and prepared and 8 clients; about six minutes.

  --part LIST       ${parts.join(', ')}   [all]
                    throughput: asap on a local mirror and on a target that costs nothing, beside pgbench on the same mirror
                    schedule: planned against sent, at speed 1 and 10, and what that comes to over time
                    catchup: how fast overdue traffic is played when the replayer was away for as long as it took, or (--pause-minutes)
                    how soon it has caught up with traffic that goes on
                    scale: 1, 2 and 4 replayers on a target that answers each exchange after 20 ms
                    memory: bytes per lane
  --workload LIST   ${workloads.join(', ')}   [both]
  --protocol LIST   ${protocols.join(', ')}   [simple,prepared]
  --clients LIST    how many sessions at once   [8]
  --rounds N        how often each contender has its turn   [3]
  --seconds N       how long a turn of pgbench takes   [3]
  --transactions N  how many are captured of select; of tpcb a fifth   [60000]
  --think N         seconds of traffic with think times for schedule and catchup   [20]
  --minutes N       the same in minutes: 10 shows ten minutes' drift, at speed 1 and 10; takes about 22
  --pause-minutes N the replayer follows the traffic, is stopped for N minutes while it goes on, and catches up with it; for 5
                    about 9. Fractions are allowed
  --quick           1 round, half as many transactions; writes no file
  --profile DIR     replayers leave CPU profiles there (the figures are then not to be trusted)
  --json            print the record, not the page
  --out DIRECTORY   where the page and the record are written   [test/bench/results]
  --help

PGREPLAY_BIN=/path/to/pgreplay plays what the source has logged of each load to the same mirror, beside the replayer (throughput only).
`;

const options = {
  part: { type: 'string' },
  workload: { type: 'string' },
  protocol: { type: 'string' },
  clients: { type: 'string' },
  rounds: { type: 'string' },
  seconds: { type: 'string' },
  transactions: { type: 'string' },
  think: { type: 'string' },
  minutes: { type: 'string' },
  'pause-minutes': { type: 'string' },
  quick: { type: 'boolean', default: false },
  profile: { type: 'string' },
  json: { type: 'boolean', default: false },
  out: { type: 'string' },
  help: { type: 'boolean', default: false },
} as const;

/** tpcb's transactions take about five times as long as select's. */
const tpcbShare = 0.2;

/** Everything wrong is said with the flag's name. */
export function parseFlags(
  argv: readonly string[],
  defaultOut: string,
  env: Readonly<Record<string, string | undefined>> = {},
): Parsed {
  try {
    const { values } = parseArgs({ args: [...argv], options });
    if (values.help) return { kind: 'help' };
    const { quick } = values;
    const select = wholeNumber('transactions', values.transactions ?? (quick ? '30000' : '60000'), 1000, 10_000_000);
    const settings: Settings = {
      parts: listOf('part', values.part ?? parts.join(), parts),
      loads: loadsOf(values.workload, values.protocol, values.clients),
      rounds: wholeNumber('rounds', values.rounds ?? (quick ? '1' : '3'), 1, 100),
      seconds: wholeNumber('seconds', values.seconds ?? '3', 1, 3600),
      transactions: { select, tpcb: Math.ceil(select * tpcbShare) },
      thinkSeconds: thinkSecondsOf(values.think, values.minutes, quick),
      pauseSeconds: pauseSecondsOf(values['pause-minutes']),
      pgreplay: env['PGREPLAY_BIN'] || null,
      profileDirectory: values.profile ?? null,
      json: values.json,
      out: values.out ?? (quick ? null : defaultOut),
    };
    return { kind: 'run', settings };
  } catch (error) {
    return { kind: 'wrong', reason: (error as Error).message };
  }
}

function thinkSecondsOf(seconds: string | undefined, minutes: string | undefined, quick: boolean): number {
  if (minutes === undefined) return wholeNumber('think', seconds ?? (quick ? '8' : '20'), 2, 3600);
  if (seconds !== undefined) throw new Error('--minutes does not go with --think: give one of them');
  return 60 * wholeNumber('minutes', minutes, 1, 60);
}

function pauseSecondsOf(minutes: string | undefined): number | null {
  if (minutes === undefined) return null;
  const seconds = /^\d+(\.\d+)?$/.test(minutes) ? 60 * Number(minutes) : Number.NaN;
  if (seconds >= 3 && seconds <= 3600) return seconds;
  throw new Error('--pause-minutes is not a number from 0.05 to 60');
}

function loadsOf(workload = workloads.join(), protocol = 'simple,prepared', clients = '8'): Load[] {
  const counts = clients.split(',').map((text) => wholeNumber('clients', text, 1, 150));
  return listOf('workload', workload, workloads).flatMap((name) =>
    listOf('protocol', protocol, protocols).flatMap((spoken) =>
      counts.map((count): Load => ({ workload: name, protocol: spoken, clients: count })),
    ),
  );
}
