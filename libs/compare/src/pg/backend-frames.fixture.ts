// Backend frames for tests, built by hand so that the digester is not tested against its own reading of them.

export function text(value: string): Buffer {
  return Buffer.from(`${value}\0`, 'utf8');
}

export function frame(type: string, body: Uint8Array = new Uint8Array(0)): Buffer {
  const out = Buffer.alloc(5 + body.length);
  out.write(type, 0, 'latin1');
  out.writeUInt32BE(4 + body.length, 1);
  out.set(body, 5);
  return out;
}

export interface Column {
  readonly name: string;
  readonly tableOid?: number;
  readonly attribute?: number;
  readonly typeOid?: number;
  readonly typeModifier?: number;
  readonly format?: number;
}

export function rowDescription(columns: readonly Column[]): Buffer {
  const parts: Buffer[] = [Buffer.from([columns.length >> 8, columns.length & 0xff])];
  for (const column of columns) {
    const fixed = Buffer.alloc(18);
    fixed.writeUInt32BE(column.tableOid ?? 0, 0);
    fixed.writeInt16BE(column.attribute ?? 0, 4);
    fixed.writeUInt32BE(column.typeOid ?? 25, 6);
    fixed.writeInt16BE(-1, 10);
    fixed.writeInt32BE(column.typeModifier ?? -1, 12);
    fixed.writeInt16BE(column.format ?? 0, 16);
    parts.push(text(column.name), fixed);
  }
  return frame('T', Buffer.concat(parts));
}

export function dataRow(values: readonly (string | null)[]): Buffer {
  const parts: Buffer[] = [Buffer.from([values.length >> 8, values.length & 0xff])];
  for (const value of values) {
    const length = Buffer.alloc(4);
    const bytes = value === null ? Buffer.alloc(0) : Buffer.from(value, 'utf8');
    length.writeInt32BE(value === null ? -1 : bytes.length, 0);
    parts.push(length, bytes);
  }
  return frame('D', Buffer.concat(parts));
}

export const commandComplete = (tag: string): Buffer => frame('C', text(tag));
export const readyForQuery = (status: 'I' | 'T' | 'E'): Buffer => frame('Z', Buffer.from(status, 'latin1'));
export const copyData = (line: string): Buffer => frame('d', Buffer.from(line, 'utf8'));

export function errorResponse(fields: Readonly<Record<string, string>>): Buffer {
  const parts = Object.entries(fields).map(([code, value]) =>
    Buffer.concat([Buffer.from(code, 'latin1'), text(value)]),
  );
  return frame('E', Buffer.concat([...parts, Buffer.from([0])]));
}

/** A small seeded generator (xorshift32) in [0, 1). */
export function seeded(seed: number): () => number {
  let state = seed | 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 0x1_0000_0000;
  };
}
