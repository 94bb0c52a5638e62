// What is measured: the loads there are, and in which order the contenders have their turns.

export const workloads = ['select', 'tpcb', 'connect', 'select-large', 'copy-out', 'copy-in'] as const;
export type Workload = (typeof workloads)[number];
export const protocols = ['simple', 'extended', 'prepared'] as const;
export type Protocol = (typeof protocols)[number];
export const clientCounts = [1, 8, 32, 200] as const;

export interface Load {
  readonly workload: Workload;
  readonly protocol: Protocol;
  readonly clients: number;
}

/** What one unit of a load's work is: what rates and CPU times are per. */
export const unitOf = ({ workload }: Load): 'transaction' | 'MB' => (isLarge(workload) ? 'MB' : 'transaction');

export const isLarge = (workload: Workload): workload is 'select-large' | 'copy-out' | 'copy-in' =>
  workload === 'select-large' || workload === 'copy-out' || workload === 'copy-in';

export function titleOf({ workload, protocol, clients }: Load): string {
  const many = clients === 1 ? '1 client' : `${clients} clients`;
  switch (workload) {
    case 'select':
      return `pgbench -S, ${protocol}, ${many}`;
    case 'tpcb':
      return `pgbench TPC-B, ${protocol}, ${many}`;
    case 'connect':
      return `pgbench -S -C (a connection per transaction), ${many}`;
    case 'select-large':
      return 'a large SELECT';
    case 'copy-out':
      return 'a large COPY TO STDOUT';
    case 'copy-in':
      return 'a large COPY FROM STDIN';
    default:
      return workload satisfies never;
  }
}

/** Each round begins one contender further on, so that all meet the same weather. */
export function turnsOf<T>(contenders: readonly T[], round: number): readonly T[] {
  const first = contenders.length === 0 ? 0 : round % contenders.length;
  return [...contenders.slice(first), ...contenders.slice(0, first)];
}
