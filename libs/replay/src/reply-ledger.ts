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
//   Parse, Bind, Describe, Execute and Close are answered by one ending reply each, in order: where some are unanswered, an error is theirs
import { B, F } from '@mirrorstream/pg-wire';

type MarkerKind = 'query' | 'functionCall' | 'sync' | 'copyEnd';

interface Marker {
  readonly kind: MarkerKind;
  readonly flight: number;
  /** Extended-protocol messages that went out before it, after the marker before, and are not answered: an error is theirs. */
  extended: number;
}

export type LedgerMode = 'normal' | 'copyIn' | 'discarding';

/** What to send so that the mirror goes on although production's client would not have had to. */
export type Remedy = 'copyFail' | 'copyFailAndSync' | 'sync';

export class ReplyLedger {
  #mode: LedgerMode = 'normal';
  #markers: Marker[] = [];
  /** Unanswered extended-protocol messages since the last marker. */
  #extended = 0;

  get mode(): LedgerMode {
    return this.#mode;
  }

  reset(): void {
    this.#mode = 'normal';
    this.#markers = [];
    this.#extended = 0;
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
        if (this.#mode === 'copyIn' || this.#markers.length > 0 || this.#extended > 0) this.#push('copyEnd', flight);
        return;
      case F.Parse:
      case F.Bind:
      case F.Describe:
      case F.Execute:
      case F.Close:
        if (this.#mode !== 'discarding' || this.#has('sync')) this.#extended += 1;
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
      case B.ParseComplete:
      case B.BindComplete:
      case B.CloseComplete:
      case B.NoData:
      case B.RowDescription:
      case B.EmptyQueryResponse:
      case B.PortalSuspended:
        this.#answered();
        return;
      case B.CommandComplete:
        if (this.#mode === 'copyIn') {
          this.#mode = 'normal';
          this.#dropFirst('copyEnd');
        }
        this.#answered();
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

  #push(kind: MarkerKind, flight: number): void {
    if (kind === 'copyEnd') {
      this.#markers.push({ kind, flight, extended: 0 });
      return;
    }
    this.#markers.push({ kind, flight, extended: this.#extended });
    this.#extended = 0;
  }

  /** What the server answers next: everything before the first marker, then the marker. */
  #next(): Marker | undefined {
    const first = this.#markers[0];
    return first?.kind === 'copyEnd' ? this.#markers.find((marker) => marker.kind !== 'copyEnd') : first;
  }

  #answered(): void {
    const next = this.#next();
    if (next === undefined) this.#extended = Math.max(0, this.#extended - 1);
    else if (next.extended > 0) next.extended -= 1;
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
    const swallowed = (marker: Marker, at: number) => at >= from && at < until && marker.kind === 'sync';
    const extended = this.#markers.filter(swallowed).reduce((sum, marker) => sum + marker.extended, 0);
    this.#markers = this.#markers.filter((marker, at) => !swallowed(marker, at));
    const next = this.#next();
    if (next === undefined) this.#extended += extended;
    else next.extended += extended;
  }

  #fail(): void {
    const inCopy = this.#mode === 'copyIn';
    if (inCopy) this.#dropFirst('copyEnd');
    const next = this.#next();
    const unanswered = next === undefined ? this.#extended : next.extended;
    if (unanswered > 0 || next?.kind === 'sync' || (inCopy && next === undefined)) this.#discard();
    else this.#mode = 'normal';
  }

  #discard(): void {
    this.#mode = 'discarding';
    const sync = this.#markers.findIndex((marker) => marker.kind === 'sync');
    if (sync < 0) this.#extended = 0;
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
