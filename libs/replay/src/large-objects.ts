// Large objects made by FunctionCall get the OID that they have in production.
//
// lo_creat(mode) lets the server choose the OID; the client then names it in calls, and keeps it in tables. A mirror would choose
// another, and everything that follows would name an object that it does not have. So the mirror is asked for production's OID with
// lo_create(oid) instead: the one place where what is played is not what was sent, byte for byte (ADR 0015).
import { type Answer, AnswerStorage } from '@mirrorstream/envelope';
import { B, F, HEADER_BYTES } from '@mirrorstream/pg-wire';

/** pg_proc's OIDs, the same in every version. */
const LO_CREAT = 957;
const LO_CREATE = 715;

// FunctionCall: 'F', Int32 length, Int32 function OID, Int16 1, Int16 1 (binary), Int16 1, Int32 4, Int32 argument, Int16 result format
const FRAME_BYTES = 25;
const FUNCTION_AT = HEADER_BYTES;
const ARGUMENT_AT = 19;
// FunctionCallResponse: 'V', Int32 length, Int32 4, Int32 OID
const RESULT_AT = HEADER_BYTES + 4;

/** The request as it is to be played: itself, or a copy that asks for the OID that production's server chose. */
export function withProductionsOid(request: Uint8Array, answer: Answer | undefined): Uint8Array {
  if (request[0] !== F.FunctionCall || request.length !== FRAME_BYTES) return request;
  const view = new DataView(request.buffer, request.byteOffset, request.length);
  const oneBinaryInt = view.getInt32(9) === 0x0001_0001 && view.getInt16(13) === 1 && view.getInt32(15) === 4;
  const called = view.getInt32(FUNCTION_AT);
  const serverChooses = called === LO_CREAT || (called === LO_CREATE && view.getInt32(ARGUMENT_AT) === 0);
  const oid = oneBinaryInt && serverChooses ? resultOf(answer) : null;
  if (oid === null) return request;
  const asked = new Uint8Array(request);
  const written = new DataView(asked.buffer);
  written.setInt32(FUNCTION_AT, LO_CREATE);
  written.setUint32(ARGUMENT_AT, oid);
  return asked;
}

/** Null: it failed, or the answer was not kept. */
function resultOf(answer: Answer | undefined): number | null {
  const raw = answer?.storage === AnswerStorage.FULL ? answer.raw : null;
  if (raw?.[0] !== B.FunctionCallResponse || raw.length < RESULT_AT + 4) return null;
  const view = new DataView(raw.buffer, raw.byteOffset, raw.length);
  return view.getInt32(HEADER_BYTES) === 4 ? view.getUint32(RESULT_AT) : null;
}
