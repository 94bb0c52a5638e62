// Which built-in types have which notation. The OIDs of built-in types never change (catalog/pg_type.dat).

/** The first OID that is not fixed by PostgreSQL's catalogs (FirstNormalObjectId in access/transam.h). */
export const FIRST_USER_OID = 16384;
export const RECORD_OID = 2249;

export type Scalar =
  | 'boolean'
  | 'integer'
  | 'unsigned'
  | 'numeric'
  | 'float4'
  | 'float8'
  | 'money'
  | 'text'
  | 'bytea'
  | 'uuid'
  | 'date'
  | 'time'
  | 'timetz'
  | 'timestamp'
  | 'timestamptz'
  | 'interval'
  | 'json'
  | 'jsonb'
  | 'geometry'
  | 'unknown';

const scalars: ReadonlyMap<number, Scalar> = new Map<number, Scalar>([
  [16, 'boolean'],
  [17, 'bytea'],
  [18, 'text'],
  [19, 'text'],
  [20, 'integer'],
  [21, 'integer'],
  [23, 'integer'],
  [25, 'text'],
  [26, 'unsigned'],
  [114, 'json'],
  [600, 'geometry'], // point
  [601, 'geometry'], // lseg
  [602, 'geometry'], // path
  [603, 'geometry'], // box
  [604, 'geometry'], // polygon
  [628, 'geometry'], // line
  [718, 'geometry'], // circle
  [700, 'float4'],
  [701, 'float8'],
  [790, 'money'],
  [1042, 'text'],
  [1043, 'text'],
  [1082, 'date'],
  [1083, 'time'],
  [1114, 'timestamp'],
  [1184, 'timestamptz'],
  [1186, 'interval'],
  [1266, 'timetz'],
  [1700, 'numeric'],
  [2950, 'uuid'],
  [3802, 'jsonb'],
]);

export const scalarOf = (typeOid: number): Scalar => scalars.get(typeOid) ?? 'unknown';

/** Of an array type, the type of its elements. */
export const arrayElements: ReadonlyMap<number, number> = new Map([
  [1000, 16],
  [1001, 17],
  [1002, 18],
  [1003, 19],
  [1016, 20],
  [1005, 21],
  [1007, 23],
  [1009, 25],
  [1028, 26],
  [199, 114],
  [1017, 600],
  [1018, 601],
  [1019, 602],
  [1020, 603],
  [1027, 604],
  [629, 628],
  [719, 718],
  [1021, 700],
  [1022, 701],
  [791, 790],
  [1014, 1042],
  [1015, 1043],
  [1182, 1082],
  [1183, 1083],
  [1115, 1114],
  [1185, 1184],
  [1187, 1186],
  [1270, 1266],
  [1231, 1700],
  [2951, 2950],
  [3807, 3802],
  [2287, RECORD_OID],
  [1041, 869],
  [651, 650],
  [3905, 3904],
  [3907, 3906],
  [3909, 3908],
  [3911, 3910],
  [3913, 3912],
  [3927, 3926],
]);

export const rangeElements: ReadonlyMap<number, number> = new Map([
  [3904, 23],
  [3906, 1700],
  [3908, 1114],
  [3910, 1184],
  [3912, 1082],
  [3926, 20],
]);

export const multirangeElements: ReadonlyMap<number, number> = new Map([
  [4451, 23],
  [4532, 1700],
  [4533, 1114],
  [4534, 1184],
  [4535, 1082],
  [4536, 20],
]);

const numbers: ReadonlySet<Scalar> = new Set([
  'integer',
  'unsigned',
  'numeric',
  'float4',
  'float8',
  'money',
  'geometry',
]);

/** Whether a value is one number, or made of numbers. */
export function isNumeric(typeOid: number): boolean {
  const inner = arrayElements.get(typeOid) ?? rangeElements.get(typeOid) ?? multirangeElements.get(typeOid) ?? typeOid;
  return inner !== typeOid ? isNumeric(inner) : numbers.has(scalarOf(typeOid));
}

/** Types that are ordered by a collation. */
export const isCollated = (typeOid: number): boolean => [19, 25, 1042, 1043].includes(typeOid);
