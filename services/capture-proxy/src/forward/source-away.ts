// The one answer the proxy gives in the server's place: there is no server to give it.

/**
 * ErrorResponse = 'E', Int32 length, { Byte1 field, String value }*, NUL. SQLSTATE 08006 is connection_failure.
 * `source` is host:port, `code` the operating system's name of the failure.
 */
export function sourceAwayResponse(source: string, code: string): Buffer {
  const fields: readonly (readonly [string, string])[] = [
    ['S', 'FATAL'],
    ['V', 'FATAL'],
    ['C', '08006'],
    ['M', `mirrorstream capture proxy cannot reach the source at ${source} (${code})`],
    ['H', 'Check that the database is running and that the proxy points at it.'],
  ];
  const body = Buffer.from(`${fields.map(([field, value]) => `${field}${value}\0`).join('')}\0`, 'utf8');
  const head = Buffer.alloc(5);
  head.write('E', 0, 'latin1');
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}
