// Row family: RowDescription and DataRow.
import { decodeValues, encodeValues, type Format } from './extended-query.ts';
import { B } from './type-bytes.ts';
import type { WireReader } from './wire-reader.ts';
import type { WireWriter } from './wire-writer.ts';

export type FieldDescription = {
  readonly name: string;
  /** 0 when the field is not a column of a table. */
  readonly tableOid: number;
  readonly columnNumber: number;
  readonly typeOid: number;
  /** pg_type.typlen; negative for variable width. */
  readonly typeSize: number;
  /** pg_attribute.atttypmod; -1 when it has none. */
  readonly typeModifier: number;
  readonly format: Format;
};
export type RowDescription = { readonly kind: 'rowDescription'; readonly fields: readonly FieldDescription[] };
/** Views of the input; null is SQL NULL. */
export type DataRow = { readonly kind: 'dataRow'; readonly values: readonly (Uint8Array | null)[] };

/** The least a field takes: an empty name and the numbers. */
const MIN_FIELD_BYTES = 19;

// RowDescription: Byte1('T'), Int32 length, Int16 count, then for each field:
//   String name, Int32 table OID, Int16 column number, Int32 type OID, Int16 type size, Int32 type modifier, Int16 format
export function decodeRowDescription(reader: WireReader): RowDescription {
  const count = reader.count16(MIN_FIELD_BYTES);
  const fields: FieldDescription[] = [];
  for (let i = 0; i < count && reader.ok; i++) {
    fields.push({
      name: reader.string(),
      tableOid: reader.uint32(),
      columnNumber: reader.int16(),
      typeOid: reader.uint32(),
      typeSize: reader.int16(),
      typeModifier: reader.int32(),
      format: reader.int16(),
    });
  }
  return { kind: 'rowDescription', fields };
}

export function encodeRowDescription(message: RowDescription, writer: WireWriter): void {
  writer.beginFrame(B.RowDescription);
  writer.count16(message.fields.length);
  for (const field of message.fields) {
    writer.string(field.name);
    writer.int32(field.tableOid);
    writer.int16(field.columnNumber);
    writer.int32(field.typeOid);
    writer.int16(field.typeSize);
    writer.int32(field.typeModifier);
    writer.int16(field.format);
  }
  writer.endFrame();
}

// DataRow: Byte1('D'), Int32 length, Int16 count, then Int32 length (-1: NULL) and Byten value of each column
export function decodeDataRow(reader: WireReader): DataRow {
  return { kind: 'dataRow', values: decodeValues(reader) };
}

export function encodeDataRow(message: DataRow, writer: WireWriter): void {
  writer.beginFrame(B.DataRow);
  encodeValues(message.values, writer);
  writer.endFrame();
}
