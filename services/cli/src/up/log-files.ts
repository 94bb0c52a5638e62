// One log file per part, of bounded size: when it is full it becomes `.1` and a new one begins.
import { createWriteStream, existsSync, renameSync, type WriteStream } from 'node:fs';
import { join } from 'node:path';

const maxFileBytes = 16 << 20;

export interface LogFile {
  readonly path: string;
  readonly write: (line: string) => void;
  readonly close: () => void;
}

/** Where the log of a part lies. */
export function logPath(folder: string, name: string): string {
  return join(folder, `${name.replace(/[^a-z0-9]+/g, '-')}.log`);
}

export function openLogFile(folder: string, name: string): LogFile {
  const path = logPath(folder, name);
  let stream = begin(path);
  let sizeBytes = 0;
  return {
    path,
    write: (line) => {
      sizeBytes += line.length + 1;
      if (sizeBytes > maxFileBytes) {
        stream.end();
        stream = begin(path);
        sizeBytes = line.length + 1;
      }
      stream.write(`${line}\n`);
    },
    close: () => stream.end(),
  };
}

function begin(path: string): WriteStream {
  if (existsSync(path)) renameSync(path, `${path}.1`);
  const stream = createWriteStream(path);
  stream.on('error', () => {}); // A full disk must not end the run.
  return stream;
}
