// Follows the server through the client's frames: which frame a reply answers, and where an exchange ends.
//
// The server reads frames in order. Query, Sync and FunctionCall end in ReadyForQuery; Flush and stray copy messages have no reply.
// What makes this more than a queue of expected replies (manual, "Message Flow"):
//   - after an error in an extended-protocol message everything up to Sync is discarded, a Query too
//   - during COPY IN Sync and Flush are swallowed; a failed COPY leaves copy messages to be eaten in silence
//   - frames are often sent long before the server gets to them, so nothing is decided before a reply proves it
import { B, F } from '@mirrorstream/pg-wire';
import type { ClientFrame, ClientFrames } from './client-frames.ts';

/** What a reply came to. `matched` names the client frame it answers. */
export const Reply = {
  /** Part of an answer, ends nothing. */
  part: 0,
  parsed: 1,
  bound: 2,
  closed: 3,
  /** CommandComplete, EmptyQueryResponse, PortalSuspended or FunctionCallResponse: a statement is done. */
  statementDone: 4,
  failed: 5,
  /** ReadyForQuery: the exchange is the frames before `cursor`. */
  ready: 6,
  /** An error nobody asked for: the server is about to close the connection. */
  unsolicited: 7,
  /** A reply no frame explains: capture has lost its place. */
  outOfStep: 8,
} as const;
export type Reply = (typeof Reply)[keyof typeof Reply];

/**
 * ready: the frame at the cursor is next. query: a Query or FunctionCall is being executed. copyInQuery, copyInExecute: the server
 * reads copy data for it. skipping: discarding up to Sync.
 */
export type ServerMode = 'ready' | 'query' | 'copyInQuery' | 'copyInExecute' | 'skipping';

export class ReplyMatcher {
  mode: ServerMode = 'ready';
  matched: ClientFrame | null = null;
  /** Set by the first reply to a Query or FunctionCall; the reader clears it. */
  queryBegan = false;
  /** Reply.statementDone: the statement was a COPY whose rows came from the client. */
  copiedIn = false;
  /** Reply.ready after an error: the frames from here to the cursor were discarded. Otherwise -1. */
  skippedFrom = -1;
  readonly #frames: ClientFrames;

  constructor(frames: ClientFrames) {
    this.#frames = frames;
  }

  reset(): void {
    this.mode = 'ready';
    this.matched = null;
    this.queryBegan = false;
    this.skippedFrom = -1;
  }

  /** Any message of the answer: notices, notifications and parameter changes come at any time and do not pass here. */
  step(type: number): Reply {
    this.copiedIn = this.mode === 'copyInQuery' || this.mode === 'copyInExecute';
    switch (this.mode) {
      case 'ready':
        return this.#ready(type);
      case 'query':
        return this.#query(type);
      case 'copyInQuery':
        return this.#copyIn(type, 'query', 'query');
      case 'copyInExecute':
        return this.#copyIn(type, 'ready', 'skipping');
      case 'skipping':
        if (type === B.ReadyForQuery) return this.#readyAfterSkip();
        return type === B.ErrorResponse ? Reply.failed : Reply.outOfStep;
      default:
        return this.mode satisfies never;
    }
  }

  /** Index after the frames that certainly belong to the exchange under way, whatever the server answers yet. */
  certainEnd(): number {
    const frames = this.#frames;
    let index = frames.cursor;
    if (this.mode === 'query') return index;
    if (this.mode === 'copyInQuery' || this.mode === 'copyInExecute') return this.#copyEnd(index, true);
    for (; index < frames.count; index++) {
      const type = frames.at(index).type;
      if (type === F.Sync || (this.mode === 'ready' && endsExchange(type))) return index + 1;
    }
    return index;
  }

