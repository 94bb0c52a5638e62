// Encodes an observation by hand; field numbers: proto/mirrorstream/v1/observation.proto.
import type { ObservationDraft } from './drafts.ts';
import { type ProtoWriter, wire } from './proto-writer.ts';

const bytes = (field: number): number => (field << 3) | wire.bytes;
const varint = (field: number): number => (field << 3) | wire.varint;
const fixed64 = (field: number): number => (field << 3) | wire.fixed64;

const T = {
  end: varint(1),
  commandTag: bytes(2),
  rows: varint(3),
  sqlState: bytes(4),
  severity: bytes(5),
  sizeBytes: varint(6),
  digested: varint(7),
  orderedDigest: fixed64(8),
  multisetDigest: fixed64(9),
  columnsDigest: fixed64(10),
  columnCount: varint(11),
  latencyUs: varint(12),
  firstRowUs: varint(13),
  errorDigest: fixed64(14),
} as const;

/** A nested message under the tag. */
export function encodeObservation(writer: ProtoWriter, tag: number, observation: ObservationDraft): void {
  const mark = writer.begin(tag, 30);
  writer.uint(T.end, observation.end);
  writer.string(T.commandTag, observation.commandTag);
  writer.uint(T.rows, observation.rows);
  writer.string(T.sqlState, observation.sqlState);
  writer.string(T.severity, observation.severity);
  writer.uint(T.sizeBytes, observation.sizeBytes);
  writer.bool(T.digested, observation.digested);
  writer.fixed64(T.orderedDigest, observation.orderedHi, observation.orderedLo);
  writer.fixed64(T.multisetDigest, observation.multisetHi, observation.multisetLo);
  writer.fixed64(T.columnsDigest, observation.columnsHi, observation.columnsLo);
  writer.uint(T.columnCount, observation.columnCount);
  writer.uint(T.latencyUs, observation.latencyUs);
  writer.uint(T.firstRowUs, observation.firstRowUs);
  writer.fixed64(T.errorDigest, observation.errorHi, observation.errorLo);
  writer.end(mark);
}
