// Type bytes of every message, one table per direction: the same byte means different things from client and from server.

/** Frontend (client to server) type bytes. `p` carries four different messages, told apart by what the server asked for. */
export const F = {
  Bind: 0x42, // B
  Close: 0x43, // C
  CopyData: 0x64, // d
  CopyDone: 0x63, // c
  CopyFail: 0x66, // f
  Describe: 0x44, // D
  Execute: 0x45, // E
  Flush: 0x48, // H
  FunctionCall: 0x46, // F
  Parse: 0x50, // P
  PasswordMessage: 0x70, // p, also SASLInitialResponse, SASLResponse, GSSResponse
  Query: 0x51, // Q
  Sync: 0x53, // S
  Terminate: 0x58, // X
} as const;

/** Backend (server to client) type bytes. `R` carries all AuthenticationXxx messages, told apart by a code in the body. */
export const B = {
  Authentication: 0x52, // R
  BackendKeyData: 0x4b, // K
  BindComplete: 0x32, // 2
  CloseComplete: 0x33, // 3
  CommandComplete: 0x43, // C
  CopyBothResponse: 0x57, // W
  CopyData: 0x64, // d
  CopyDone: 0x63, // c
  CopyInResponse: 0x47, // G
  CopyOutResponse: 0x48, // H
  DataRow: 0x44, // D
  EmptyQueryResponse: 0x49, // I
  ErrorResponse: 0x45, // E
  FunctionCallResponse: 0x56, // V
  NegotiateProtocolVersion: 0x76, // v
  NoData: 0x6e, // n
  NoticeResponse: 0x4e, // N
  NotificationResponse: 0x41, // A
  ParameterDescription: 0x74, // t
  ParameterStatus: 0x53, // S
  ParseComplete: 0x31, // 1
  PortalSuspended: 0x73, // s
  ReadyForQuery: 0x5a, // Z
  RowDescription: 0x54, // T
} as const;

/** The type reported for a start-up packet, which has no type byte: outside the values a byte can have. */
export const STARTUP_PACKET = -1;

export type Direction = 'frontend' | 'backend';

const known = {
  frontend: new Set<number>(Object.values(F)),
  backend: new Set<number>(Object.values(B)),
} as const;

/** Whether the protocol knows this type byte in this direction. An unknown one is forwarded and marks the session not replayable. */
export function isKnownType(direction: Direction, type: number): boolean {
  return known[direction].has(type);
}
