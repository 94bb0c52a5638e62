// Names a process beyond the reuse of its pid, and tells whether a named one still lives: where that can be known.
//
//   identity = boot id / pid namespace / pid / start time in ticks since boot
// Processes of one boot and one pid namespace see each other in /proc; of others nothing can be said from here.
import { readFileSync, readlinkSync } from 'node:fs';

export type Liveness = 'self' | 'alive' | 'dead' | 'unknown';

/** This process; null where there is no /proc. */
export function ownIdentity(): string | null {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const ticks = startTicks(process.pid);
    return ticks === null ? null : `${boot}/${namespace()}/${process.pid}/${ticks}`;
  } catch {
    return null;
  }
}

/** What is known here and now of the process that an identity names. */
export function livenessOf(identity: string | null | undefined, own: string | null = ownIdentity()): Liveness {
  if (identity === null || identity === undefined || own === null) return 'unknown';
  if (identity === own) return 'self';
  const [boot, namespaceOf, pid, ticks] = identity.split('/');
  const [ownBoot, ownNamespace] = own.split('/');
  if (boot !== ownBoot || namespaceOf !== ownNamespace) return 'unknown';
  return startTicks(Number(pid)) === ticks ? 'alive' : 'dead';
}

const namespace = (): string => /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? '';

/** Null: no such process, or one that only waits to be reaped. */
function startTicks(pid: number): string | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // proc(5): `pid (comm) state …`, starttime is field 22; comm may hold spaces and parentheses.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}
