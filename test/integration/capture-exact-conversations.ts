// Conversations that spring the traps of the protocol, each with what a real server and the assembler make of it.
import { B, type FrontendMessage } from '@mirrorstream/pg-wire';
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

export type Talk = (client: RecordedClient) => Promise<void>;

/** What the tables of these conversations are. */
export const schema: readonly string[] = [
  'CREATE TABLE t (a int CHECK (a < 1000))',
  'CREATE TABLE parent (id int PRIMARY KEY)',
  'CREATE TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)',
  'CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO t VALUES (1); COMMIT; INSERT INTO t VALUES (2); END $$',
  'CREATE PROCEDURE commits_then_fails() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO t VALUES (1); COMMIT; PERFORM 1/0; END $$',
];

export const extended = (sql: string, name = ''): FrontendMessage[] => [parse(name, sql), bind(name), execute()];

export interface Trap {
  readonly name: string;
  readonly talk: Talk;
  readonly lines: readonly string[];
}

export const traps: readonly Trap[] = [
  {
    name: 'one Query holds several statements, and several whole transactions',
    talk: (client) =>
      client.query(
        'SELECT 1; SELECT 2; INSERT INTO t VALUES (1)',
        'BEGIN; INSERT INTO t VALUES (1); COMMIT; BEGIN; SELECT 1; ROLLBACK',
        'BEGIN; SELECT 1; ROLLBACK; INSERT INTO t VALUES (2)',
        'BEGIN; INSERT INTO t VALUES (3); COMMIT; SELECT 1/0; SELECT 2',
      ),
    lines: [
      '#1 committed writes',
      '  0: F Query -> complete SELECT 1 rows=1, complete SELECT 1 rows=1, complete INSERT 0 1 I',
      '#2 rolled_back writes',
      '  0: F Query -> complete BEGIN, complete INSERT 0 1, complete COMMIT, complete BEGIN, complete SELECT 1 rows=1, complete ROLLBACK I',
      '#3 committed writes',
      '  0: F Query -> complete BEGIN, complete SELECT 1 rows=1, complete ROLLBACK, complete INSERT 0 1 I',
      '#4 failed writes',
      '  0: F Query -> complete BEGIN, complete INSERT 0 1, complete COMMIT, error 22012 I',
    ],
  },
  {
    name: 'COMMIT of a failed transaction answers ROLLBACK, and what ROLLBACK answers says nothing of why',
    talk: (client) => client.query('BEGIN', 'SELECT 1/0', 'SELECT 1', 'COMMIT', 'BEGIN', 'SELECT 1', 'ROLLBACK'),
    lines: [
      '#1 failed',
      '  0: F Query -> complete BEGIN T',
      '  1: F Query -> error 22012 E',
      '  2: F Query -> error 25P02 E',
      '  3: F Query -> complete ROLLBACK I',
      '#2 rolled_back',
      '  0: F Query -> complete BEGIN T',
      '  1: F Query -> complete SELECT 1 rows=1 T',
      '  2: F Query -> complete ROLLBACK I',
    ],
  },
  {
    name: 'COMMIT AND CHAIN and ROLLBACK AND CHAIN go on, ROLLBACK TO goes back, and only idle ends',
    talk: (client) =>
      client.query(
        'BEGIN',
        'COMMIT AND CHAIN',
        'ROLLBACK AND CHAIN',
        'SAVEPOINT a',
        'SELECT 1/0',
        'ROLLBACK TO a',
        'RELEASE a',
        'COMMIT',
      ),
    lines: [
      '#1 committed',
      '  0: F Query -> complete BEGIN T',
      '  1: F Query -> complete COMMIT T',
      '  2: F Query -> complete ROLLBACK T',
      '  3: F Query -> complete SAVEPOINT T',
      '  4: F Query -> error 22012 E',
      '  5: F Query -> complete ROLLBACK T',
      '  6: F Query -> complete RELEASE T',
      '  7: F Query -> complete COMMIT I',
    ],
  },
  {
    name: 'a commit that fails, at COMMIT and at the Sync that commits implicitly, is a failure',
    talk: async (client) => {
      await client.query('BEGIN', 'INSERT INTO child VALUES (1)', 'COMMIT');
      await client.send([...extended('INSERT INTO child VALUES (1)'), sync], { ready: 1 });
      await client.query('INSERT INTO child VALUES (2)');
    },
    lines: [
      '#1 failed writes',
      '  0: F Query -> complete BEGIN T',
      '  1: F Query -> complete INSERT 0 1 T',
      '  2: F Query -> error 23503 I',
      '#2 failed writes',
      '  0: F Parse / F Bind / F Execute / F Sync -> complete INSERT 0 1, error 23503 I',
      '#3 failed',
      '  0: F Query -> error 23503 I',
    ],
  },
  {
    name: 'CALL commits inside: what it had committed stays, and the answer is the last word',
    talk: async (client) => {
      await client.query('CALL commits()', 'CALL commits_then_fails()');
      await client.send([...extended('CALL commits()'), sync], { ready: 1 });
    },
    lines: [
      '#1 committed writes',
      '  0: F Query -> complete CALL I',
      '#2 failed writes',
      '  0: F Query -> error 22012 I',
      '#3 committed writes',
      '  0: F Parse / F Bind / F Execute / F Sync -> complete CALL I',
    ],
  },
  {
    name: 'PREPARE TRANSACTION ends the block, and COMMIT PREPARED is a transaction of its own',
    talk: (client) =>
      client.query(
        'BEGIN',
        'SET jit TO off',
        'INSERT INTO t VALUES (1)',
        "PREPARE TRANSACTION 'one'",
        "COMMIT PREPARED 'one'",
        'BEGIN',
        'SELECT 1/0',
        "PREPARE TRANSACTION 'two'",
        "ROLLBACK PREPARED 'two'",
      ),
    lines: [
      '#1 committed writes',
      '  0: F Query -> complete BEGIN T',
      '  1: F Query -> complete SET T',
      '  2: F Query -> complete INSERT 0 1 T',
      '  3: F Query -> complete PREPARE TRANSACTION I',
      '#2 committed writes {SET jit TO off}',
      '  0: F Query -> complete COMMIT PREPARED I',
      '#3 failed {SET jit TO off}',
      '  0: F Query -> complete BEGIN T',
      '  1: F Query -> error 22012 E',
      '  2: F Query -> complete ROLLBACK I',
      '#4 failed {SET jit TO off}',
      '  0: F Query -> error 42704 I',
    ],
  },
  {
    name: 'Sync is no boundary: BEGIN to COMMIT and more lie in one group',
    talk: (client) =>
      client.send(
        [
          ...extended('BEGIN'),
          ...extended('INSERT INTO t VALUES (1)'),
          ...extended('COMMIT'),
          ...extended('SELECT 1'),
          ...extended('BEGIN'),
          sync,
          ...extended('SELECT 2'),
          sync,
          ...extended('ROLLBACK'),
          sync,
        ],
        { ready: 3 },
      ),
    lines: [
      '#1 rolled_back writes',
      '  0: F Parse / F Bind / F Execute / F Parse / F Bind / F Execute / F Parse / F Bind / F Execute / F Parse / F Bind / F Execute / F Parse / F Bind / F Execute / F Sync -> complete BEGIN, complete INSERT 0 1, complete COMMIT, complete SELECT 1 rows=1, complete BEGIN T',
      '  1: F Parse / F Bind / F Execute / F Sync -> complete SELECT 1 rows=1 T',
      '  2: F Parse / F Bind / F Execute / F Sync -> complete ROLLBACK I',
    ],
  },
  {
    name: 'many exchanges in flight are answered in turn, each by one ReadyForQuery',
    talk: (client) =>
      client.send(
        [
          query('SELECT 1'),
          ...extended('SELECT 2'),
          sync,
          sync,
          query('BEGIN'),
          ...extended('SELECT 1/0'),
          sync,
          query('SELECT 3'),
          query('ROLLBACK'),
          query(''),
          ...extended('SELECT 4'),
          sync,
        ],
        { ready: 9 },
      ),
    lines: [
      '#1 committed',
      '  0: F Query -> complete SELECT 1 rows=1 I',
      '#2 committed',
      '  0: F Parse / F Bind / F Execute / F Sync -> complete SELECT 1 rows=1 I',
      '#3 committed',
      '  0: F Sync -> nothing I',
      '#4 failed',
      '  0: F Query -> complete BEGIN T',
      '  1: F Parse / F Bind / F Execute / F Sync -> error 22012 E',
      '  2: F Query -> error 25P02 E',
      '  3: F Query -> complete ROLLBACK I',
      '#5 committed',
      '  0: F Query -> empty I',
      '#6 committed',
      '  0: F Parse / F Bind / F Execute / F Sync -> complete SELECT 1 rows=1 I',
    ],
  },
  {
    name: 'after an error everything up to Sync is skipped, a Query too',
    talk: (client) =>
      client.send(
        [
          ...extended('SELECT 1/0'),
          query('SELECT 1'),
          ...extended('SELECT 2'),
          query('SELECT 3'),
          sync,
          query('SELECT 4'),
        ],
        { ready: 2 },
      ),
    lines: [
      '#1 failed',
      '  0: F Parse / F Bind / F Execute / F Query / F Parse / F Bind / F Execute / F Query / F Sync -> error 22012, skipped, skipped, skipped I',
      '#2 committed',
      '  0: F Query -> complete SELECT 1 rows=1 I',
    ],
  },
  {
    name: 'extended messages without Sync share the ReadyForQuery of the Query after them',
    talk: (client) => client.send([...extended('SELECT 1'), query('SELECT 2'), query('SELECT 3')], { ready: 2 }),
    lines: [
      '#1 committed',
      '  0: F Parse / F Bind / F Execute / F Query -> complete SELECT 1 rows=1, complete SELECT 1 rows=1 I',
      '#2 committed',
      '  0: F Query -> complete SELECT 1 rows=1 I',
    ],
  },
  {
    name: 'a Sync during COPY IN is swallowed, and so is Flush',
    talk: async (client) => {
      await client.send([...extended('COPY t FROM STDIN'), sync], { type: B.CopyInResponse });
      await client.send([data('1\n'), flush, data('2\n'), sync, done, sync], { ready: 1 });
      await client.query('SELECT 1');
    },
    lines: [
      '#1 committed writes',
      '  0: F Parse / F Bind / F Execute / F Sync / F CopyData / F Flush / F CopyData / F Sync / F CopyDone / F Sync |54 -> complete COPY 2 I',
      '#2 committed',
      '  0: F Query -> complete SELECT 1 rows=1 I',
    ],
  },
  {
    name: 'COPY IN by Query, two in one, and a COPY sent ahead of the answer',
    talk: async (client) => {
      await client.send([query('COPY t FROM STDIN; COPY t FROM STDIN')], { type: B.CopyInResponse });
      await client.send([data('1\n'), done], { type: B.CopyInResponse });
      await client.send([data('2\n'), done], { ready: 1 });
      await client.send([query('COPY t FROM STDIN'), data('3\n'), done, query('SELECT 1')], { ready: 2 });
    },
    lines: [
      '#1 committed writes',
      '  0: F Query / F CopyData / F CopyDone / F CopyData / F CopyDone |42 |54 -> complete COPY 1, complete COPY 1 I',
      '#2 committed writes',
      '  0: F Query / F CopyData / F CopyDone -> complete COPY 1 I',
      '#3 committed',
      '  0: F Query -> complete SELECT 1 rows=1 I',
    ],
  },
  {
    name: 'a bad row ends COPY IN at once: the server eats what still comes, in silence',
    talk: async (client) => {
      await client.send([query('COPY t FROM STDIN')], { type: B.CopyInResponse });
      await client.send([data('bad\n'), data('2\n')], { ready: 1 });
      await client.send([data('3\n'), done]);
      await client.query('SELECT 1');
      await client.send([...extended('COPY t FROM STDIN'), sync], { type: B.CopyInResponse });
      await client.send([data('bad\n'), data('2\n')], { type: B.ErrorResponse });
      await client.send([data('3\n'), done, sync], { ready: 1 });
      await client.query('SELECT 2');
      await client.send([query('COPY missing FROM STDIN'), data('1\n'), done], { ready: 1 });
      await client.query('SELECT 3');
    },
    lines: [
      '#1 failed',
      '  0: F Query / F CopyData x2 |23 -> error 22P02 I',
      '#2 committed',
      '  0: F CopyData / F CopyDone / F Query -> complete SELECT 1 rows=1 I',
      '#3 failed',
      '  0: F Parse / F Bind / F Execute / F Sync / F CopyData x3 / F CopyDone / F Sync |54 |70 -> error 22P02 I',
      '#4 committed',
      '  0: F Query -> complete SELECT 1 rows=1 I',
      '#5 failed',
      '  0: F Query / F CopyData / F CopyDone -> error 42P01 I',
      '#6 committed',
      '  0: F Query -> complete SELECT 1 rows=1 I',
    ],
  },
  {
    name: 'CopyFail is the client giving up, in either protocol',
    talk: async (client) => {
      await client.send([query('COPY t FROM STDIN')], { type: B.CopyInResponse });
      await client.send([data('1\n'), copyFail], { ready: 1 });
      await client.send([...extended('COPY t FROM STDIN'), sync], { type: B.CopyInResponse });
      await client.send([data('1\n'), copyFail, sync], { ready: 1 });
      await client.query('SELECT 1');
    },
    lines: [
      '#1 failed',
      '  0: F Query / F CopyData / F CopyFail |23 -> error 57014 I',
      '#2 failed',
      '  0: F Parse / F Bind / F Execute / F Sync / F CopyData / F CopyFail / F Sync |54 -> error 57014 I',
      '#3 committed',
      '  0: F Query -> complete SELECT 1 rows=1 I',
    ],
  },
  {
    name: 'Flush is answered without ReadyForQuery, and the places where the client waited are kept',
    talk: async (client) => {
      await client.send([parse('', 'SELECT $1::int'), describeMessage('S'), flush], { type: B.RowDescription });
      await client.send([bind('', '', '7'), execute(), flush], { type: B.CommandComplete });
      await client.send([sync], { ready: 1 });
    },
    lines: [
      '#1 committed',
      '  0: F Parse / F Describe / F Flush / F Bind / F Execute / F Flush / F Sync |35 |68 -> complete SELECT 1 rows=1 I',
    ],
  },
  {
    name: 'a portal with a row limit is suspended and goes on, in its transaction only',
    talk: async (client) => {
      await client.query('BEGIN');
      await client.send([parse('', 'SELECT generate_series(1, 5)'), bind('', 'c'), execute('c', 2), sync], {
        ready: 1,
      });
      await client.send([execute('c', 2), sync], { ready: 1 });
      await client.send([execute('c', 0), close('P', 'c'), sync], { ready: 1 });
      await client.query('COMMIT');
      await client.send([parse('', 'SELECT generate_series(1, 5)'), bind('', 'd'), execute('d', 2), sync], {
        ready: 1,
      });
      await client.send([execute('d', 2), sync], { ready: 1 });
    },
    lines: [
      '#1 committed',
      '  0: F Query -> complete BEGIN T',
      '  1: F Parse / F Bind / F Execute / F Sync -> suspended rows=2 T',
      '  2: F Execute / F Sync -> suspended rows=2 T',
      '  3: F Execute / F Close / F Sync -> complete SELECT 1 rows=1 T',
      '  4: F Query -> complete COMMIT I',
      '#2 committed',
      '  0: F Parse / F Bind / F Execute / F Sync -> suspended rows=2 I',
      '#3 failed',
      '  0: F Execute / F Sync -> error 34000 I',
    ],
  },
  {
    name: 'a cursor WITH HOLD outlives its transaction until it is closed; one without does not',
    talk: (client) =>
      client.query(
        'BEGIN',
        'DECLARE a CURSOR FOR SELECT 1',
        'DECLARE b CURSOR WITH HOLD FOR SELECT generate_series(1, 9)',
        'FETCH 2 FROM b',
        'COMMIT',
        'FETCH 2 FROM b',
        'FETCH a',
        'CLOSE b',
        'SELECT 1',
      ),
    lines: [
      '#1 committed',
      '  0: F Query -> complete BEGIN T',
      '  1: F Query -> complete DECLARE CURSOR T',
      '  2: F Query -> complete DECLARE CURSOR T',
      '  3: F Query -> complete FETCH 2 rows=2 T',
      '  4: F Query -> complete COMMIT I',
      '#2 committed needs:held_cursor',
      '  0: F Query -> complete FETCH 2 rows=2 I',
      '#3 failed needs:held_cursor',
      '  0: F Query -> error 34000 I',
      '#4 committed needs:held_cursor',
      '  0: F Query -> complete CLOSE CURSOR I',
      '#5 committed',
      '  0: F Query -> complete SELECT 1 rows=1 I',
    ],
  },
  {
    name: 'a named Parse that completed survives the error and the rollback after it',
    talk: async (client) => {
      await client.query('BEGIN');
      await client.send([parse('kept', 'SELECT 1'), parse('bad', 'SELEC'), parse('never', 'SELECT 2'), sync], {
        ready: 1,
      });
      await client.query('ROLLBACK');
      await client.send([bind('kept'), execute(), sync], { ready: 1 });
      await client.send([bind('never'), execute(), sync], { ready: 1 });
    },
    lines: [
      '#1 failed',
      '  0: F Query -> complete BEGIN T',
      '  1: F Parse x3 / F Sync -> error 42601 E',
      '  2: F Query -> complete ROLLBACK I',
      '#2 committed <kept>',
      '  0: F Bind / F Execute / F Sync -> complete SELECT 1 rows=1 I',
      '#3 failed',
      '  0: F Bind / F Execute / F Sync -> error 26000 I',
    ],
  },
  {
    name: 'the unnamed statement is replaced by the next Parse, even one that fails, and by a Query',
    talk: async (client) => {
      await client.send([parse('', 'SELECT 1'), sync], { ready: 1 });
      await client.send([bind(), execute(), sync], { ready: 1 });
      await client.send([parse('', 'SELECT 2, 3'), sync], { ready: 1 });
      await client.send([bind(), execute(), sync], { ready: 1 });
      await client.send([parse('', 'SELEC'), sync], { ready: 1 });
      await client.send([bind(), execute(), sync], { ready: 1 });
      await client.send([parse('', 'SELECT 4'), sync], { ready: 1 });
      await client.query('SELECT 5');
      await client.send([bind(), execute(), sync], { ready: 1 });
    },
    lines: [
      '#1 committed',
      '  0: F Parse / F Sync -> nothing I',
      '#2 committed <>',
      '  0: F Bind / F Execute / F Sync -> complete SELECT 1 rows=1 I',
      '#3 committed',
      '  0: F Parse / F Sync -> nothing I',
      '#4 committed <>',
      '  0: F Bind / F Execute / F Sync -> complete SELECT 1 rows=1 I',
      '#5 failed',
      '  0: F Parse / F Sync -> error 42601 I',
      '#6 failed',
      '  0: F Bind / F Execute / F Sync -> error 26000 I',
      '#7 committed',
      '  0: F Parse / F Sync -> nothing I',
      '#8 committed',
      '  0: F Query -> complete SELECT 1 rows=1 I',
      '#9 failed',
      '  0: F Bind / F Execute / F Sync -> error 26000 I',
    ],
  },
  {
    name: 'Close, DEALLOCATE and DISCARD ALL forget statements, and a name can be prepared anew',
    talk: async (client) => {
      const use = (name: string) => client.send([bind(name), execute(), sync], { ready: 1 });
      await client.send(
        [parse('a', 'SELECT 1'), parse('b', 'SELECT 2'), parse('c', 'SELECT 3'), parse('d', 'SELECT 4'), sync],
        { ready: 1 },
      );
      await client.send([close('S', 'a'), sync], { ready: 1 });
      await use('a');
      await client.query('DEALLOCATE b');
      await use('b');
      await client.send([close('S', 'c'), parse('c', 'SELECT 5, 6'), sync], { ready: 1 });
      await use('c');
      await client.query('DISCARD ALL');
      await use('d');
    },
    lines: [
      '#1 committed',
      '  0: F Parse x4 / F Sync -> nothing I',
      '#2 committed',
      '  0: F Close / F Sync -> nothing I',
      '#3 failed',
      '  0: F Bind / F Execute / F Sync -> error 26000 I',
      '#4 committed <b>',
      '  0: F Query -> complete DEALLOCATE I',
      '#5 failed',
      '  0: F Bind / F Execute / F Sync -> error 26000 I',
      '#6 committed',
      '  0: F Close / F Parse / F Sync -> nothing I',
      '#7 committed <c>',
      '  0: F Bind / F Execute / F Sync -> complete SELECT 1 rows=1 I',
      '#8 committed',
      '  0: F Query -> complete DISCARD ALL I',
      '#9 failed',
      '  0: F Bind / F Execute / F Sync -> error 26000 I',
    ],
  },
  {
    name: 'notices, notifications and parameter changes come at any time and end nothing',
    talk: async (client) => {
      await client.query(
        'LISTEN news',
        "DO $$ BEGIN RAISE NOTICE 'hm'; END $$",
        'NOTIFY news',
        "SET TimeZone TO 'Asia/Tokyo'",
        'SELECT 1',
      );
    },
    lines: [
      '#1 committed',
      '  0: F Query -> complete LISTEN I',
      '#2 committed writes needs:listen',
      '  0: F Query -> complete DO I',
      '#3 committed needs:listen',
      '  0: F Query -> complete NOTIFY I',
      '#4 committed needs:listen',
      '  0: F Query -> complete SET I',
      "#5 committed needs:listen {SET TimeZone TO 'Asia/Tokyo'}",
      '  0: F Query -> complete SELECT 1 rows=1 I',
    ],
  },
  {
    name: 'type bytes mean different things by direction: D, S, E, C, H, d, c, f',
    talk: async (client) => {
      await client.send(
        [
          parse('C', 'COPY (SELECT 1) TO STDOUT'),
          describeMessage('S', 'C'),
          bind('C', 'E'),
          describeMessage('P', 'E'),
          execute('E'),
          flush,
          close('P', 'E'),
          close('S', 'C'),
          sync,
        ],
        { ready: 1 },
      );
      await client.query("SET application_name TO 'E'", 'SELECT 1/0');
    },
    lines: [
      '#1 committed',
      '  0: F Parse / F Describe / F Bind / F Describe / F Execute / F Flush / F Close x2 / F Sync -> complete COPY 1 rows=1 I',
      '#2 committed',
      '  0: F Query -> complete SET I',
      "#3 failed {SET application_name TO 'E'}",
      '  0: F Query -> error 22012 I',
    ],
  },
  {
    name: 'an empty query answers I; Describe of a statement answers t and then T or n; a Sync alone is an exchange',
    talk: async (client) => {
      await client.query('', ' ; -- nothing\n');
      await client.send([...extended(''), sync], { ready: 1 });
      await client.send(
        [
          parse('r', 'SELECT $1::int'),
          describeMessage('S', 'r'),
          parse('w', 'INSERT INTO t VALUES ($1)'),
          describeMessage('S', 'w'),
          sync,
        ],
        { ready: 1 },
      );
      await client.send([describeMessage('S', 'r'), describeMessage('S', 'missing'), sync], { ready: 1 });
      await client.send([sync], { ready: 1 });
    },
    lines: [
      '#1 committed',
      '  0: F Query -> empty I',
      '#2 committed',
      '  0: F Query -> empty I',
      '#3 committed',
      '  0: F Parse / F Bind / F Execute / F Sync -> empty I',
      '#4 committed',
      '  0: F Parse / F Describe / F Parse / F Describe / F Sync -> nothing I',
      '#5 failed <r>',
      '  0: F Describe x2 / F Sync -> error 26000 I',
      '#6 committed',
      '  0: F Sync -> nothing I',
    ],
  },
];
