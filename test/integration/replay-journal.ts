// Traffic whose traces on a mirror tell what ran there, how often, and in which order: each session appends its own numbers.
import assert from 'node:assert/strict';
import { execute, seededRandom, withClient } from '@mirrorstream/testkit';
import pg from 'pg';

export interface JournalEntry {
  readonly session: number;
  readonly n: number;
}

export async function createJournal(...urls: readonly string[]): Promise<void> {
  for (const url of urls) await execute(url, 'CREATE TABLE journal (id bigserial, session int, n int)');
}

/** In the order in which the server ran them. */
export async function readJournal(url: string): Promise<readonly JournalEntry[]> {
  const { rows } = await withClient(url, (client) =>
    client.query<JournalEntry>('SELECT session, n FROM journal ORDER BY id'),
  );
  return rows;
}

/** Sessions that live until `close`; each of their transactions appends one number. */
export class JournalWriter {
  readonly #clients: readonly pg.Client[];
  readonly #random: ReturnType<typeof seededRandom>;
  readonly #written: number[];

  private constructor(clients: readonly pg.Client[], seed: number) {
    this.#clients = clients;
    this.#random = seededRandom(seed);
    this.#written = clients.map(() => 0);
  }

  static async open(
    url: string,
    options: { readonly sessions: number; readonly seed: number },
  ): Promise<JournalWriter> {
    const clients = Array.from({ length: options.sessions }, () => new pg.Client({ connectionString: url }));
    // A test that failed ends the proxy first.
    for (const client of clients) client.on('error', () => undefined);
    await Promise.all(clients.map((client) => client.connect()));
    return new JournalWriter(clients, options.seed);
  }

  /** Transactions so far, over all sessions. */
  get transactions(): number {
    return this.#written.reduce((sum, n) => sum + n, 0);
  }

  /** So many transactions in each session, side by side. */
  async write(transactions: number): Promise<void> {
    await Promise.all(
      this.#clients.map(async (client, session) => {
        for (let i = 0; i < transactions; i++) await this.#append(client, session, this.#random.integer(0, 3));
      }),
    );
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.end()));
  }

  async #append(client: pg.Client, session: number, how: number): Promise<void> {
    const n = (this.#written[session] ?? 0) + 1;
    this.#written[session] = n;
    const insert = 'INSERT INTO journal (session, n) VALUES';
    if (how === 0) await client.query(`${insert} (${session}, ${n})`);
    else if (how === 1) await client.query({ name: 'append', text: `${insert} ($1, $2)`, values: [session, n] });
    else {
      await client.query('BEGIN');
      await client.query(`${insert} (${session}, ${n})`);
      await client.query('COMMIT');
    }
  }
}

export interface JournalAllowance {
  /** Numbers that may be missing: their transactions failed on the mirror. */
  readonly missing: number;
  /** How far a session may go back when its transactions are played again: 0 when nobody was killed. */
  readonly window: number;
  /** How often a session may go back. */
  readonly returns: number;
}

/** Each session's numbers come in its order; what is missing or repeated is what the test allows. Returns the number of repeats. */
export function checkJournal(
  source: readonly JournalEntry[],
  mirror: readonly JournalEntry[],
  allowance: JournalAllowance,
): number {
  const expected = bySession(source);
  const found = bySession(mirror);
  let missing = 0;
  let repeats = 0;
  for (const [session, numbers] of expected) {
    const ran = found.get(session) ?? [];
    const distinct = new Set(ran);
    missing += numbers.filter((n) => !distinct.has(n)).length;
    repeats += ran.length - distinct.size;
    const steps = ran.flatMap((n, at) =>
      at > 0 && n <= (ran[at - 1] as number) ? [(ran[at - 1] as number) - n + 1] : [],
    );
    assert.ok(steps.length <= allowance.returns, `session ${session} went back ${steps.length} times: ${ran}`);
    for (const step of steps) assert.ok(step <= allowance.window, `session ${session} went back by ${step}: ${ran}`);
  }
  for (const session of found.keys()) assert.ok(expected.has(session), `session ${session} is none of the source's`);
  assert.ok(missing <= allowance.missing, `${missing} are missing, ${allowance.missing} failed`);
  return repeats;
}

function bySession(entries: readonly JournalEntry[]): ReadonlyMap<number, readonly number[]> {
  const sessions = new Map<number, number[]>();
  for (const { session, n } of entries) {
    const numbers = sessions.get(session) ?? [];
    numbers.push(n);
    sessions.set(session, numbers);
  }
  return sessions;
}
