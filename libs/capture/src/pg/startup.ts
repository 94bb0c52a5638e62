// What capture takes from the start-up packets: the session's context, or that it must not be captured.
import type { ParameterDraft } from '@mirrorstream/envelope';
import {
  CANCEL_REQUEST_CODE,
  decodeText,
  GSSENC_REQUEST_CODE,
  int32At,
  SSL_REQUEST_CODE,
  stringEnd,
} from '@mirrorstream/pg-wire';

/** Fixed for the session's life. */
export interface SessionIdentity {
  readonly database: string;
  readonly user: string;
  readonly protocolVersion: number;
  readonly startupParameters: readonly ParameterDraft[];
  /** Of the server's process, once it has said so. */
  readonly backendPid?: number;
}

/** `encryptionRequest`: answered by one bare byte. `uncaptured`: a cancel request or a replication session. */
export type StartupOutcome =
  | { readonly kind: 'encryptionRequest' }
  | { readonly kind: 'uncaptured' }
  | { readonly kind: 'session'; readonly identity: SessionIdentity };

const secretNames = /passw|secret|token/i;
const notReplication = new Set(['', 'false', 'off', 'no', '0', 'n', 'f']);

/** `buffer[start, end)` is a whole packet: Int32 length, Int32 code, then pairs of Strings and a zero byte. */
export function readStartupPacket(buffer: Uint8Array, start: number, end: number): StartupOutcome {
  const code = int32At(buffer, start + 4);
  if (code === SSL_REQUEST_CODE || code === GSSENC_REQUEST_CODE) return { kind: 'encryptionRequest' };
  if (code === CANCEL_REQUEST_CODE || code >>> 16 !== 3) return { kind: 'uncaptured' };
  const parameters = readParameters(buffer, start + 8, end);
  const parameter = (name: string): string => parameters.find((it) => it.name === name)?.value ?? '';
  if (!notReplication.has(parameter('replication').toLowerCase())) return { kind: 'uncaptured' };
  const user = parameter('user');
  const startupParameters = parameters.filter(({ name }) => name !== 'user' && name !== 'database');
  return {
    kind: 'session',
    identity: { user, database: parameter('database') || user, protocolVersion: code, startupParameters },
  };
}

function readParameters(buffer: Uint8Array, from: number, end: number): ParameterDraft[] {
  const parameters: ParameterDraft[] = [];
  let at = from;
  while (at < end && buffer[at] !== 0) {
    const nameEnd = stringEnd(buffer, at, end);
    const valueEnd = nameEnd < 0 ? -1 : stringEnd(buffer, nameEnd + 1, end);
    if (valueEnd < 0) break;
    const name = decodeText(buffer, at, nameEnd);
    // Not even decoded: a string cannot be blanked.
    if (!secretNames.test(name)) parameters.push({ name, value: decodeText(buffer, nameEnd + 1, valueEnd) });
    at = valueEnd + 1;
  }
  return parameters;
}