  #ready(type: number): Reply {
    const frame = this.#next();
    this.matched = frame;
    if (frame === null) return type === B.ErrorResponse ? Reply.unsolicited : Reply.outOfStep;
    switch (frame.type) {
      case F.Query:
      case F.FunctionCall:
        if (type === B.ReadyForQuery) return Reply.outOfStep;
        this.#frames.cursor += 1;
        this.mode = 'query';
        this.queryBegan = true;
        return this.#query(type);
      case F.Parse:
        return this.#answered(type, B.ParseComplete, Reply.parsed);
      case F.Bind:
        return this.#answered(type, B.BindComplete, Reply.bound);
      case F.Close:
        return this.#answered(type, B.CloseComplete, Reply.closed);
      case F.Describe:
        return this.#described(type);
      case F.Execute:
        return this.#executed(type);
      case F.Sync:
        return this.#synced(type);
      default:
        return Reply.outOfStep;
    }
  }

  #answered(type: number, expected: number, reply: Reply): Reply {
    if (type === B.ErrorResponse) return this.#failed();
    if (type !== expected) return Reply.outOfStep;
    this.#frames.cursor += 1;
    return reply;
  }

  #described(type: number): Reply {
    if (type === B.ErrorResponse) return this.#failed();
    if (type === B.ParameterDescription) return Reply.part;
    if (type !== B.RowDescription && type !== B.NoData) return Reply.outOfStep;
    this.#frames.cursor += 1;
    return Reply.part;
  }

  #executed(type: number): Reply {
    switch (type) {
      case B.ErrorResponse:
        return this.#failed();
      case B.CommandComplete:
      case B.EmptyQueryResponse:
      case B.PortalSuspended:
        this.#frames.cursor += 1;
        return Reply.statementDone;
      case B.CopyInResponse:
        this.#frames.cursor += 1;
        this.mode = 'copyInExecute';
        return Reply.part;
      case B.DataRow:
      case B.CopyOutResponse:
      case B.CopyData:
      case B.CopyDone:
        return Reply.part;
      default:
        return Reply.outOfStep;
    }
  }

  /** The commit of what the group did implicitly happens at Sync, and can fail there. */
  #synced(type: number): Reply {
    if (type === B.ErrorResponse) return Reply.failed;
    if (type !== B.ReadyForQuery) return Reply.outOfStep;
    this.#frames.cursor += 1;
    return this.#finished();
  }

  #query(type: number): Reply {
    switch (type) {
      case B.CommandComplete:
      case B.EmptyQueryResponse:
      case B.FunctionCallResponse:
        return Reply.statementDone;
      case B.ErrorResponse:
        return Reply.failed;
      case B.ReadyForQuery:
        return this.#finished();
      case B.CopyInResponse:
        this.mode = 'copyInQuery';
        return Reply.part;
      case B.RowDescription:
      case B.DataRow:
      case B.CopyOutResponse:
      case B.CopyData:
      case B.CopyDone:
        return Reply.part;
      default:
        return Reply.outOfStep;
    }
  }

  #copyIn(type: number, afterDone: ServerMode, afterError: ServerMode): Reply {
    if (type !== B.CommandComplete && type !== B.ErrorResponse) return Reply.outOfStep;
    const failed = type === B.ErrorResponse;
    this.#frames.cursor =
      failed && afterError === 'skipping' ? this.#copyFailedAt() : this.#copyEnd(this.#frames.cursor, false);
    this.mode = failed ? afterError : afterDone;
    return failed ? Reply.failed : Reply.statementDone;
  }

  /** Index after the copy that begins at `index`: through CopyDone or CopyFail, or all there is yet. */
  #copyEnd(index: number, withIncomplete: boolean): number {
    const frames = this.#frames;
    let at = index;
    while (at < frames.count && isCopyTime(frames.at(at).type) && (withIncomplete || frames.at(at).complete)) {
      at += 1;
      if (endsCopy(frames.at(at - 1).type)) break;
    }
    return at;
  }

  /**
   * A COPY begun by Execute failed. The server had read on into the copy data, or waited for more having read all: the Syncs before
   * the first copy message were swallowed, the next one after it ends the exchange.
   */
  #copyFailedAt(): number {
    const frames = this.#frames;
    let at = frames.cursor;
    while (at < frames.count && (frames.at(at).type === F.Sync || frames.at(at).type === F.Flush)) at += 1;
    return at < frames.count && isCopyData(frames.at(at).type) && frames.at(at).complete ? at + 1 : at;
  }

  #failed(): Reply {
    this.#frames.cursor += 1;
    this.mode = 'skipping';
    return Reply.failed;
  }

  /** The exchange ends at the Sync; `cursor` stays where the skipping began until `endSkip`. */
  #readyAfterSkip(): Reply {
    const frames = this.#frames;
    let at = frames.cursor;
    while (at < frames.count && frames.at(at).type !== F.Sync) at += 1;
    if (at === frames.count || !frames.at(at).complete) return Reply.outOfStep;
    this.skippedFrom = frames.cursor;
    frames.cursor = at + 1;
    return this.#finished();
  }

  /** Copy messages outside a copy are eaten in silence: those sent by now belong to what just ended. */
  #finished(): Reply {
    if (this.mode !== 'skipping') this.skippedFrom = -1;
    this.mode = 'ready';
    this.passStrays();
    return Reply.ready;
  }

  passStrays(): void {
    const frames = this.#frames;
    while (frames.cursor < frames.count && isCopyData(frames.at(frames.cursor).type)) {
      if (!frames.at(frames.cursor).complete) break;
      frames.cursor += 1;
    }
  }

  /** The next frame that has a reply. The server reads a message whole before it goes on, so none lies beyond one still coming in. */
  #next(): ClientFrame | null {
    const frames = this.#frames;
    while (frames.cursor < frames.count) {
      const frame = frames.at(frames.cursor);
      if (!frame.complete) return null;
      if (hasReply(frame.type)) return frame;
      frames.cursor += 1;
    }
    return null;
  }
}

export function endsExchange(type: number): boolean {
  return type === F.Query || type === F.Sync || type === F.FunctionCall;
}

export function isCopyData(type: number): boolean {
  return type === F.CopyData || type === F.CopyDone || type === F.CopyFail;
}

/** Flush, copy messages and types we do not know are passed over. */
export function hasReply(type: number): boolean {
  switch (type) {
    case F.Query:
    case F.Parse:
    case F.Bind:
    case F.Describe:
    case F.Execute:
    case F.Close:
    case F.Sync:
    case F.FunctionCall:
      return true;
    default:
      return false;
  }
}

function endsCopy(type: number): boolean {
  return type === F.CopyDone || type === F.CopyFail;
}

function isCopyTime(type: number): boolean {
  return isCopyData(type) || type === F.Sync || type === F.Flush;
}
