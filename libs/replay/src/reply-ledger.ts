// Which answers the mirror still owes: follows the protocol's rules of who gets a ReadyForQuery, on the mirror's own course of events.
//
// Production's course can differ. A COPY that production refused at once and the mirror accepts swallows a Sync; an error that only the
// mirror has makes it discard a Query. Counting production's ReadyForQuerys would then wait for ever, or be one answer off from there
// on. Source: manual, "Message Flow", and exec_* with ignore_till_sync in PostgreSQL's postgres.c.
//
//   Query, FunctionCall, Sync   one ReadyForQuery each, but
//   after an ErrorResponse to an extended-protocol message everything up to Sync is discarded
//   between CopyInResponse and CopyDone or CopyFail, Sync is swallowed
//   CopyData, CopyDone, CopyFail outside COPY are ignored
import { B, F } from '@mirrorstream/pg-wire';

type MarkerKind = 'query' | 'functionCall' | 'sync' | 'copyEnd';

interface Marker {
  readonly kind: MarkerKind;
  readonly flight: number;
  /** Extended-protocol messages went out since the marker before: an error can be theirs. */
  readonly afterExtended: boolean;
}

/**
 * `uncertain`: an error came that either ends a Query or belongs to an extended message before it; a ReadyForQuery that follows says it
 * was the Query.
 */
export type LedgerMode = 'normal' | 'copyIn' | 'discarding' | 'uncertain';

/** What to send so that the mirror goes on although production's client would not have had to. */
export type Remedy = 'copyFail' | 'copyFailAndSync' | 'sync';

export class ReplyLedger {
  #mode: LedgerMode = 'normal';
  #markers: Marker[] = [];
  #extendedOpen = false;

  get mode(): LedgerMode {
    return this.#mode;
  }

  reset(): void {
    this.#mode = 'normal';
    this.#markers = [];
    this.#extendedOpen = false;
  }

  /** A frontend frame goes out on behalf of the flight. */
  sent(type: number, flight: number): void {
    switch (type) {
      case F.Query:
      case F.FunctionCall:
        if (this.#mode !== 'discarding' || this.#has('sync'))
          this.#push(type === F.Query ? 'query' : 'functionCall', flight);
        return;
      case F.Sync:
        if (this.#mode !== 'copyIn' || this.#has('copyEnd')) this.#push('sync', flight);
        return;
      case F.CopyDone:
      case F.CopyFail:
        if (this.#mode === 'copyIn' || this.#markers.length > 0 || this.#extendedOpen) this.#push('copyEnd', flight);
        return;
      case F.Parse:
      case F.Bind:
      case F.Describe:
      case F.Execute:
      case F.Close:
        this.#extendedOpen = true;
        return;
      default:
    }
  }

  /** A backend frame came. */
  received(type: number): void {
    switch (type) {
      case B.CopyInResponse:
        this.#enterCopy();
        return;
      case B.CommandComplete:
        if (this.#mode !== 'copyIn') return;
        this.#mode = 'normal';
        this.#dropFirst('copyEnd');
        return;
      case B.ErrorResponse:
        this.#fail();
        return;
      case B.ReadyForQuery:
        this.#ready();
        return;
      default:
    }
  }

  /** Whether an answer to this flight, which must be the oldest, is still to come. */
  owes(flight: number): boolean {
    return this.#markers[0]?.flight === flight;
  }

  /** Asked when everything of the oldest flight went out: what is missing for the mirror to go on, or null. */
  remedy(): Remedy | null {
    if (this.#mode === 'copyIn' && !this.#has('copyEnd'))
      return this.#markers[0]?.kind === 'query' || this.#has('sync') ? 'copyFail' : 'copyFailAndSync';
    return this.#mode === 'discarding' && !this.#has('sync') ? 'sync' : null;
  }

  /** No ReadyForQuery followed the doubtful error: it was an extended message's. */
  settleUncertain(): void {
    if (this.#mode === 'uncertain') this.#discard();
  }

  #push(kind: MarkerKind, flight: number): void {
    this.#markers.push({ kind, flight, afterExtended: this.#extendedOpen });
    if (kind !== 'copyEnd') this.#extendedOpen = false;
  }

  #has(kind: MarkerKind): boolean {
    return this.#markers.some((marker) => marker.kind === kind);
  }

  #dropFirst(kind: MarkerKind): void {
    const at = this.#markers.findIndex((marker) => marker.kind === kind);
    if (at >= 0) this.#markers.splice(at, 1);
  }

  /** Syncs that already went out before the end of the COPY data are swallowed. */
  #enterCopy(): void {
    this.#mode = 'copyIn';
    const from = this.#markers[0]?.kind === 'query' ? 1 : 0;
    const copyEnd = this.#markers.findIndex((marker) => marker.kind === 'copyEnd');
    const until = copyEnd < 0 ? this.#markers.length : copyEnd;
    this.#markers = this.#markers.filter((marker, at) => at < from || at >= until || marker.kind !== 'sync');
  }

  #fail(): void {
    const head = this.#markers.find((marker) => marker.kind !== 'copyEnd');
    const inCopy = this.#mode === 'copyIn';
    if (inCopy) this.#dropFirst('copyEnd');
    if (head !== undefined && head.kind !== 'sync') this.#mode = head.afterExtended && !inCopy ? 'uncertain' : 'normal';
    else if (head !== undefined || this.#extendedOpen || inCopy) this.#discard();
  }

  #discard(): void {
    this.#mode = 'discarding';
    const sync = this.#markers.findIndex((marker) => marker.kind === 'sync');
    this.#markers = sync < 0 ? [] : this.#markers.slice(sync);
  }

  #ready(): void {
    this.#mode = 'normal';
    this.#dropStaleCopyEnds();
    this.#markers.shift();
    this.#dropStaleCopyEnds();
  }

  /** The mirror ignores them outside COPY. */
  #dropStaleCopyEnds(): void {
    const at = this.#markers.findIndex((marker) => marker.kind !== 'copyEnd');
    this.#markers.splice(0, at < 0 ? this.#markers.length : at);
  }
}
