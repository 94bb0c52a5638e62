// After a gap capture may have found its place one exchange off, if the client sends without waiting: the first answers are looked at.
import { firstTokens } from './sql-tokens.ts';

/** So many statements in a row must be answered as their texts say. */
const STATEMENTS = 64;

/** First words whose tag is always the same. Others can be answered in several ways, or by a rule's statement. */
const tagOf: Readonly<Record<string, readonly string[]>> = {
  select: ['SELECT'],
  values: ['SELECT'],
  table: ['SELECT'],
  insert: ['INSERT', 'SELECT', 'UPDATE', 'DELETE'],
  update: ['UPDATE', 'SELECT', 'INSERT', 'DELETE'],
  delete: ['DELETE', 'SELECT', 'INSERT', 'UPDATE'],
  begin: ['BEGIN'],
  start: ['START'],
  commit: ['COMMIT', 'ROLLBACK'],
  end: ['COMMIT', 'ROLLBACK'],
  rollback: ['ROLLBACK'],
  abort: ['ROLLBACK'],
  savepoint: ['SAVEPOINT'],
  release: ['RELEASE'],
  set: ['SET'],
  reset: ['RESET'],
  show: ['SHOW'],
  copy: ['COPY'],
  fetch: ['FETCH'],
  declare: ['DECLARE'],
  prepare: ['PREPARE', 'ROLLBACK'],
  deallocate: ['DEALLOCATE'],
};

export class Probation {
  #left = 0;

  get isOn(): boolean {
    return this.#left > 0;
  }

  begin(): void {
    this.#left = STATEMENTS;
  }

  /** Whether a tag can be the answer to this text; null: the text is not at hand. */
  accepts(tag: string, sql: string | null): boolean {
    this.#left -= 1;
    const verb = sql === null ? '' : (firstTokens(sql, 1)[0]?.value ?? '');
    const expected = tagOf[verb];
    return expected === undefined || expected.includes(tag.split(' ', 1)[0] as string);
  }
}
