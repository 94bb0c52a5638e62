// Closed lists: what can become of a transaction and of a statement, and why.

/** What a replayer did with a captured transaction. Exactly one of these per transaction and mirror. */
export const transactionOutcomes = ['replayed', 'filtered', 'unexposed', 'shed', 'failed'] as const;
export type TransactionOutcomeName = (typeof transactionOutcomes)[number];

/** Why, per outcome. `replayed` and `unexposed` need no reason. */
export const outcomeReasons = {
  replayed: [''],
  filtered: [
    'database',
    'user',
    'application',
    'statementClass',
    'table',
    'fingerprint',
    'timeOfDay',
    'sideEffect',
    'beforeSeed',
  ],
  unexposed: [''],
  shed: ['behindSource', 'queueBytes', 'skipToNow'],
  failed: [
    'targetUnreachable', // no connection could be made
    'authenticationFailed',
    'noConnection', // all of the mirror's connections stayed taken
    'connectionLost', // while the transaction was under way
    'timeout',
    'dependsOnSession', // needs session state that the mirror's session does not have
    'incomplete', // capture itself saw only a part
    'undecodable', // the record went to the dead letter
    'unsupported',
    'sideEffect', // one of its later parts reaches outside of the database: rolled back on the mirror
    'internal', // a bug: the replayer gave up what the session had under way
  ],
} as const satisfies Record<TransactionOutcomeName, readonly string[]>;

/**
 * How a transaction's place among other sessions' was kept. `givenUp`: an exchange of it was sent although something that production
 * had answered before was not answered here, because waiting had a bound; `outOfOrder`: the same where nobody waits (timed, asap);
 * `rolledBack`: production failed to commit it, so a ROLLBACK was sent; `retried`: played again from its beginning, nothing of it having
 * been committed. The first that holds is said.
 */
export const orderMarks = ['givenUp', 'outOfOrder', 'rolledBack', 'retried', ''] as const;
export type OrderMark = (typeof orderMarks)[number];

/** What comparing one statement came to. */
export const statementClasses = [
  'match',
  'numericEpsilon', // the same values written otherwise: a number's last digits or scale, another notation
  'maskedMatch', // equal in all columns but those that differ by nature: the clock, chance, what the server itself gives out
  'orderOnly',
  'collation', // the same rows, and only text is ordered otherwise
  'rowCount',
  'value',
  'columns',
  'commandTag',
  'errorNew',
  'errorGone',
  'errorChanged',
  'suspect', // differs, as an earlier divergence may have made it: that one is the finding
  'notCompared',
] as const;
export type StatementClass = (typeof statementClasses)[number];

/** Equal for people, yet not byte by byte. Counted apart, never as `match`. */
export const toleratedClasses = ['numericEpsilon', 'maskedMatch'] as const satisfies readonly StatementClass[];
export type ToleratedClass = (typeof toleratedClasses)[number];

/** Classes that say the mirror answered otherwise than production, and by itself. */
export const divergenceClasses = [
  'orderOnly',
  'collation',
  'rowCount',
  'value',
  'columns',
  'commandTag',
  'errorNew',
  'errorGone',
  'errorChanged',
] as const satisfies readonly StatementClass[];
export type DivergenceClass = (typeof divergenceClasses)[number];

/** Why a statement was not compared. Never folded into `match`. */
export const notComparedReasons = [
  'volatile', // now(), random(): differs by nature
  'notStored', // production's answer was not captured
  'truncated', // capture's cap cut the answer and no digest was kept
  'unanswered', // production never answered
  'skipped', // the server discarded it after an error, on both sides
  'afterGap',
  'sessionState', // the mirror's session was rebuilt, or cannot have what production's had
  'cancelled', // production's client cancelled it, or something earlier in its transaction, and the mirror was not cancelled alike
  'serverSpecific', // EXPLAIN, SHOW, version(), pg_stat_*
  'internal',
  'race', // differs, and a write of another session overlapped it in production: either answer is right
  'orderGivenUp', // differs, and was replayed out of production's order
  'idUnmapped', // differs, with ID mapping: it names an id that production drew meanwhile and whose counterpart is not known here
  'undetermined', // the text leaves open which rows, or what order inside a value: LIMIT without a total ORDER BY, array_agg without one
  'comparerBehind', // more was to be looked at than there was time for
] as const;
export type NotComparedReason = (typeof notComparedReasons)[number];

/**
 * With ID mapping, what an answer came to. `equal`: not byte by byte, but once production's ids are replaced by the mirror's; `order`:
 * so, in another order of rows; `other`: byte by byte, but these are ids of something else here.
 */
export const idMarks = ['', 'equal', 'order', 'other'] as const;
export type IdMark = (typeof idMarks)[number];

/** Why capture left something out (names of GapReason in the envelope schema). */
export const gapReasons = [
  'ringFull',
  'publishBufferFull',
  'recordRefused',
  'malformed',
  'memoryLimit',
  'workerRestart',
  'shutdown',
  'spoolFull',
  'spoolFailed',
  'captureOff',
  'unsampled',
] as const;
export type GapReasonName = (typeof gapReasons)[number];
