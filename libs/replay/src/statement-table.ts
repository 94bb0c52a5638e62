// The SQL behind what a session executes: prepared statements and portals by name, texts capped. For people, not for replay.

/** Longer texts are cut: a result names its statement, it does not store it. */
export const SQL_CAP_BYTES = 2 * 1024;

const DEFAULT_MAX_NAMES = 4096;

export class StatementTable {
  readonly #statements = new Map<string, string>();
  readonly #portals = new Map<string, string>();
  readonly #maxNames: number;

  constructor(maxNames = DEFAULT_MAX_NAMES) {
    this.#maxNames = maxNames;
  }

  parse(statement: string, sql: string): void {
    set(this.#statements, statement, sql, this.#maxNames);
  }

  bind(portal: string, statement: string): void {
    set(this.#portals, portal, this.#statements.get(statement) ?? '', this.#maxNames);
  }

  /** '' where its Parse was never seen. */
  textOfPortal(portal: string): string {
    return this.#portals.get(portal) ?? '';
  }

  hasStatement(statement: string): boolean {
    return this.#statements.has(statement);
  }

  closeStatement(statement: string): void {
    this.#statements.delete(statement);
  }

  closePortal(portal: string): void {
    this.#portals.delete(portal);
  }

  clear(): void {
    this.#statements.clear();
    this.#portals.clear();
  }
}

/** The oldest name leaves when there are too many: its text is then unknown, nothing else. */
function set(table: Map<string, string>, name: string, value: string, maxNames: number): void {
  if (table.size >= maxNames && !table.has(name)) {
    const oldest = table.keys().next().value;
    if (oldest !== undefined) table.delete(oldest);
  }
  table.set(name, value);
}
