// Log lines for things that can happen a thousand times a second: one at once, then at most one per interval with the count.

type Log = (details: Readonly<Record<string, unknown>>, message: string) => void;

export function occasionally(intervalMs: number, log: Log, nowMs: () => number = () => performance.now()): Log {
  const said = new Map<string, { atMs: number; times: number }>();
  return (details, message) => {
    const last = said.get(message);
    if (last !== undefined && nowMs() - last.atMs < intervalMs) {
      last.times += 1;
      return;
    }
    said.set(message, { atMs: nowMs(), times: 0 });
    log(last === undefined || last.times === 0 ? details : { ...details, unsaid: last.times }, message);
  };
}
