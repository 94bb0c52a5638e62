// The cases every driver goes through, what each must come to, and what capture must have seen of it whatever the driver.
//
// A driver's program gets the names of cases and prints one line per case: {"case": …, "outcome": …} or {"case": …, "error": …}.

export type Outcome = Readonly<Record<string, unknown>>;

export interface Case {
  /** The outcome of every driver that has nothing else in its own table. */
  readonly outcome: Outcome;
  readonly seen: Seen;
}

/** What must be in the envelopes of a case, in whatever protocol. */
export interface Seen {
  /** Statements that answered with this command tag, at least. */
  readonly tags?: Readonly<Record<string, number>>;
  /** Rows answered, at least. */
  readonly rows?: number;
  /** SQLSTATEs of all errors, in order. */
  readonly errors?: readonly string[];
  /** Bytes of the requests, somewhere in them. */
  readonly bytes?: string;
  /** Outcomes of transactions, at least. */
  readonly outcomes?: Readonly<Record<string, number>>;
}

const storedTypes = [
  ...['i2=-32768', 'i4=2147483647', 'i8=-9223372036854775808', 'num=1234567890123456.0123456789', 'f4=1.5', 'f8=NaN'],
  ...['inf=-Infinity', 'txt=grüße, 世界 🐘', 'bin=00ff10275c', 'yes=true', 'd=2024-02-29'],
  ...['ts=2024-02-29 12:34:56.789012', 'tz=2024-02-29 12:34:56.789012', 'iv=1 mon 2 days 03:04:05.678'],
  ...['u=a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'j={"a": [1, 2]}', 'jb={"a": [1, 2], "ü": null}'],
  ...['ints={1,NULL,3}', 'texts={"a,b","c\\"d",NULL}', 'nothing=NULL', 'ip=192.168.0.1/32'],
];

export const cases = {
  /** Log in with a password (SCRAM), ask one thing; and fail to log in. */
  connect: { outcome: { user: 'driver', one: '1', wrongPassword: '28P01' }, seen: { rows: 1 } },
  /** The same with the certificate checked. */
  tls: { outcome: { version: 'TLSv1.3' }, seen: { rows: 1 } },
  /** One statement prepared and executed three times. */
  prepared: { outcome: { rows: ['2', '3', '4'] }, seen: { rows: 3 } },
  /** Twenty inserts without waiting for answers: a pipeline, a batch, or several statements in one query. */
  pipeline: { outcome: { count: '20', sum: '190' }, seen: { tags: { 'INSERT 0 1': 20 } } },
  /** The second of three such inserts fails. Whether the others survive is the driver's way of batching. */
  pipelineError: { outcome: { sqlState: '23505', survivors: [] }, seen: { errors: ['23505'] } },
  /** COPY in both directions, and one that the server refuses. */
  copy: {
    outcome: { out: '1\teins\n2\tzwei\\tTab ✓\n3\t\\N\n', failed: '22P02' },
    seen: { tags: { 'COPY 3': 2 }, errors: ['22P02'], bytes: '1\teins\n2\tzwei\\tTab ✓\n3\t\\N\n' },
  },
  /** Rows encoded by the driver. */
  copyBinary: {
    outcome: { rows: ['1:eins', '2:zwei ✓', '3'] },
    seen: { tags: { 'COPY 3': 1 }, bytes: 'PGCOPY\n' },
  },
  /** A commit with a savepoint rolled back in it, and a rollback. */
  transaction: {
    outcome: { inside: '23505', rows: ['1', '2'] },
    seen: { tags: { 'INSERT 0 1': 3 }, errors: ['23505'], outcomes: { committed: 1, rolledBack: 1 } },
  },
  /** Errors leave the session usable. */
  error: {
    outcome: { unique: '23505', syntax: '42601', after: ['1'] },
    seen: { rows: 1, errors: ['23505', '42601'], outcomes: { failed: 2 } },
  },
  /** A sleeping statement ended by the driver's own cancel. */
  cancel: {
    outcome: { sqlState: '57014', after: ['1'] },
    seen: { rows: 1, errors: ['57014'], outcomes: { failed: 1 } },
  },
  /** 20 000 bytes written in two halves, read and removed: function calls or SQL. */
  largeObject: { outcome: { md5: 'a6a4186232db0d067e5b36ea78862c9d', same: true }, seen: { rows: 1 } },
  /** One session listens, another notifies. */
  listen: { outcome: { channel: 'news', payload: 'grüße' }, seen: { tags: { LISTEN: 1 }, rows: 1 } },
  /** Ten rows, four at a time. */
  cursor: { outcome: { rows: '10', sum: '55' }, seen: { rows: 10 } },
  /** A value of each type there and back; `stored` is the server's own text of it. */
  types: { outcome: { stored: storedTypes, same: true }, seen: { tags: { 'INSERT 0 1': 1 }, bytes: 'grüße, 世界 🐘' } },
} as const satisfies Readonly<Record<string, Case>>;

export type CaseName = keyof typeof cases;
export const caseNames = Object.keys(cases) as CaseName[];
