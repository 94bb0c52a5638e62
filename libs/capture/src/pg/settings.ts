// The settings of a session that differ from its start: SET and RESET as confirmed by their tags, undone with their transaction, and
// the parameters the server reports.
import type { SettingDraft } from '@mirrorstream/envelope';
import { firstTokens, type SqlToken } from './sql-tokens.ts';

export type SettingChange =
  | { readonly kind: 'set'; readonly name: string; readonly sql: string }
  | { readonly kind: 'reset'; readonly name: string }
  | { readonly kind: 'resetAll' };

export interface SettingLimits {
  readonly maxSettings: number;
  readonly maxSettingBytes: number;
}

/** Parameters a server reports are a dozen or two; one that reports more is no PostgreSQL we know. */
const MAX_REPORTED = 64;
const MAX_REPORTED_LENGTH = 1024;
/** What is read of a SET; its value may be longer. */
const MAX_TOKENS = 12;

/** Reported, but not for a client to set; session_authorization is taken from the SQL. */
const notSettable = new Set([
  'is_superuser',
  'server_version',
  'server_encoding',
  'integer_datetimes',
  'in_hot_standby',
  'session_authorization',
]);

/** What a SET or RESET statement does for the rest of the session; null: nothing (SET LOCAL, SET TRANSACTION), or not understood. */
export function settingChangeOf(statement: string): SettingChange | null {
  const sql = statement.trim();
  const tokens = firstTokens(sql, MAX_TOKENS);
  const verb = tokens[0]?.value;
  if (verb === 'reset') return resetOf(tokens.slice(1));
  if (verb !== 'set') return null;
  const scoped = tokens[1]?.value;
  if (scoped === 'local' || scoped === 'transaction' || scoped === 'constraints') return null;
  // SESSION is a scope, unless AUTHORIZATION or CHARACTERISTICS follows.
  const rest = tokens.slice(scoped === 'session' && !isSessionClause(tokens[2]) ? 2 : 1);
  const { name, valueAt } = nameOf(rest);
  if (name === '') return null;
  const value = rest[valueAt]?.value;
  const restores = rest[valueAt]?.kind === 'word' && (value === 'default' || (name === 'role' && value === 'none'));
  return restores ? { kind: 'reset', name } : { kind: 'set', name, sql };
}

function isSessionClause(token: SqlToken | undefined): boolean {
  return token?.value === 'authorization' || token?.value === 'characteristics';
}

function resetOf(tokens: readonly SqlToken[]): SettingChange | null {
  if (tokens[0]?.kind === 'word' && tokens[0].value === 'all') return { kind: 'resetAll' };
  if (tokens[0]?.value === 'transaction') return null;
  const { name } = nameOf(tokens);
  return name === '' ? null : { kind: 'reset', name };
}

const spelledOut: Readonly<Record<string, string>> = {
  'time zone': 'timezone',
  'session authorization': 'session_authorization',
  'xml option': 'xmloption',
};

/** The setting's name, lower case, and where its value begins. The grammar's special spellings give the setting they stand for. */
function nameOf(tokens: readonly SqlToken[]): { readonly name: string; readonly valueAt: number } {
  const first = tokens[0];
  if (first === undefined || (first.kind !== 'word' && first.kind !== 'name')) return { name: '', valueAt: 0 };
  const pair = `${first.value} ${tokens[1]?.value ?? ''}`;
  const special = spelledOut[pair];
  if (special !== undefined) return { name: special, valueAt: 2 };
  if (pair === 'session characteristics') return { name: characteristicsName(tokens), valueAt: 4 };
  if (first.value === 'names') return { name: 'client_encoding', valueAt: 1 };
  if (first.value === 'schema' && tokens[1]?.kind === 'literal') return { name: 'search_path', valueAt: 1 };
  if (first.value === 'role')
    return { name: 'role', valueAt: tokens[1]?.value === 'to' || tokens[1]?.value === '=' ? 2 : 1 };
  if (tokens[1]?.value === '.') return { name: `${first.value}.${tokens[2]?.value ?? ''}`.toLowerCase(), valueAt: 4 };
  return { name: first.value.toLowerCase(), valueAt: 2 };
}

/** One clause stands for one default_transaction_ setting; several together are kept as one. */
function characteristicsName(tokens: readonly SqlToken[]): string {
  const words = new Set(tokens.map((token) => token.value));
  const names = [
    ...(words.has('isolation') ? ['default_transaction_isolation'] : []),
    ...(words.has('only') || words.has('write') ? ['default_transaction_read_only'] : []),
    ...(words.has('deferrable') ? ['default_transaction_deferrable'] : []),
  ];
  return names.length === 1 ? (names[0] as string) : 'session characteristics';
}

/** What set_config(name, value, false) does: its result is the value. Right for settings that are lists, too. */
export function setConfigChangeOf(spelling: string, value: string): SettingChange {
  const sql = `SELECT pg_catalog.set_config(${quoted(spelling)}, ${quoted(value)}, false)`;
  return { kind: 'set', name: spelling.toLowerCase(), sql };
}

function quoted(text: string): string {
  const literal = `'${text.replaceAll("'", "''")}'`;
  return text.includes('\\') ? `E${literal.replaceAll('\\', '\\\\')}` : literal;
}

