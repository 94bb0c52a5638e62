// Asks a server one question on a connection on which nothing is under way.
import { MirrorstreamError } from '@mirrorstream/domain';
import { decodeBackend, FrameEvent, FrameSplitter } from '@mirrorstream/pg-wire';
import type { TargetConnection } from './connection.ts';
import { encoded } from './start-up.ts';

export interface QueryLimits {
  readonly timeoutMs: number;
  readonly maxRows: number;
}

/**
 * Rows of text; null: the server refused the query, or has more rows than wanted. The connection's handlers have to be bound anew
 * afterwards. Errors: `targetUnreachable`, when there is no answer in time.
 */
export async function queryRows(
  connection: TargetConnection,
  sql: string,
  { timeoutMs, maxRows }: QueryLimits,
): Promise<readonly (readonly (string | null)[])[] | null> {
  const splitter = new FrameSplitter();
  const rows: (string | null)[][] = [];
  let refused = false;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  connection.rebind({
    onBytes: (chunk) => {
      splitter.feed(chunk);
      for (let event = splitter.next(); event !== FrameEvent.needMore; event = splitter.next()) {
        if (event !== FrameEvent.frame) return reject(notAnswered());
        const message = decodeBackend(splitter.type, splitter.buffer, splitter.start, splitter.end);
        if (message.kind === 'errorResponse') refused = true;
        if (message.kind === 'dataRow') {
          if (rows.length < maxRows) rows.push(message.values.map(textOf));
          else refused = true;
        }
        if (message.kind === 'readyForQuery') resolve();
      }
    },
    onLost: reject,
  });
  const timer = setTimeout(() => reject(notAnswered()), timeoutMs);
  try {
    connection.write(encoded({ kind: 'query', query: sql }));
    await promise;
    return refused ? null : rows;
  } finally {
    clearTimeout(timer);
  }
}

const textOf = (value: Uint8Array | null): string | null =>
  value === null ? null : Buffer.from(value.buffer, value.byteOffset, value.length).toString('utf8');

function notAnswered(): MirrorstreamError {
  return new MirrorstreamError('targetUnreachable', "the mirror's server did not answer what it was asked", {
    stage: 'target',
    retryable: true,
  });
}
