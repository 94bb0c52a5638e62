// What calls of set_config and of the advisory lock functions change, from what they were given and what they gave.
import { QueryMark } from './query-marks.ts';
import { type CallArgument, callsOf, mentionsCall, type SessionCall } from './session-calls.ts';
import { Facet, type SessionState } from './session-state.ts';
import { setConfigChangeOf } from './settings.ts';
import { tokensOf } from './sql-tokens.ts';

/** Values of the statement's parameters, and the columns of its one row; null: not known. */
export interface CallValues {
  parameter(index: number): string | null;
  row(): readonly (string | null)[] | null;
}

const lockName = /^pg_(?:try_)?advisory_lock(?:_shared)?$/;
const unlockName = /^pg_advisory_unlock(?:_shared)?$/;
const anyLockCall = /pg_(?:try_)?advisory_lock/;
const anySetConfig = /set_config/;

/** A statement with such a mark completed. `values` null: it was no SELECT. */
export function applyCalls(state: SessionState, marks: number, sql: string | null, values: CallValues | null): void {
  const calls = sql === null || values === null ? null : callsOf(sql);
  const row = calls === null ? null : (values?.row() ?? null);
  if (calls !== null && values !== null && row !== null && row.length === calls.length) {
    calls.forEach((call, column) => {
      applyCall(state, call, values, row[column] ?? null);
    });
    return;
  }
  // More than such calls alone: what they did is not known, but that there may be something is.
  if ((marks & QueryMark.advisoryLock) !== 0 && (sql === null || mentionsCall(sql, anyLockCall, false)))
    state.locks.add(null);
  if ((marks & QueryMark.setConfig) !== 0 && (sql === null || setsForSession(sql)))
    state.journal.change({ kind: 'unknownSetting' });
}

/** Whether a statement that failed can have taken a lock before it did: a lone call that failed took none. */
export function mayHaveLocked(sql: string): boolean {
  return callsOf(sql)?.length !== 1 && mentionsCall(sql, anyLockCall, true);
}

function applyCall(state: SessionState, call: SessionCall, values: CallValues, result: string | null): void {
  const args = call.args.map((argument) => argumentText(argument, values));
  if (call.name === 'set_config') {
    applySetConfig(state, args, result);
    return;
  }
  if (call.name === 'pg_advisory_unlock_all') {
    state.settle(Facet.locks);
    return;
  }
  const takes = lockName.test(call.name);
  if (!takes && !unlockName.test(call.name)) return;
  if (result === 'f') return;
  const key = args.includes(null) ? null : `${call.name.endsWith('_shared') ? 'shared ' : ''}${args.join(',')}`;
  if (takes) state.locks.add(key);
  else if (key !== null) state.locks.release(key);
}

function applySetConfig(state: SessionState, args: readonly (string | null)[], result: string | null): void {
  const [name, , isLocal] = args;
  if (isLocal !== null && isLocal !== undefined && isTrue(isLocal)) return;
  const known = name !== null && name !== undefined && isLocal !== null && result !== null;
  state.journal.change(known ? setConfigChangeOf(name, result) : { kind: 'unknownSetting' });
}

function argumentText(argument: CallArgument, values: CallValues): string | null {
  if (argument.kind === 'text') return argument.text;
  return argument.kind === 'parameter' ? values.parameter(argument.parameter) : null;
}

/** As the server reads a bool: any beginning of `true`, `yes`, `on`, and 1. */
function isTrue(text: string): boolean {
  const value = text.trim().toLowerCase();
  return value !== '' && (value === '1' || value === 'on' || 'true'.startsWith(value) || 'yes'.startsWith(value));
}

/** Whether some call of set_config in the statement does not end in `, true)`: that one may last beyond the transaction. */
function setsForSession(sql: string): boolean {
  if (!mentionsCall(sql, anySetConfig, false)) return false;
  let depth = 0;
  let callDepth = -1;
  let before = '';
  for (const token of tokensOf(sql)) {
    if (token.kind === 'symbol' && token.value === '(') depth += 1;
    if (token.value === 'set_config') callDepth = depth;
    if (token.kind === 'symbol' && token.value === ')') {
      depth -= 1;
      if (depth === callDepth) {
        if (before !== 'true') return true;
        callDepth = -1;
      }
    }
    before = token.value;
  }
  return callDepth >= 0;
}

/** Whether a DO body holds a SET other than SET LOCAL, or an UPDATE's. */
export function changesSettingsInBody(sql: string): boolean {
  return /(?:^|[;$']|\b(?:begin|then|else|loop|declare))\s*(?:re)?set\s+(?!local\b)/i.test(sql);
}
