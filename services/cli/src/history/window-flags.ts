// The flags that say which window is meant, the same for every command that takes one.
import type { ReplayWindow } from '@mirrorstream/envelope';
import { badFlag, type CommandFlag, type CommandSpec, type GivenFlags } from '../command-line.ts';
import { parseDuration } from '../duration.ts';
import { scopeFlags } from '../stack-scope.ts';
import { momentHint, parseMoment } from './moment.ts';

const defaultLateMs = 120_000;

export const windowFlags: readonly CommandFlag[] = [
  { name: 'from', placeholder: 'TIME', description: `begin of the window. ${momentHint}` },
  { name: 'to', placeholder: 'TIME', defaultText: 'now', description: 'end of the window, not part of it any more' },
  {
    name: 'late',
    placeholder: 'DURATION',
    defaultText: '2m',
    description:
      'how much log behind the end of the window is looked through for transactions that began in it and were published later ' +
      '(give more where Kafka was away, and a spool bridged it)',
  },
];

/** Where the window is; its source may be one that was imported. */
export const windowScopeFlags: readonly CommandFlag[] = scopeFlags.map((flag) =>
  flag.name === 'source-name'
    ? { ...flag, defaultText: 'the stack’s own', description: 'the source’s name; also one that was imported' }
    : flag,
);

/** Null: none was given. Throws `badInput`. */
export function readWindow(command: CommandSpec, flags: GivenFlags, nowMs: number): ReplayWindow | null {
  if (!flags.has('from')) {
    if (flags.has('to')) throw badFlag(command, '--to', 'needs --from', 'Say when the window begins.');
    return null;
  }
  const fromMs = momentOf(command, flags, 'from', '', nowMs);
  const toMs = momentOf(command, flags, 'to', 'now', nowMs);
  if (toMs > nowMs)
    throw badFlag(
      command,
      '--to',
      'lies in the future',
      'A window ends in the past, or now: a replayer follows production.',
    );
  if (fromMs >= toMs) throw badFlag(command, '--from', 'is not before --to', 'Give a window of some length.');
  return { fromMs, toMs };
}

/** Throws `badInput`. */
export function readLateMs(command: CommandSpec, flags: GivenFlags): number {
  const text = flags.last('late');
  const ms = text === undefined ? defaultLateMs : parseDuration(text);
  if (ms === undefined) throw badFlag(command, '--late', 'is not a duration', 'For example 30s, 5m or 1h.');
  return ms;
}

function momentOf(command: CommandSpec, flags: GivenFlags, flag: string, fallback: string, nowMs: number): number {
  const moment = parseMoment(flags.last(flag) ?? fallback, nowMs);
  if (moment === undefined) throw badFlag(command, `--${flag}`, 'is no time', momentHint);
  return moment;
}
