// The few answers that the proxy gives in the server's place, before a session has reached any server.

export type Refusal =
  /** `source`: host:port, several with commas; `code`: the operating system's or OpenSSL's name of the failure. */
  | { readonly kind: 'sourceUnreachable'; readonly source: string; readonly code: string }
  | { readonly kind: 'tooManySessions' }
  | { readonly kind: 'tlsRequired' }
  | { readonly kind: 'protocolViolation' };

interface Wording {
  readonly sqlState: string;
  readonly message: string;
  readonly hint: string;
}

/** ErrorResponse = 'E', Int32 length, { Byte1 field, String value }*, NUL. SQLSTATEs are those a server would give. */
export function refusalResponse(refusal: Refusal): Buffer {
  const { sqlState, message, hint } = wordingOf(refusal);
  const fields = [
    ['S', 'FATAL'],
    ['V', 'FATAL'],
    ['C', sqlState],
    ['M', message],
    ['H', hint],
  ] as const;
  const body = Buffer.from(`${fields.map(([field, value]) => `${field}${value}\0`).join('')}\0`, 'utf8');
  const head = Buffer.alloc(5);
  head.write('E', 0, 'latin1');
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

function wordingOf(refusal: Refusal): Wording {
  switch (refusal.kind) {
    case 'sourceUnreachable':
      return {
        sqlState: '08006', // connection_failure
        message: `mirrorstream capture proxy cannot reach the source at ${refusal.source} (${refusal.code})`,
        hint: 'Check that the database is running and that the proxy points at it.',
      };
    case 'tooManySessions':
      return {
        sqlState: '53300', // too_many_connections
        message: 'sorry, too many clients already (limit of the mirrorstream capture proxy)',
        hint: 'Close sessions, or raise --max-sessions of the proxy.',
      };
    case 'tlsRequired':
      return {
        sqlState: '28000', // invalid_authorization_specification: a server whose pg_hba.conf has hostssl lines only
        message: 'the mirrorstream capture proxy accepts connections with TLS only',
        hint: 'Connect with sslmode=require or stricter.',
      };
    case 'protocolViolation':
      return {
        sqlState: '08P01', // protocol_violation
        message: 'encryption was negotiated already',
        hint: 'A client asks for encryption once, before its StartupMessage.',
      };
    default:
      return refusal satisfies never;
  }
}
