// Values of every type, from real servers under different settings and of different versions: one value is one value in every notation
// and format, and another value is another one.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  AnswerDigester,
  type Classification,
  classify,
  type RawAnswer,
  readValue,
  sameCanonical,
} from '@mirrorstream/compare';
import type { Observation } from '@mirrorstream/envelope';
import { type B, decodeBackend, frameEndAt } from '@mirrorstream/pg-wire';
import { seededRandom, sharedPostgres } from '@mirrorstream/testkit';
import { AnswerClient } from './answer-client.ts';

const styles = {
  iso: { TimeZone: 'UTC', DateStyle: 'ISO, MDY', IntervalStyle: 'postgres', extra_float_digits: '1' },
  sql: { TimeZone: 'Europe/Berlin', DateStyle: 'SQL, DMY', IntervalStyle: 'iso_8601', bytea_output: 'escape' },
  verbose: { TimeZone: 'America/New_York', DateStyle: 'Postgres, MDY', IntervalStyle: 'postgres_verbose' },
  german: { TimeZone: 'UTC', DateStyle: 'German', IntervalStyle: 'sql_standard', extra_float_digits: '0' },
  india: { TimeZone: 'Asia/Kolkata', DateStyle: 'ISO, YMD', extra_float_digits: '3' },
} as const;
type Style = keyof typeof styles;

