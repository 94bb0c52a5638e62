// Draws conversations with a server for the property of exactness: every kind of command, in any order, in either protocol.
import { B, type FrontendMessage } from '@mirrorstream/pg-wire';
import fc from 'fast-check';
import {
  bind,
  close,
  copyFail,
  data,
  describe as describeMessage,
  done,
  execute,
  flush,
  parse,
  query,
  sync,
} from '../../libs/capture/src/conversation-script.fixture.ts';
import type { RecordedClient } from './capture-exact-scene.ts';

/** What both databases hold before each conversation. The role is the server's. */
export const talkSchema: readonly string[] = [
  'DROP SCHEMA IF EXISTS public, one, two CASCADE',
  'CREATE SCHEMA public',
  'CREATE SCHEMA one',
  'CREATE SCHEMA two',
  'CREATE VIEW one.v AS SELECT 1 AS alpha',
  "CREATE VIEW two.v AS SELECT 'x'::text AS beta, 2 AS gamma",
  'CREATE TABLE public.t (a int)',
  'CREATE TABLE public.hidden (a int)',
  'INSERT INTO public.t SELECT generate_series(1, 5)',
  'CREATE SEQUENCE public.s',
  'CREATE PROCEDURE public.commits() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.t VALUES (1); COMMIT; INSERT INTO public.t VALUES (2); END $$',
  'GRANT USAGE ON SCHEMA public, one, two TO limited',
  'GRANT SELECT, INSERT ON public.t TO limited',
];

const reads = [
  'SELECT 1',
  'SELECT a FROM public.t ORDER BY a LIMIT 3',
  'SELECT count(*) FROM public.t',
  'SELECT * FROM v',
  'SELECT * FROM public.hidden',
  "SELECT 1 / length(coalesce(current_setting('app.x', true), ''))",
  "SELECT 1 / (current_setting('work_mem') = '5MB')::int",
  'SELECT generate_series(1, 4)',
  '',
];
const writes = [
  'INSERT INTO public.t VALUES (7)',
  'UPDATE public.t SET a = a + 1 WHERE a = 3',
  'DELETE FROM public.t WHERE a = 7',
  'CREATE TABLE IF NOT EXISTS public.d (a int)',
  'DROP TABLE IF EXISTS public.d',
  'CALL public.commits()',
  'DO $$ BEGIN PERFORM 1; END $$',
];
const failures = ['SELECT 1 / 0', 'SELECT nothing', 'SELEC', 'INSERT INTO public.nowhere VALUES (1)'];
const blocks = [
  'BEGIN',
  'BEGIN',
  'COMMIT',
  'COMMIT',
  'ROLLBACK',
  'COMMIT AND CHAIN',
  'SAVEPOINT a',
  'ROLLBACK TO a',
  'RELEASE a',
  'SAVEPOINT b',
  'ROLLBACK TO b',
  'START TRANSACTION READ ONLY',
];
const settings = [
  "SET app.x = 'set'",
  "SET app.x = ''",
  "SET LOCAL app.x = 'local'",
  'RESET app.x',
  'RESET ALL',
  'SET search_path TO one',
  'SET search_path TO two, public',
  'SET LOCAL search_path TO one',
  "SET work_mem = '5MB'",
  "SELECT set_config('app.x', 'given', false)",
  "SELECT set_config('app.x', 'it''s', true)",
  "SELECT set_config('search_path', 'two', false) AS first, pg_catalog.set_config('work_mem', '5MB', false)",
  "SET TimeZone TO 'Asia/Tokyo'",
  'SET ROLE limited',
  'RESET ROLE',
  'SET SESSION AUTHORIZATION limited',
  'SET SESSION AUTHORIZATION DEFAULT',
  'DISCARD ALL',
];
const prepared = [
  'PREPARE p AS SELECT 1',
  'PREPARE p(int) AS INSERT INTO public.t VALUES ($1)',
  'PREPARE "Q" AS SELECT * FROM v',
  "PREPARE p(text) AS SELECT set_config('app.x', $1, false)",
  'EXECUTE p',
  'EXECUTE p(9)',
  'EXECUTE "Q"',
  'EXPLAIN (COSTS OFF) EXECUTE p(3)',
  'DEALLOCATE p',
  'DEALLOCATE ALL',
];
/** What leaves an envelope, or all that follow, unable to stand alone. */
const bound = [
  'CREATE TEMP TABLE tt (a int)',
  'CREATE TEMP TABLE tt (a int) ON COMMIT DROP',
  'SELECT a FROM tt',
  'DROP TABLE tt',
  'DISCARD TEMP',
  'LISTEN c',
  'NOTIFY c',
  'UNLISTEN *',
  'SELECT pg_advisory_lock(1)',
  'SELECT pg_advisory_unlock(1)',
  'SELECT pg_advisory_unlock_all()',
  'SELECT pg_advisory_xact_lock(2)',
  'DECLARE c CURSOR FOR SELECT generate_series(1, 5)',
  'DECLARE h CURSOR WITH HOLD FOR SELECT generate_series(1, 5)',
  'FETCH 2 FROM c',
  'FETCH 2 FROM h',
  'CLOSE h',
  'CLOSE ALL',
  "SELECT nextval('public.s')",
  "SELECT currval('public.s')",
  'SELECT lastval()',
];

