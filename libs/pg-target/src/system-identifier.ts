// Asks a server which cluster it is: two addresses with the same identifier are the same data, or a physical copy of it.
import { MirrorstreamError } from '@mirrorstream/domain';
import { decodeBackend, FrameEvent, FrameSplitter } from '@mirrorstream/pg-wire';
import { connectTarget, type TargetConnection } from './connection.ts';
import { encoded } from './start-up.ts';
import type { TargetAddress } from './target-address.ts';

const QUERY = 'SELECT system_identifier FROM pg_catalog.pg_control_system()';

/** Decimal, or null where this user may not ask. Errors: as connectTarget. */
export async function systemIdentifier(
  address: TargetAddress,
  fallback: { readonly user: string; readonly database: string },
  timeoutMs: number,
): Promise<string | null> {
  const connection = await connectTarget(
    {
      address,
      ...fallback,
      startupParameters: [],
      applicationName: 'mirrorstream',
      sessionMark: 'system-identifier',
      connectTimeoutMs: timeoutMs,
    },
    { onBytes: () => {}, onLost: () => {} },
  );
  try {
    return await systemIdentifierOn(connection, timeoutMs);
  } finally {
    connection.close();
  }
}

/** The same, on a connection on which nothing is under way. Its handlers have to be bound anew afterwards. */
export async function systemIdentifierOn(connection: TargetConnection, timeoutMs: number): Promise<string | null> {
  const splitter = new FrameSplitter();
  let identifier: string | null = null;
  const { promise, resolve, reject } = Promise.withResolvers<string | null>();
  connection.rebind({
    onBytes: (chunk) => {
      splitter.feed(chunk);
      for (let event = splitter.next(); event !== FrameEvent.needMore; event = splitter.next()) {
        if (event !== FrameEvent.frame) return reject(notAnswered());
        const message = decodeBackend(splitter.type, splitter.buffer, splitter.start, splitter.end);
        if (message.kind === 'dataRow') identifier = Buffer.from(message.values[0] ?? []).toString('latin1');
        if (message.kind === 'readyForQuery') resolve(identifier);
      }
    },
    onLost: reject,
  });
  const timer = setTimeout(() => reject(notAnswered()), timeoutMs);
  try {
    connection.write(encoded({ kind: 'query', query: QUERY }));
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}

function notAnswered(): MirrorstreamError {
  return new MirrorstreamError('targetUnreachable', "the mirror's server did not say which cluster it is", {
    stage: 'target',
    retryable: true,
  });
}