/** Days beyond the twelfth: with numbers up to it, only the setting says which is the month. */
const timestamps = [
  "'2024-01-31 12:34:56.789'",
  "'1999-12-31 23:59:59.999999'",
  "'2024-07-15'",
  "'infinity'",
  "'-infinity'",
];
const types: Readonly<Record<string, readonly string[]>> = {
  boolean: ['true', 'false'],
  smallint: ['0', '-32768', '32767'],
  integer: ['7', '-2147483648'],
  bigint: ['9223372036854775807', '-1'],
  oid: ['0', '4294967295'],
  numeric: [
    '0',
    '1.50',
    '-12345678901234567890.1234567890',
    "'NaN'",
    "'Infinity'",
    "'-Infinity'",
    '1e-20',
    '1e30',
    '10000',
  ],
  real: ['0', '1.1', '3.4e38', '-1e-30', "'NaN'", "'Infinity'", '-0.0'],
  'double precision': ['0.1', '1e300', '-2.5e-300', '1::float8 / 3', "'NaN'", "'-Infinity'"],
  money: ['12.34', '-1234567.89', '0'],
  text: ["''", "'ü 日本'", "E'a\\nb\\\\'"],
  'character varying': ["'x'"],
  'character(5)': ["'ab'"],
  name: ["'n'"],
  '"char"': ["'c'"],
  bytea: ["'\\x00ff5c27'", "''", "'abc'"],
  uuid: ["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"],
  date: ["'2024-01-31'", "'0044-03-15 BC'", "'infinity'", "'5874897-12-31'"],
  time: ["'12:34:56.789'", "'00:00'", "'24:00'"],
  timetz: ["'12:34:56.789+05:30'", "'00:00-08'"],
  timestamp: [...timestamps, "'0044-03-15 12:00 BC'", "'294276-12-31'"],
  timestamptz: timestamps.map((each) => each.replace(/(\d)'$/, "$1+00'")),
  interval: [
    ...["'1 year 2 mons 3 days 04:05:06.789'", "'-1 year -2 mons'", "'1 year -3 days 00:00:01'", "'-1 day -02:00'"],
    ...["'0'", "'-00:00:00.5'", "'1000000 hours'", "'6 mons -1 day +00:00:00.000001'", "'infinity'"],
  ],
  json: [`'{"a": [1, 2.50, null], "b": {"c": "\\u00e9"}}'`, "'[]'", `'"x"'`],
  jsonb: [`'{"b": 1.50, "a": [true, null]}'`, "'{}'"],
  'integer[]': ["'{1,NULL,3}'", "'{}'", "'{{1,2},{3,4}}'", "'[0:1]={1,2}'"],
  'text[]': [`'{a,"b c","d\\"e","NULL",NULL,""}'`],
  'double precision[]': ["'{0.1,1e300,NaN}'"],
  'numeric[]': ["'{1.50,NULL}'"],
  'bytea[]': ["ARRAY['\\x00ff'::bytea, '\\x5c']"],
  'timestamptz[]': ["ARRAY['2024-01-31 12:34:56+00'::timestamptz, NULL]"],
  'interval[]': ["ARRAY['1 day 02:00'::interval]"],
  'box[]': ["ARRAY['(1,2),(3.5,4)'::box, '(0,0),(1,1)'::box]"],
  int4range: ["'[1,5)'", "'empty'", "'(,5)'", "'[1,)'"],
  numrange: ["'[1.50,2]'"],
  daterange: ["'[2024-01-15,2024-01-31)'"],
  tsrange: ["'[2024-01-31 12:00,2024-02-15 12:00)'"],
  tstzrange: ["'[2024-01-31 12:00+00,)'"],
  int4multirange: ["'{[1,3),[5,8)}'", "'{}'"],
  tstzmultirange: ["'{[2024-01-31 12:00+00,2024-02-15 12:00+00)}'"],
  'int4range[]': ["ARRAY['[1,3)'::int4range]"],
  point: ["'(1.1,2)'"],
  lseg: ["'((0,0),(1.1,2))'"],
  box: ["'(1.1,2),(0,0)'"],
  path: ["'((0,0),(1.1,2))'", "'[(0,0),(1.1,2)]'"],
  polygon: ["'((0,0),(1.1,2),(3,4))'"],
  circle: ["'<(1.1,2),3>'"],
  line: ["'{1.1,2,3}'"],
  inet: ["'10.0.0.1/8'", "'::1'"],
  cidr: ["'10.0.0.0/8'"],
  macaddr: ["'08:00:2b:01:02:03'"],
  'bit(3)': ["'101'"],
  'bit varying': ["'1'"],
  tsvector: ["'a:1 b:2'"],
  pg_lsn: ["'16/B374D848'"],
};

/** Types whose values have one notation only, or are not known: equal by their bytes. */
const byBytes = new Set(['inet', 'cidr', 'macaddr', 'bit(3)', 'bit varying', 'tsvector', 'pg_lsn']);
const selectOf = (type: string, values: readonly string[]): string =>
  `SELECT v FROM unnest(ARRAY[${values.map((value) => `(${value})::${type}`).join(', ')}]) WITH ORDINALITY AS u(v, n) ORDER BY n`;
/** Of arrays unnest would give the elements. */
const rowsOf = (type: string, values: readonly string[]): string =>
  type.endsWith('[]')
    ? values.map((value, n) => `SELECT (${value})::${type} AS v, ${n} AS n`).join(' UNION ALL ')
    : `SELECT v, n FROM unnest(ARRAY[${values.map((value) => `(${value})::${type}`).join(', ')}]) WITH ORDINALITY AS u(v, n)`;
const queryOf = (type: string, values: readonly string[]): string =>
  type.endsWith('[]') ? `SELECT v FROM (${rowsOf(type, values)}) s ORDER BY n` : selectOf(type, values);

const sessions = new Map<string, AnswerClient>();
before(async () => {
  const server = await sharedPostgres('source');
  for (const [name, settings] of Object.entries(styles)) sessions.set(name, await AnswerClient.open(server, settings));
  sessions.set('next', await AnswerClient.open(await sharedPostgres('candidate'), styles.verbose));
});
after(() => {
  for (const session of sessions.values()) session.close();
});

function ask(session: string, sql: string, format: 'text' | 'binary' = 'text'): Promise<Buffer> {
  const client = sessions.get(session);
  assert.ok(client !== undefined);
  return client.ask(sql, format);
}

function observe(frames: Buffer): Observation {
  const digester = new AnswerDigester();
  eachFrame(frames, (start, end) => digester.frame(frames, start, end, 1));
  const draft = digester.observations()[0];
  assert.ok(draft !== undefined && draft.sqlState === '', `SQLSTATE ${draft?.sqlState}`);
  const joined = (hi: number, lo: number): bigint => (BigInt(hi) << 32n) | BigInt(lo);
  return {
    ...draft,
    rows: BigInt(draft.rows),
    orderedDigest: joined(draft.orderedHi, draft.orderedLo),
    multisetDigest: joined(draft.multisetHi, draft.multisetLo),
    columnsDigest: joined(draft.columnsHi, draft.columnsLo),
  } as unknown as Observation;
}

function eachFrame(frames: Buffer, take: (start: number, end: number) => void): void {
  for (let start = 0, end = 0; start < frames.length; start = end) {
    end = frameEndAt(frames, start, frames.length);
    take(start, end);
  }
}

function compare(captured: Buffer, replayed: Buffer): Classification {
  const raw = (bytes: Buffer): RawAnswer => ({ bytes, statement: 0, truncated: false });
  return classify(observe(captured), observe(replayed), { captured: raw(captured), replayed: raw(replayed) });
}

function cellsOf(frames: Buffer): { readonly typeOid: number; readonly cells: readonly (Uint8Array | null)[] } {
  let typeOid = 0;
  const cells: (Uint8Array | null)[] = [];
  eachFrame(frames, (start, end) => {
    const message = decodeBackend(frames[start] as typeof B.DataRow, frames, start, end);
    if (message.kind === 'rowDescription') typeOid = message.fields[0]?.typeOid ?? 0;
    if (message.kind === 'dataRow') cells.push(message.values[0] ?? null);
  });
  return { typeOid, cells };
}

const tolerated = ['match', 'numericEpsilon', 'maskedMatch'];

describe('one value in every notation', () => {
  for (const [type, values] of Object.entries(types))
    it(`of type ${type}`, async () => {
      const sql = queryOf(type, values);
      const answers = new Map<string, Buffer>();
      for (const name of sessions.keys()) answers.set(name, await ask(name, sql));
      for (const [a, captured] of answers)
        for (const [b, replayed] of answers) {
          const found = compare(captured, replayed);
          assert.ok(tolerated.includes(found.class), `${a} → ${b}: ${found.class} ${found.detail}`);
          assert.equal(found.class === 'match', sameRows(captured, replayed), `${a} → ${b}`);
          if (found.class !== 'match') assert.deepEqual(found.columns, ['v']);
        }
    });
});

const sameRows = (a: Buffer, b: Buffer): boolean => {
  const [left, right] = [cellsOf(a).cells, cellsOf(b).cells];
  return left.every((cell, i) => Buffer.from(cell ?? []).equals(Buffer.from(right[i] ?? [])));
};

describe('one value in text and in binary format', () => {
  for (const [type, values] of Object.entries(types).filter(([type]) => !byBytes.has(type)))
    it(`of type ${type}`, async () => {
      const binary = cellsOf(await ask('iso', queryOf(type, values), 'binary'));
      for (const style of Object.keys(styles)) {
        const text = cellsOf(await ask(style, queryOf(type, values)));
        for (const [i, cell] of text.cells.entries()) {
          const other = binary.cells[i];
          assert.ok(cell !== null && other !== null && other !== undefined);
          const [a, b] = [readValue(cell, text.typeOid, false), readValue(other, binary.typeOid, true)];
          assert.ok(a !== null && b !== null && sameCanonical(a, b), `${style}: ${Buffer.from(cell)} and ${values[i]}`);
        }
      }
    });
});

describe('another value', () => {
  it('of any type is never taken for the same one, in either format', async () => {
    const styled: readonly Style[] = ['iso', 'sql', 'german'];
    for (const [type, values] of Object.entries(types)) {
      if (values.length < 2) continue;
      const shifted = [...values.slice(1), values[0] as string];
      for (const style of styled) {
        const found = compare(await ask('iso', queryOf(type, values)), await ask(style, queryOf(type, shifted)));
        assert.ok(['value', 'orderOnly'].includes(found.class), `${type} in ${style}: ${found.class} ${found.detail}`);
      }
      const one = [values[0] as string];
      const two = [values[1] as string];
      const [a, b] = [await ask('iso', queryOf(type, one), 'binary'), await ask('iso', queryOf(type, two), 'binary')];
      assert.equal(compare(a, b).class, 'value', `${type} in binary format`);
    }
  });

  it('where only a setting says which number is the month is shown, not hidden', async () => {
    const captured = await ask('iso', "SELECT date '2024-03-02' AS v");
    assert.equal(compare(captured, await ask('sql', "SELECT date '2024-03-02' AS v")).class, 'value');
    assert.equal(compare(captured, await ask('verbose', "SELECT date '2024-03-02' AS v")).class, 'maskedMatch');
  });
});

describe('drawn values', () => {
  const draws: Readonly<Record<string, (random: () => number) => string>> = {
    numeric: (random) =>
      `${Math.floor((random() - 0.5) * 1e9)}${random() < 0.5 ? '' : `.${Math.floor(random() * 1e6)}0`}`,
    'double precision': (random) => `${(random() - 0.5) * 10 ** Math.floor(random() * 600 - 300)}`,
    real: (random) => `${(random() - 0.5) * 10 ** Math.floor(random() * 60 - 30)}`,
    interval: (random) => {
      const part = (): number => Math.floor((random() - 0.5) * 100);
      return `make_interval(${part()}, ${part()}, 0, ${part()}, ${part()}, ${part()}, ${part()}.${Math.floor(random() * 999)})`;
    },
    timestamptz: (random) =>
      `to_timestamp(${Math.floor(random() * 86_400) + 86_400 * (20 + 365 * Math.floor(random() * 3))}.25)`,
    bytea: (random) =>
      `'\\x${Buffer.from(Array.from({ length: 8 }, () => Math.floor(random() * 256))).toString('hex')}'`,
  };
  for (const [type, draw] of Object.entries(draws))
    it(`of type ${type}: 200 of them are the same in every notation`, async () => {
      const { next: random } = seededRandom(17);
      const sql = queryOf(
        type,
        Array.from({ length: 200 }, () => draw(random)),
      );
      const captured = await ask('iso', sql);
      for (const name of sessions.keys()) {
        const found = compare(captured, await ask(name, sql));
        assert.ok(tolerated.includes(found.class), `${name}: ${found.class} ${found.detail}`);
      }
    });
});

describe('EXTRACT', () => {
  it('is compared by value where one version gives double precision and the other numeric', async () => {
    const sql = (type: string): string =>
      `SELECT EXTRACT(epoch FROM timestamp '2024-01-31 12:34:56.789')::${type} AS epoch`;
    const [captured, replayed] = [await ask('iso', sql('float8')), await ask('next', sql('numeric'))];
    const raw = (bytes: Buffer): RawAnswer => ({ bytes, statement: 0, truncated: false });
    const kept = { captured: raw(captured), replayed: raw(replayed) };
    const rules = {
      ...({ keys: [], keysComplete: true, shownKeys: [], orderTotal: false, rows: 'all', open: false } as const),
      columns: [{ trait: '', extract: true } as const],
    };
    const found = classify(observe(captured), observe(replayed), kept, () => rules);
    assert.deepEqual([found.class, found.columns], ['numericEpsilon', ['epoch']]);
    assert.equal(compare(captured, replayed).class, 'columns');
  });
});