/** The name a SAVEPOINT, RELEASE or ROLLBACK TO statement gives; '' when it names none (a ROLLBACK of the transaction). */
export function savepointNameOf(statement: string): string {
  const tokens = firstTokens(statement, 6);
  const verb = tokens[0]?.value;
  if (verb === 'savepoint') return tokens[1]?.value ?? '';
  if (verb === 'release') return tokens[tokens[1]?.value === 'savepoint' ? 2 : 1]?.value ?? '';
  const to = tokens.findIndex((token) => token.kind === 'word' && token.value === 'to');
  if (verb !== 'rollback' || to < 0) return '';
  return tokens[tokens[to + 1]?.value === 'savepoint' ? to + 2 : to + 1]?.value ?? '';
}

type Kept = { readonly sql: string; readonly reported: string | undefined };

/** Tracks one session's settings as committed. */
export class SettingsTracker {
  /** A setting is in force that there was no room for: what is said to be in force is not all. */
  overflowed = false;
  readonly #limits: SettingLimits;
  readonly #kept = new Map<string, Kept>();
  #keptBytes = 0;
  /** Reported parameters as they were when the session became ready, and as they are. */
  readonly #initial = new Map<string, string>();
  readonly #reported = new Map<string, { readonly spelling: string; readonly value: string }>();
  #current: readonly SettingDraft[] | null = [];

  constructor(limits: SettingLimits) {
    this.#limits = limits;
  }

  /** What is in force now. The same array until something changes. */
  get inForce(): readonly SettingDraft[] {
    this.#current ??= this.#build();
    return this.#current;
  }

  /** Bytes kept of SET statements, at most maxSettingBytes. */
  get sizeBytes(): number {
    return this.#keptBytes;
  }

  /** A ParameterStatus; `starting` while the session is not ready yet. */
  report(spelling: string, value: string, starting: boolean): void {
    const name = spelling.toLowerCase();
    if (notSettable.has(name)) return;
    const fits = name.length <= MAX_REPORTED_LENGTH && value.length <= MAX_REPORTED_LENGTH;
    if (starting) {
      if (fits && this.#initial.size < MAX_REPORTED) this.#initial.set(name, value);
      return;
    }
    const hasRoom = this.#reported.size < MAX_REPORTED || this.#reported.has(name);
    if (!hasRoom || !fits) {
      this.overflowed = true;
      return;
    }
    this.#reported.set(name, { spelling, value });
    this.#current = null;
  }

  /** Reports were missed: those that came before count no longer, once the settings are known to be reset. */
  forgetReported(): void {
    this.#reported.clear();
    this.#current = null;
  }

  /** A change that is committed. */
  apply(change: SettingChange): void {
    this.#current = null;
    switch (change.kind) {
      case 'resetAll':
        // Not reset by it: GUC_NO_RESET_ALL in the server's guc_tables.c.
        for (const name of this.#kept.keys()) if (name !== 'role' && name !== 'session_authorization') this.#drop(name);
        this.overflowed = false;
        return;
      case 'reset':
        this.#drop(change.name);
        if (change.name === 'session_authorization') this.#drop('role');
        return;
      case 'set':
        if (change.name === 'session_authorization') this.#drop('role');
        this.#keep(change.name, change.sql);
        return;
      default:
        change satisfies never;
    }
  }

  discardAll(): void {
    for (const name of this.#kept.keys()) this.#drop(name);
    this.overflowed = false;
    this.#current = null;
  }

  /** The newest comes last: a later SET may need what an earlier one allowed. */
  #keep(name: string, sql: string): void {
    this.#drop(name);
    const { maxSettings, maxSettingBytes } = this.#limits;
    const sizeBytes = costOf(name, sql);
    if (this.#kept.size >= maxSettings || this.#keptBytes + sizeBytes > maxSettingBytes) {
      this.overflowed = true;
      return;
    }
    this.#keptBytes += sizeBytes;
    this.#kept.set(name, { sql, reported: this.#reported.get(name)?.value });
  }

  #drop(name: string): void {
    const kept = this.#kept.get(name);
    if (kept === undefined) return;
    this.#keptBytes -= costOf(name, kept.sql);
    this.#kept.delete(name);
  }

  /** A reported value that changed after the SET was confirmed (set_config, ALTER ROLE … SET) takes its place. */
  #build(): readonly SettingDraft[] {
    const settings: SettingDraft[] = [];
    for (const [name, { sql, reported }] of this.#kept) {
      const now = this.#reported.get(name)?.value;
      if (now === reported) settings.push({ name, sql });
    }
    for (const [name, { spelling, value }] of this.#reported) {
      const kept = this.#kept.get(name);
      if (kept !== undefined ? kept.reported === value : value === this.#initial.get(name)) continue;
      settings.push({ name, sql: reportedSql(spelling, name, value) });
    }
    return settings;
  }
}

/** At most three bytes of UTF-8 for a UTF-16 unit. */
function costOf(name: string, sql: string): number {
  return (name.length + sql.length) * 3;
}

/** search_path is reported as the quoted list that SET takes; all others are one value. */
function reportedSql(spelling: string, name: string, value: string): string {
  return `SET ${spelling} TO ${name === 'search_path' ? value : `'${value.replaceAll("'", "''")}'`}`;
}
