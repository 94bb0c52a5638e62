// What a client sent until it was authenticated, kept only to be blanked: a password must not lie in memory for as long as its session lasts.

/** An authentication sends less (PostgreSQL itself takes messages of at most 64 KiB there); what is beyond it is not kept track of. */
const maxBytes = 128 * 1024;

/** Of one session. Used until its first ReadyForQuery: what comes later costs nothing. */
export class Authentication {
  #sent: Uint8Array[] = [];
  #bytes = 0;

  /** Memory that nobody reads any more once all of it has been written. */
  keep(sent: Uint8Array): void {
    this.#bytes += sent.length;
    if (this.#bytes <= maxBytes) this.#sent.push(sent);
  }

  /** Nobody may be writing from that memory any more. */
  wipe(): void {
    for (const sent of this.#sent) sent.fill(0);
    this.#sent = [];
  }
}
