// What exposure and filters came to, since the settings in force were: of the sessions that said something, and of their transactions.

export class ExposureCounts {
  readonly sessions = { seen: 0, played: 0 };
  readonly transactions = { seen: 0, played: 0 };
  /** Of the settings; sessions are counted once in each. */
  generation = 0;

  reset(): void {
    this.generation += 1;
    Object.assign(this.sessions, { seen: 0, played: 0 });
    Object.assign(this.transactions, { seen: 0, played: 0 });
  }

  session(played: boolean): void {
    this.sessions.seen += 1;
    if (played) this.sessions.played += 1;
  }

  transaction(played: boolean): void {
    this.transactions.seen += 1;
    if (played) this.transactions.played += 1;
  }
}
