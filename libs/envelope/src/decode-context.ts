// Decodes a session's context by hand: who it is, its settings and prepared statements. See decode-record.ts.
import type { PreparedStatement, SessionContext } from './gen/mirrorstream/v1/envelope_pb.ts';
import type { ProtoReader } from './proto-reader.ts';
import { RecentContexts } from './recent-contexts.ts';

const NO_BYTES = new Uint8Array(0);

/** A session's envelopes, and those of its fellows, mostly come with the same context: then it is the same object. */
export const recentContexts = new RecentContexts(readContext);

function readContext(reader: ProtoReader): SessionContext {
  const context: SessionContext = {
    $typeName: 'mirrorstream.v1.SessionContext',
    database: '',
    user: '',
    protocolVersion: 0,
    startupParameters: [],
    settings: [],
    statements: [],
    sqlStatements: [],
    backendPid: 0,
  };
  while (reader.field()) {
    switch (reader.tag) {
      case 0x0a:
        context.database = reader.string();
        break;
      case 0x12:
        context.user = reader.string();
        break;
      case 0x18:
        context.protocolVersion = reader.uint32();
        break;
      case 0x22: {
        const [name, value] = readPair(reader);
        context.startupParameters.push({ $typeName: 'mirrorstream.v1.Parameter', name, value });
        break;
      }
      case 0x2a: {
        const [name, sql] = readPair(reader);
        context.settings.push({ $typeName: 'mirrorstream.v1.Setting', name, sql });
        break;
      }
      case 0x32:
        context.statements.push(readStatement(reader));
        break;
      case 0x3a: {
        const [name, sql] = readPair(reader);
        context.sqlStatements.push({ $typeName: 'mirrorstream.v1.SqlStatement', name, sql });
        break;
      }
      case 0x40:
        context.backendPid = reader.uint32();
        break;
      default:
        reader.skip();
    }
  }
  return context;
}

/** A message of two strings. */
function readPair(reader: ProtoReader): readonly [first: string, second: string] {
  const outer = reader.open();
  let first = '';
  let second = '';
  while (reader.field()) {
    if (reader.tag === 0x0a) first = reader.string();
    else if (reader.tag === 0x12) second = reader.string();
    else reader.skip();
  }
  reader.close(outer);
  return [first, second];
}

function readStatement(reader: ProtoReader): PreparedStatement {
  const outer = reader.open();
  const statement: PreparedStatement = {
    $typeName: 'mirrorstream.v1.PreparedStatement',
    name: '',
    parseFrame: NO_BYTES,
  };
  while (reader.field()) {
    if (reader.tag === 0x0a) statement.name = reader.string();
    else if (reader.tag === 0x12) statement.parseFrame = reader.bytes();
    else reader.skip();
  }
  reader.close(outer);
  return statement;
}
