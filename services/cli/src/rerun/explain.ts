// Asks a server how it would run a statement, with the parameters it was sent with: EXPLAIN without ANALYZE, in a read-only transaction.
import { decodeAnswer } from '@mirrorstream/compare';
import type { SessionContext } from '@mirrorstream/envelope';
import type { FrontendMessage } from '@mirrorstream/pg-wire';
import type { TransactionCommand } from '@mirrorstream/sql';
import type { SentStatement } from '../inspect/request-reading.ts';
import { RawSession, type RawTarget } from './raw-session.ts';

export type Explained =
  | { readonly plan: unknown; readonly serverVersion: string }
  /** `why` never holds a value. */
  | { readonly why: string };

const planTimeoutMs = 10_000;
const lockTimeoutMs = 1_000;
const maxPlanChars = 4 * 1024 * 1024;
const prefix = 'EXPLAIN (FORMAT JSON) ';

/** What cannot be explained, before anything is sent; null: it can. */
export function whyNotExplained(
  statement: SentStatement,
  commands: readonly TransactionCommand[] | null,
): string | null {
  if (statement.sql === '') return 'its text was never captured';
  if (commands === null) return 'its text does not parse';
  if (commands.length !== 1) return `its text holds ${commands.length} statements`;
  if (
    !/^(?:\s|--[^\n]*\n|\/\*[\s\S]*?\*\/|\()*(?:select|with|insert|update|delete|merge|values|table)\b/i.test(
      statement.sql,
    )
  )
    return 'only SELECT, INSERT, UPDATE, DELETE, MERGE and VALUES have plans';
  return null;
}

/** Errors: as openTarget. */
export async function explain(
  target: Omit<RawTarget, 'statementTimeoutMs'>,
  statement: SentStatement,
): Promise<Explained> {
  const session = await RawSession.open({ ...target, statementTimeoutMs: planTimeoutMs });
  try {
    for (const sql of settingsOf(target.context)) await session.query(sql);
    await session.query('BEGIN READ ONLY');
    await session.query(`SET LOCAL statement_timeout = ${planTimeoutMs}`);
    await session.query(`SET LOCAL lock_timeout = ${lockTimeoutMs}`);
    const answer = decodeAnswer(
      { bytes: await session.ask(...requestOf(statement)), statement: 0, truncated: false },
      { maxRows: 1, maxCellChars: maxPlanChars },
    );
    await session.query('ROLLBACK');
    if (answer.error !== null) return { why: `the server refused it with ${answer.error.sqlState}` };
    return { plan: JSON.parse(answer.rows[0]?.[0] ?? ''), serverVersion: session.serverVersion };
  } catch (error) {
    if (error instanceof SyntaxError) return { why: 'the server answered with no plan' };
    throw error;
  } finally {
    session.close();
  }
}

const settingsOf = ({ settings }: SessionContext): readonly string[] => settings.map(({ sql }) => sql);

function requestOf({ kind, sql, parameterTypes, parameters }: SentStatement): readonly FrontendMessage[] {
  const query = prefix + sql;
  if (kind === 'query') return [{ kind: 'query', query }];
  return [
    { kind: 'parse', statement: '', query, parameterTypes },
    {
      kind: 'bind',
      portal: '',
      statement: '',
      parameterFormats: parameters.map(({ format }) => format),
      parameters: parameters.map(({ value }) => value),
      resultFormats: [0],
    },
    { kind: 'describe', target: 'P', name: '' },
    { kind: 'execute', portal: '', maxRows: 1 },
    { kind: 'sync' },
  ];
}
