// Connections without a session, kept for the next one that fits: logged in as its user, to its database, with its start-up parameters.
import type { TargetConnection } from '@mirrorstream/pg-target';

interface Parked {
  readonly key: string;
  readonly connection: TargetConnection;
}

export class ParkedConnections {
  readonly #onClosing: (connection: TargetConnection) => void;
  /** The oldest first. */
  readonly #parked = new Set<Parked>();

  /** `onClosing`: one left, and is not closed yet. */
  constructor(onClosing: (connection: TargetConnection) => void) {
    this.#onClosing = onClosing;
  }

  get size(): number {
    return this.#parked.size;
  }

  park(key: string, connection: TargetConnection): void {
    const parked = { key, connection };
    this.#parked.add(parked);
    connection.rebind({
      // Nobody reads along: whoever came next could begin in the middle of a message.
      onBytes: () => this.#close(parked),
      onLost: () => this.#parked.delete(parked) && this.#onClosing(connection),
    });
  }

  /** The newest that fits: the others may go. */
  take(key: string): TargetConnection | null {
    let found: Parked | null = null;
    for (const parked of this.#parked) if (parked.key === key) found = parked;
    if (found === null) return null;
    this.#parked.delete(found);
    return found.connection;
  }

  closeOldest(): void {
    const [oldest] = this.#parked;
    if (oldest !== undefined) this.#close(oldest);
  }

  closeAll(): void {
    for (const parked of [...this.#parked]) this.#close(parked);
  }

  #close(parked: Parked): void {
    if (!this.#parked.delete(parked)) return;
    parked.connection.close();
    this.#onClosing(parked.connection);
  }
}
