// The texts of the statements in a Query, one after the other, read no further than asked: each text once, however many there are.
import { statementsOf } from './sql-tokens.ts';

export class StatementTexts {
  #statements: Generator<string> | null = null;
  #next = 0;
  #text: string | null = null;

  /** Another Query, whose text is not looked at yet. */
  reset(): void {
    this.#statements = null;
    this.#next = 0;
    this.#text = null;
  }

  /** The statement with this index; `sql` gives the whole text. Asked in ascending order; null when there is none, or not at hand. */
  at(index: number, sql: () => string | null): string | null {
    if (this.#statements === null) {
      const text = sql();
      if (text === null) return null;
      this.#statements = statementsOf(text);
    }
    while (this.#next <= index) {
      const { value, done } = this.#statements.next();
      this.#text = done === true ? null : value;
      this.#next += 1;
    }
    return this.#text;
  }
}
