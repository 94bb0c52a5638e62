// Values behind notations: what every style writes for one value is one value, and what is another value is not.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Canonical, canonicalKey, sameCanonical } from './canonical.ts';
import { readValue } from './read-value.ts';

const text = (value: string, oid: number): Canonical | null => readValue(Buffer.from(value, 'utf8'), oid, false);
const binary = (hex: string, oid: number): Canonical | null =>
  readValue(Buffer.from(hex.replaceAll(' ', ''), 'hex'), oid, true);

function same(a: Canonical | null, b: Canonical | null): boolean {
  assert.ok(a !== null && b !== null, 'one cannot be read');
  return sameCanonical(a, b);
}

const oids = {
  bytea: 17,
  int8: 20,
  json: 114,
  point: 600,
  float4: 700,
  float8: 701,
  money: 790,
  textArray: 1009,
  float8Array: 1022,
  date: 1082,
  time: 1083,
  timestamp: 1114,
  timestamptz: 1184,
  interval: 1186,
  timetz: 1266,
  numeric: 1700,
  uuid: 2950,
  int4Array: 1007,
  tstzrange: 3910,
  int4range: 3904,
  int4multirange: 4451,
  jsonb: 3802,
} as const;

type Name = keyof typeof oids;
const equal: readonly (readonly [Name, ...string[]])[] = [
  ['numeric', '1', '1.0', '1.000', '01', '1e0', '+1'],
  ['numeric', '-12.5', '-12.50', '-1.25e1'],
  ['numeric', '0', '0.00', '-0.0'],
  ['numeric', 'NaN', 'nan'],
  ['numeric', '123456789012345678901234567890.1', '123456789012345678901234567890.10'],
  ['float8', '0.1', '0.10000000000000001', '0.100000000000000'],
  ['float8', '1e+300', '1.00000000000000005e+300'],
  ['float8', 'Infinity', 'infinity'],
  ['float4', '3.14159', '3.1415927'],
  ['money', '$1,234.56', '1.234,56 €', '1 234,56'],
  ['money', '-$1.00', '($1.00)', '-1,00 €'],
  ['bytea', '\\xde00ad5c', '\\336\\000\\255\\\\'],
  ['bytea', '\\x6162', 'ab'],
  ['date', '2024-01-31', '01/31/2024', '31/01/2024', '31.01.2024', '01-31-2024', '31-01-2024'],
  ['date', '0044-03-15 BC', '03/15/0044 BC', '15.03.0044 BC'],
  [
    'timestamp',
    '2024-01-31 12:34:56.7',
    '01/31/2024 12:34:56.7',
    'Wed Jan 31 12:34:56.7 2024',
    'Wed 31 Jan 12:34:56.700 2024',
    '31.01.2024 12:34:56.7',
  ],
  [
    'timestamptz',
    '2024-01-31 12:34:56+00',
    '2024-01-31 13:34:56+01',
    '2024-01-31 18:04:56+05:30',
    '01/31/2024 13:34:56 CET',
    'Wed Jan 31 07:34:56 2024 EST',
  ],
  ['timestamptz', '0044-03-15 12:00:00+00 BC', '0044-03-15 13:00:00+01 BC'],
  [
    'interval',
    '1 year 2 mons -3 days +04:05:06.5',
    '@ 1 year 2 mons -3 days 4 hours 5 mins 6.5 secs',
    '+1-2 -3 +4:05:06.5',
    'P1Y2M-3DT4H5M6.5S',
  ],
  ['interval', '-1 days -02:00:00', '@ 1 day 2 hours ago', '-1 2:00:00', 'P-1DT-2H'],
  ['interval', '00:00:00', '@ 0', '0', 'PT0S'],
  ['interval', '-00:00:00.5', '@ 0.5 secs ago', '-0:00:00.5', 'PT-0.5S'],
  ['json', '{"a":1,"b":[1,2]}', '{ "b" : [1, 2.0] ,"a": 10e-1}', '{"a":7,"a":1,"b":[1,2]}'],
  ['json', '"\\u00e9\\n"', '"é\\u000a"'],
  ['jsonb', '{"a": 1.50}', '{"a": 1.5}'],
  ['uuid', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 'a0eebc999c0b4ef8bb6d6bb9bd380a11'],
  ['point', '(1.5,2)', '(1.50000000000000002,2)'],
  ['float8Array', '{0.1,NULL,{2}}', '{0.10000000000000001,NULL,{2.0}}'],
  ['textArray', '{a,"b c","NULL",NULL}', '{"a",b\\ c,"NULL",NULL}'],
  ['tstzrange', '["2024-01-31 12:00:00+00",)', '["2024-01-31 13:00:00+01",)'],
];