const statement = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom(...reads) },
  { weight: 3, arbitrary: fc.constantFrom(...writes) },
  { weight: 2, arbitrary: fc.constantFrom(...failures) },
  { weight: 4, arbitrary: fc.constantFrom(...blocks) },
  { weight: 4, arbitrary: fc.constantFrom(...settings) },
  { weight: 4, arbitrary: fc.constantFrom(...prepared) },
  { weight: 2, arbitrary: fc.constantFrom(...bound) },
);

/** A step of a conversation: sent, and waited for until the server has said all it will. */
export interface Step {
  readonly what: string;
  run(client: RecordedClient): Promise<void>;
}

const simple = fc.array(statement, { minLength: 1, maxLength: 4 }).map((texts): Step => {
  const text = texts.join('; ');
  return { what: `Query ${text}`, run: (client) => client.query(text) };
});

const statementName = fc.constantFrom('', '', 'p', 'Q', 'r');

/** Extended messages of one statement, Sync left out. Close comes first, so that none is followed by ReadyForQuery. */
const group = fc
  .record({
    name: statementName,
    sql: statement,
    closes: fc.boolean(),
    described: fc.boolean(),
    maxRows: fc.constantFrom(0, 0, 2),
  })
  .map(({ name, sql, closes, described, maxRows }) => ({
    what: `Parse ${name} ${sql}${maxRows > 0 ? ' in pieces' : ''}`,
    messages: [
      ...(closes && name !== '' ? [close('S', name)] : []),
      parse(name, sql),
      ...(described ? [describeMessage('S', name)] : []),
      bind(name),
      ...(described ? [describeMessage('P')] : []),
      execute('', maxRows),
    ],
  }));

/** A statement prepared before, or not at all. */
const reuse = fc.record({ name: statementName, values: fc.constantFrom([], ['5']) }).map(({ name, values }) => ({
  what: `Bind ${name} ${values.join()}`,
  messages: [bind(name, '', ...values), execute()],
}));

const setConfig = fc.constantFrom('true', 'f', 'off').map((isLocal) => ({
  what: `set_config as parameters, ${isLocal}`,
  messages: [parse('', 'SELECT set_config($1, $2, $3)'), bind('', '', 'app.x', 'bound', isLocal), execute()],
}));

const groups = fc.array(
  fc.oneof({ weight: 5, arbitrary: group }, { weight: 3, arbitrary: reuse }, { weight: 1, arbitrary: setConfig }),
  {
    minLength: 1,
    maxLength: 3,
  },
);

/** Several groups in one Sync, and several Syncs in one write, Queries between them. */
const pipelined = fc.array(fc.oneof(groups, statement), { minLength: 1, maxLength: 4 }).map((parts): Step => {
  const messages = parts.flatMap((part): FrontendMessage[] =>
    typeof part === 'string' ? [query(part)] : [...part.flatMap((it) => it.messages), sync],
  );
  const what = parts
    .map((part) => (typeof part === 'string' ? part : part.map((it) => it.what).join(' + ')))
    .join(' | ');
  return { what: `in one write: ${what}`, run: (client) => client.send(messages, { ready: parts.length }) };
});

