// Numbers and reasons in the words of people.
import type { Rate } from '@mirrorstream/findings';

export const formatCount = (count: number): string =>
  Math.round(count).toLocaleString('en-US').replaceAll(',', '\u2009');

export function formatUs(us: number): string {
  const size = Math.abs(us);
  if (size < 1_000) return `${trimmed(us)} µs`;
  if (size < 1_000_000) return `${trimmed(us / 1_000)} ms`;
  if (size < 120_000_000) return `${trimmed(us / 1_000_000)} s`;
  return size < 7_200_000_000 ? `${trimmed(us / 60_000_000)} min` : `${trimmed(us / 3_600_000_000)} h`;
}

const trimmed = (value: number): string => String(Number(value.toPrecision(3)));

export const formatShare = (share: number): string => `${trimmed(share * 100)} %`;
export const formatMoment = (ms: number): string =>
  new Date(ms)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, ' UTC');

/** `× 2.31 [2.1, 2.5]`. */
export const formatRatio = ({ value, low, high }: Rate): string =>
  Number.isFinite(value) ? `× ${trimmed(value)} [${trimmed(low)}, ${trimmed(high)}]` : 'not known';

export const classWords: Readonly<Record<string, string>> = {
  orderOnly: 'other order',
  collation: 'other text order',
  rowCount: 'other rows',
  value: 'other values',
  columns: 'other columns',
  commandTag: 'other command tag',
  errorNew: 'new error',
  errorGone: 'error gone',
  errorChanged: 'other error',
};

export const reasonWords: Readonly<Record<string, string>> = {
  volatile: 'differs by nature: the clock, chance',
  notStored: 'production’s answer was not captured',
  truncated: 'production’s answer was cut',
  unanswered: 'production never answered',
  skipped: 'both servers skipped it after an error',
  afterGap: 'capture missed something earlier in the session',
  sessionState: 'the mirror’s session lacks what production’s had',
  cancelled: 'production’s client cancelled it',
  serverSpecific: 'what it answers depends on the server: EXPLAIN, SHOW, version()',
  internal: 'the comparer could not',
  race: 'a write of another session overlapped it in production: either answer is right',
  orderGivenUp: 'was replayed out of production’s order',
  undetermined: 'its text leaves open which rows, or in which order',
  comparerBehind: 'the comparer was too far behind',
  targetUnreachable: 'no connection to the mirror could be made',
  authenticationFailed: 'the mirror refused the login',
  noConnection: 'all of the mirror’s connections were taken',
  connectionLost: 'the connection to the mirror was lost',
  timeout: 'the mirror did not answer in time',
  dependsOnSession: 'needs session state that the mirror’s session does not have',
  incomplete: 'capture saw only a part of it',
  undecodable: 'its record could not be decoded',
  unsupported: 'uses what replay cannot do',
  sideEffect: 'reaches outside of the database',
  behindSource: 'the mirror was too far behind',
  queueBytes: 'too much was waiting',
  skipToNow: 'skipped on purpose',
  beforeSeed: 'is in the mirror’s copy already',
};

export const outcomeWords: Readonly<Record<string, string>> = {
  replayed: 'replayed',
  filtered: 'filtered',
  unexposed: 'unexposed',
  shed: 'shed',
  failed: 'failed',
  inFlight: 'in flight',
};