const different: readonly (readonly [Name, string, string])[] = [
  ['numeric', '1', '1.01'],
  ['numeric', '123456789012345678901234567890', '123456789012345678901234567891'],
  ['float8', '1', '1.00000000001'],
  ['float8', 'NaN', 'Infinity'],
  ['float4', '3.14159', '3.1417'],
  ['money', '$1.00', '-$1.00'],
  ['bytea', '\\x6162', '\\x6163'],
  ['date', '2024-01-31', '2024-02-01'],
  ['date', '0044-03-15 BC', '0044-03-15'],
  ['timestamp', '2024-01-31 12:34:56.7', '2024-01-31 12:34:56.700001'],
  ['timestamptz', '2024-01-31 12:34:56+00', '2024-01-31 12:34:56+01'],
  ['interval', '1 day', '24:00:00'],
  ['interval', '1 mon', '30 days'],
  ['json', '{"a":1}', '{"a":2}'],
  ['json', '[1,2]', '[2,1]'],
  ['json', '12345678901234567890', '12345678901234567891'],
  ['json', '"1"', '1'],
  ['textArray', '{NULL}', '{"NULL"}'],
  ['textArray', '{a,b}', '{{a,b}}'],
  ['int4Array', '{1}', '[0:0]={1}'],
  ['int4range', '[1,5)', '[1,5]'],
  ['int4range', '(,5)', '[1,5)'],
  ['int4multirange', '{[1,3),[5,8)}', '{[1,3)}'],
];

describe('values in text format', () => {
  for (const [name, ...notations] of equal)
    it(`of type ${name}: ${notations.join(' = ')}`, () => {
      for (const a of notations)
        for (const b of notations) assert.ok(same(text(a, oids[name]), text(b, oids[name])), `${a} = ${b}`);
    });

  for (const [name, a, b] of different)
    it(`of type ${name}: ${a} ≠ ${b}`, () => {
      assert.equal(same(text(a, oids[name]), text(b, oids[name])), false);
    });

  it('that cannot be read have no value', () => {
    for (const [name, value] of [
      ['numeric', '1,5'],
      ['date', 'tomorrow'],
      ['timestamptz', '2024-01-31 12:34:56 XYZ'],
      ['json', '{"a":}'],
      ['json', '[1,]'],
      ['json', '['.repeat(300)],
      ['interval', 'a while'],
      ['textArray', '{a'],
      ['int4range', '[1;2)'],
      ['uuid', 'none'],
    ] as const)
      assert.equal(text(value, oids[name]), null, value);
    assert.equal(text('x', 16500), null);
  });
});

describe('values in binary format', () => {
  const cases: readonly (readonly [Name, string, string])[] = [
    ['int8', 'fffffffffffffff6', '-10'],
    ['numeric', '0003 0001 4000 0002 0001 0929 0a28', '-12345.26'],
    ['numeric', '0000 0000 c000 0000', 'NaN'],
    ['float8', '3fb999999999999a', '0.1'],
    ['float4', '40490fdb', '3.14159'],
    ['bytea', 'de00ad5c', '\\xde00ad5c'],
    ['date', '0000224f', '2024-01-18'],
    ['time', '00000000 0000002a', '00:00:00.000042'],
    ['interval', '00000000 000f4240 00000003 0000000e', '1 year 2 mons 3 days 00:00:01'],
    ['uuid', 'a0eebc999c0b4ef8bb6d6bb9bd380a11', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
    ['jsonb', '01 7b7d', '{ }'],
    ['int4Array', '00000001 00000001 00000017 00000002 00000001 00000004 00000007 ffffffff', '{7,NULL}'],
    ['int4range', '02 00000004 00000001 00000004 00000005', '[1,5)'],
    ['int4range', '01', 'empty'],
    ['int4range', '0a 00000004 00000005', '[,5)'],
  ];
  for (const [name, hex, written] of cases)
    it(`of type ${name}: ${written}`, () => {
      assert.ok(same(binary(hex, oids[name]), text(written, oids[name])));
    });

  it('of an array of a user’s type are equal whatever number the type has on a server', () => {
    const array = (oid: string, word: string) =>
      `00000001 00000000 ${oid} 00000001 00000001 00000002 ${Buffer.from(word).toString('hex')}`;
    assert.ok(same(binary(array('00004075', 'ok'), 16502), binary(array('00005fff', 'ok'), 24577)));
    assert.equal(same(binary(array('00004075', 'ok'), 16502), binary(array('00005fff', 'no'), 24577)), false);
  });
});

describe('keys', () => {
  it('are equal for equal values without floating point, and never for different ones', () => {
    const keyOf = (value: string, oid: number): string => canonicalKey(text(value, oid) as Canonical, []);
    for (const [name, ...notations] of equal) {
      if (name.startsWith('float') || name === 'point') continue;
      assert.equal(new Set(notations.map((each) => keyOf(each, oids[name]))).size, 1, notations.join(' '));
    }
    for (const [name, a, b] of different) {
      if (!name.startsWith('float')) assert.notEqual(keyOf(a, oids[name]), keyOf(b, oids[name]));
    }
  });
});