/** A Query that the error before it may have the server skip: the Close after the next Sync is answered in any case. */
const mixed = fc.tuple(groups, statement).map(([parts, text]): Step => {
  const messages = [...parts.flatMap((it) => it.messages), query(text), sync, close('S', 'nothing'), sync];
  return {
    what: `without Sync: ${parts.map((it) => it.what).join(' + ')} | ${text}`,
    run: async (client) => {
      const before = client.closes;
      await client.send(messages);
      await client.untilSaid(() => client.closes > before, 'CloseComplete and ReadyForQuery');
    },
  };
});

const waiting = group.map(
  ({ what, messages }): Step => ({
    what: `with Flush: ${what}`,
    run: async (client) => {
      const answers = client.seen(B.ErrorResponse) + client.seen(B.BindComplete);
      await client.send([...messages.slice(0, -1), flush]);
      await client.untilSaid(() => client.seen(B.ErrorResponse) + client.seen(B.BindComplete) > answers, 'an answer');
      await client.send([...messages.slice(-1), sync], { ready: 1 });
    },
  }),
);

const copyIn = fc
  .record({ extended: fc.boolean(), end: fc.constantFrom('done', 'fail', 'bad'), rows: fc.integer({ min: 0, max: 3 }) })
  .map(({ extended, end, rows }): Step => {
    const begin = extended
      ? // A name of its own: bound again by another step, it would swallow what follows.
        [close('S', 'copied'), parse('copied', 'COPY public.t FROM STDIN'), bind('copied'), execute(), flush]
      : [query('COPY public.t FROM STDIN')];
    const body = [
      ...Array.from({ length: rows }, (_, i) => data(`${i}\n`)),
      ...(end === 'bad' ? [data('bad\n'), data('8\n')] : []),
      end === 'fail' ? copyFail : done,
    ];
    return {
      what: `COPY ${extended ? 'extended' : 'simple'} ${rows} rows, ${end}`,
      run: async (client) => {
        const [copies, errors, ready] = [B.CopyInResponse, B.ErrorResponse, B.ReadyForQuery].map((type) =>
          client.seen(type),
        ) as [number, number, number];
        await client.send(begin);
        await client.untilSaid(
          () => client.seen(B.CopyInResponse) > copies || client.seen(B.ErrorResponse) > errors,
          'COPY',
        );
        const copying = client.seen(B.CopyInResponse) > copies;
        await client.send([...(copying ? body : []), ...(extended ? [sync] : [])]);
        await client.untilSaid(() => client.seen(B.ReadyForQuery) > ready, 'the end of COPY');
      },
    };
  });

const copyOut = fc
  .constantFrom('COPY public.t TO STDOUT', 'COPY (SELECT 1, 2) TO STDOUT', 'COPY public.t FROM nowhere')
  .map((text): Step => ({ what: text, run: (client) => client.query(text) }));

let prepares = 0;
/** Begun and ended within one step, so that no conversation leaves a prepared transaction behind. */
const twoPhase = fc
  .tuple(fc.constantFrom('COMMIT', 'ROLLBACK'), fc.constantFrom(...writes.slice(0, 3), ...settings.slice(0, 5)))
  .map(
    ([end, text]): Step => ({
      what: `${text} in two phases, ${end}`,
      run: async (client) => {
        const name = `g${prepares++}`;
        await client.query('ROLLBACK', 'BEGIN', text, `PREPARE TRANSACTION '${name}'`, `${end} PREPARED '${name}'`);
      },
    }),
  );

const step = fc.oneof(
  { weight: 8, arbitrary: simple },
  { weight: 6, arbitrary: pipelined },
  { weight: 1, arbitrary: mixed },
  { weight: 1, arbitrary: waiting },
  { weight: 2, arbitrary: copyIn },
  { weight: 1, arbitrary: copyOut },
  { weight: 1, arbitrary: twoPhase },
);

export const conversation = fc.array(step, { minLength: 3, maxLength: 24 });
