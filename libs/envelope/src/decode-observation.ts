// Decodes observation.proto by hand into the generated type.
import type { Observation, StatementEnd } from './gen/mirrorstream/v1/observation_pb.ts';
import type { ProtoReader } from './proto-reader.ts';

/** Of the field the reader has found. */
export function decodeObservation(reader: ProtoReader): Observation {
  const outer = reader.open();
  const observation: Observation = {
    $typeName: 'mirrorstream.v1.Observation',
    end: 0,
    commandTag: '',
    rows: 0n,
    sqlState: '',
    severity: '',
    sizeBytes: 0n,
    digested: false,
    orderedDigest: 0n,
    multisetDigest: 0n,
    columnsDigest: 0n,
    columnCount: 0,
    latencyUs: 0n,
    firstRowUs: 0n,
    errorDigest: 0n,
  };
  while (reader.field()) {
    switch (reader.tag) {
      case 0x08:
        observation.end = reader.uint32() as StatementEnd;
        break;
      case 0x12:
        observation.commandTag = reader.string();
        break;
      case 0x18:
        observation.rows = reader.uint64();
        break;
      case 0x22:
        observation.sqlState = reader.string();
        break;
      case 0x2a:
        observation.severity = reader.string();
        break;
      case 0x30:
        observation.sizeBytes = reader.uint64();
        break;
      case 0x38:
        observation.digested = reader.bool();
        break;
      case 0x41:
        observation.orderedDigest = reader.fixed64();
        break;
      case 0x49:
        observation.multisetDigest = reader.fixed64();
        break;
      case 0x51:
        observation.columnsDigest = reader.fixed64();
        break;
      case 0x58:
        observation.columnCount = reader.uint32();
        break;
      case 0x60:
        observation.latencyUs = reader.uint64();
        break;
      case 0x68:
        observation.firstRowUs = reader.uint64();
        break;
      case 0x71:
        observation.errorDigest = reader.fixed64();
        break;
      default:
        reader.skip();
    }
  }
  reader.close(outer);
  return observation;
}
