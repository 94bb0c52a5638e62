// What capture knows of the server's messages by their types, and reads from the errors among them.
import { B, errorField, errorSeverity, isKnownType, sqlState } from '@mirrorstream/pg-wire';

/** Neither answers nor needs anything: notices, notifications, parameter changes, a key, and what we do not know. */
export function isAsynchronous(type: number): boolean {
  switch (type) {
    case B.NoticeResponse:
    case B.NotificationResponse:
    case B.ParameterStatus:
      return true;
    default:
      return !isKnownType('backend', type);
  }
}

/** Messages of a fixed size, or that hold a short text: a long one is none of PostgreSQL's. */
export function isAlwaysSmall(type: number): boolean {
  switch (type) {
    case B.ReadyForQuery:
    case B.CommandComplete:
    case B.ParseComplete:
    case B.BindComplete:
    case B.CloseComplete:
    case B.EmptyQueryResponse:
    case B.PortalSuspended:
    case B.NoData:
    case B.CopyDone:
      return true;
    default:
      return false;
  }
}

const MAX_WORD_LENGTH = 64;
/** SQLSTATEs and severities are words: what is longer is none, and must not be kept for thousands of statements. */
const wordOrNothing = (text: string): string => (text.length <= MAX_WORD_LENGTH ? text : '');

/** SQLSTATE of an ErrorResponse. */
export function sqlStateOf(buffer: Uint8Array, start: number, end: number): string {
  return wordOrNothing(sqlState(buffer, start, end));
}

/** Its severity, not localized where the server says so. */
export function severityOf(buffer: Uint8Array, start: number, end: number): string {
  return wordOrNothing(errorSeverity(buffer, start, end) || errorField('S', buffer, start, end));
}
