// A database of its own for each test, and names that no other test uses.
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import type { PostgresAddress } from './servers.ts';

export interface TestDatabase {
  readonly name: string;
  readonly url: string;
  drop(): Promise<void>;
}

/** Whatever runs a function at the end: a test context of node:test, or `{ after }` from it for a whole file. */
export interface CleanUp {
  after(work: () => Promise<void>): void;
}

/** A name that no other test, file or run uses: fit for topics, groups, databases, roles (lower case, at most 63 characters). */
export function uniqueName(prefix: string): string {
  return `${prefix}-${process.pid.toString(36)}${randomBytes(4).toString('hex')}`;
}

/** Makes a database. It is dropped at the end of what `cleanUp` stands for, even with sessions still connected. */
export async function createDatabase(server: PostgresAddress, cleanUp?: CleanUp): Promise<TestDatabase> {
  const name = uniqueName('test').replaceAll('-', '_');
  await execute(server.url, `CREATE DATABASE ${name}`);
  const url = new URL(server.url);
  url.pathname = `/${name}`;
  const drop = (): Promise<void> => execute(server.url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  cleanUp?.after(drop);
  return { name, url: url.href, drop };
}

/** Runs statements, one after another, on a connection of their own. */
export async function execute(url: string, ...statements: string[]): Promise<void> {
  await withClient(url, async (client) => {
    for (const statement of statements) await client.query(statement);
  });
}

/** Connects, hands the client over, and closes it whatever happens. */
export async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 30_000 });
  client.on('error', () => {}); // A connection that dies under the test shows in the query that was waiting.
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => {});
  }
}
