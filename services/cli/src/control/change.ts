// Changes a record of the control topic, and waits until those who follow it say that they do so.
import { exitCodes, MirrorstreamError, type Snapshot, snapshotKey } from '@mirrorstream/domain';
import type { KafkaClient, KafkaLogger } from '@mirrorstream/kafka';
import type { ControlState, ControlSubject } from '@mirrorstream/service-kit';
import { badFlag, type CommandSpec, type GivenFlags } from '../command-line.ts';
import { followSnapshots } from '../snapshot-feed.ts';
import { inTime, pause, type StackScope, unreachable } from '../stack-scope.ts';
import { readControl, writeControl } from './record.ts';

export interface ControlChange<Control, Report> {
  readonly subject: ControlSubject<Control>;
  /** Null: only look. Else what to write, from what stands there; null: nothing, the record goes. */
  readonly change: ((present: Control | null) => string | null) | null;
  readonly waitMs: number;
  /** From the newest snapshot of everybody. */
  readonly report: (state: ControlState<Control>, snapshots: Iterable<Snapshot>) => Report;
  /** Who has not said yet that it is in force. */
  readonly missing: (report: Report) => readonly string[];
}

const lookEveryMs = 100;
const logger: KafkaLogger = {
  debug() {},
  info() {},
  warn() {},
  error: (details, message) => process.stderr.write(`mirrorstream: ${message} ${describe(details)}\n`),
};

export async function changeAndWatch<Control, Report>(
  client: KafkaClient,
  scope: StackScope,
  { subject, change, waitMs, report, missing }: ControlChange<Control, Report>,
): Promise<Report> {
  const present = await inTime(readControl(client, subject, logger), scope);
  let state = present;
  if (change !== null) {
    const revision = await inTime(writeControl(client, subject.key, change(present.control)), scope);
    state = { control: (await inTime(readControl(client, subject, logger), scope)).control, revision };
  }
  const newest = new Map<string, Snapshot>();
  let crash: Error | undefined;
  const feed = await followSnapshots(
    client,
    (snapshot) => void newest.set(snapshotKey(snapshot), snapshot),
    (error) => {
      crash = error;
    },
  );
  await inTime(feed.caughtUp(), scope);
  const until = performance.now() + (change === null ? 0 : waitMs);
  for (;;) {
    if (crash !== undefined) throw unreachable(scope, crash);
    const found = report(state, newest.values());
    if (missing(found).length === 0 || performance.now() >= until) {
      await feed.stop();
      return found;
    }
    await pause(lookEveryMs);
  }
}

/** Throws `notReady` when somebody has not followed in time. */
export function exitCodeOfChange(
  stage: string,
  asked: { readonly changed: boolean; readonly waitMs: number },
  missing: readonly string[],
): number {
  const { changed, waitMs } = asked;
  if (!changed || waitMs === 0 || missing.length === 0) return exitCodes.ok;
  throw new MirrorstreamError(
    'notReady',
    `written, but not acknowledged after ${waitMs / 1000} s by ${missing.join(', ')}`,
    {
      stage,
      retryable: true,
      hint: `They follow as soon as they reach Kafka: look again with mirrorstream ${stage} status.`,
    },
  );
}

export function waitMsOf(command: CommandSpec, flags: GivenFlags): number {
  const text = flags.last('wait') ?? '20';
  if (/^\d{1,5}(\.\d+)?$/.test(text)) return Number(text) * 1000;
  throw badFlag(command, '--wait', 'is not a number of seconds', 'Write for instance --wait 30.');
}

export function shareOf(command: CommandSpec, flag: string, text: string, hint: string): number {
  if (/^(0(\.\d+)?|1(\.0+)?|\.\d+)$/.test(text)) return Number(text);
  throw badFlag(command, flag, 'is not a share from 0 to 1', hint);
}

function describe(details: object): string {
  const error = 'err' in details ? details.err : undefined;
  return error instanceof Error ? `(${error.message})` : '';
}
