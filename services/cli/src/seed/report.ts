// What `mirrorstream seed` says at its end, and on the way.
import type { CopyProgress } from './copy-tables.ts';
import type { LeftOut } from './tables.ts';

export interface SeedReport {
  readonly mirror: string;
  readonly database: string;
  readonly tables: number;
  /** Of rows, as COPY writes them. */
  readonly bytes: number;
  readonly sequences: number;
  readonly missingSequences: readonly string[];
  readonly leftOut: LeftOut;
  /** ISO 8601, of capture's clock. */
  readonly snapshotAt: string;
  /** Counted as filtered, reason beforeSeed. */
  readonly transactionsBefore: number;
  /** Begun before the snapshot and ended after it: played from their beginning. */
  readonly underWay: number;
  /** `<sessionId>/<sessionSeq>` of commits that may or may not be in the copy; not played. */
  readonly unresolved: readonly string[];
  readonly seconds: number;
}

export const seedJson = (report: SeedReport): string => JSON.stringify({ schema: 'mirrorstream.seed/1', ...report });

const megabytes = (bytes: number): string => `${(bytes / 1_000_000).toFixed(1)} MB`;

export function seedText(report: SeedReport): string {
  const { mirror, database, tables, bytes, sequences, missingSequences, leftOut, underWay, unresolved } = report;
  const lines = [
    `${mirror} holds ${database} as of ${report.snapshotAt}: ${tables} tables, ${megabytes(bytes)}, ${sequences} sequences, in ${report.seconds} s`,
    `its replay begins behind that: ${report.transactionsBefore} transactions are in the copy, ${underWay} were under way and are played`,
  ];
  if (unresolved.length > 0)
    lines.push(
      `not played, perhaps missing: ${unresolved.length} commits that overlapped the snapshot (${unresolved.join(', ')})`,
    );
  if (leftOut.largeObjects > 0) lines.push(`not copied: ${leftOut.largeObjects} large objects`);
  if (leftOut.foreignTables.length > 0) lines.push(`not copied: foreign tables ${leftOut.foreignTables.join(', ')}`);
  if (missingSequences.length > 0) lines.push(`the mirror has no sequence ${missingSequences.join(', ')}`);
  lines.push(`start its replayers now: mirrorstream replayer --mirror ${mirror} …`);
  return lines.join('\n');
}

const barWidth = 24;

/** `totalBytes` is the size of the tables on disk: near enough for a bar. */
export function progressLine({ tables, bytes }: CopyProgress, allTables: number, totalBytes: number): string {
  const share = allTables === 0 ? 1 : Math.max(tables / allTables, Math.min(0.99, bytes / Math.max(1, totalBytes)));
  const full = Math.floor(share * barWidth);
  return `[${'#'.repeat(full)}${'.'.repeat(barWidth - full)}] ${tables}/${allTables} tables, ${megabytes(bytes)}`;
}
