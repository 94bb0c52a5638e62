import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { BackendMessage, FrontendMessage } from '@mirrorstream/pg-wire';
import {
  backend,
  envelope,
  execute,
  frontend,
  LaneStage,
  parse,
  query,
  ready,
  row,
  sync,
  tag,
} from '../lane.fixture.ts';
import { idScene, key, LAST_VALUE, statementPlan, textPlan, withLiteral, withParameter } from './id-scene.fixture.ts';

const INSERT = "INSERT INTO customers (name) VALUES ('a') RETURNING id, name";
const SELECT = 'SELECT name, id FROM customers WHERE id = 41';
const LIST = 'SELECT id, name FROM customers ORDER BY id';
const HEAP = 'SELECT id, name FROM customers';
const PREPARED = 'SELECT name FROM customers WHERE id = $1';
const BARE = "INSERT INTO customers (name) VALUES ('b')";
const LASTVAL = 'SELECT lastval()';

const rows = statementPlan({ outputs: [key('customers.id'), null] });
const scene = (scope: 'mirror' | 'session' = 'mirror') =>
  idScene(
    {
      [INSERT]: textPlan({
        statements: [statementPlan({ outputs: [key('customers.id', true), null], draws: 'customers.id' })],
      }),
      [SELECT]: withLiteral(SELECT, '41', 'customers.id', { outputs: [null, key('customers.id')] }),
      [LIST]: textPlan({ statements: [{ ...rows, sortedByKey: true }] }),
      [HEAP]: textPlan({ statements: [rows] }),
      [PREPARED]: withParameter('customers.id'),
      [BARE]: textPlan({ statements: [statementPlan({ draws: 'customers.id' })] }),
      [LASTVAL]: textPlan({ statements: [statementPlan({ outputs: [key(LAST_VALUE, true)] })] }),
    },
    scope,
  );

type Rows = readonly (readonly string[])[];
const answer = (given: Rows, commandTag: string): BackendMessage[] => [
  ...given.map((each) => row(...each)),
  tag(commandTag),
  ready(),
];

/** One exchange on both sides; what went out, and what came of it. */
function play(
  stage: LaneStage,
  seq: number,
  request: readonly FrontendMessage[],
  captured: readonly BackendMessage[],
  replayed: readonly BackendMessage[],
) {
  const before = stage.effects.length;
  stage.take(envelope({ seq }, { request: frontend(...request), answer: backend(...captured) }));
  if (seq === 1) stage.connect();
  const sent = stage.effects
    .slice(before)
    .map((it) => (it.kind === 'send' ? Buffer.from(it.bytes).toString('latin1') : ''));
  stage.mirror(...replayed);
  const statements = stage.results().at(-1)?.statements ?? [];
  return {
    sent,
    statements,
    marks: statements.map((it) => (it.equal ? '=' : it.notCompared || (it.ids?.mark ?? '') || '≠')),
  };
}

function insert(stage: LaneStage, seq: number, captured: string, replayed: string) {
  return play(
    stage,
    seq,
    [query(INSERT)],
    answer([[captured, 'a']], 'INSERT 0 1'),
    answer([[replayed, 'a']], 'INSERT 0 1'),
  );
}

describe('a session whose ids are mapped', () => {
  test('learns from RETURNING, asks for the mirror’s row, and finds the answers equal', () => {
    const { map, mapping } = scene();
    const stage = new LaneStage({ ids: mapping });
    const inserted = insert(stage, 1, '41', '52');
    assert.deepEqual(inserted.marks, ['equal']);
    assert.deepEqual(inserted.statements[0]?.ids, { rewritten: 0, mark: 'equal', columns: [0] });
    assert.equal(inserted.statements[0]?.capturedRaw.length, 0);
    const selected = play(
      stage,
      2,
      [query(SELECT)],
      answer([['a', '41']], 'SELECT 1'),
      answer([['a', '52']], 'SELECT 1'),
    );
    assert.match(selected.sent.join(), /id = 52/);
    assert.deepEqual(selected.statements[0]?.ids, { rewritten: 1, mark: 'equal', columns: [1] });
    assert.deepEqual([map.counts.learned, map.counts.rewritten, map.counts.unmapped], [1, 1, 0]);
  });

  test('answers that are equal byte by byte stay so where no id says otherwise, and say what was rewritten', () => {
    const { mapping } = scene();
    const stage = new LaneStage({ ids: mapping });
    insert(stage, 1, '41', '52');
    const bind: FrontendMessage = {
      ...{ kind: 'bind', portal: '', statement: 's' },
      ...{ parameterFormats: [], parameters: [Buffer.from('41')], resultFormats: [] },
    };
    const request = [parse('s', PREPARED), bind, execute, sync];
    const begun: BackendMessage[] = [{ kind: 'parseComplete' }, { kind: 'bindComplete' }];
    const answered = [...begun, ...answer([['a']], 'SELECT 1')];
    const { marks, statements, sent } = play(stage, 2, request, answered, answered);
    assert.match(sent.join(), /52/);
    assert.deepEqual([marks, statements[0]?.ids], [['='], { rewritten: 1, mark: '', columns: [] }]);
  });

  test('a difference beside the id stays one; the column of ids is named as explained', () => {
    const { mapping } = scene();
    const stage = new LaneStage({ ids: mapping });
    insert(stage, 1, '41', '52');
    const { marks, statements } = play(
      stage,
      2,
      [query(SELECT)],
      answer([['a', '41']], 'SELECT 1'),
      answer([['b', '52']], 'SELECT 1'),
    );
    assert.deepEqual(marks, ['≠']);
    assert.deepEqual(statements[0]?.ids, { rewritten: 1, mark: '', columns: [1] });
    assert.ok((statements[0]?.replayedRaw.length ?? 0) > 0);
  });

  test('equal bytes that name another row here are a difference', () => {
    const { mapping } = scene();
    const stage = new LaneStage({ ids: mapping });
    insert(stage, 1, '41', '52');
    const same = answer([['41', 'x']], 'SELECT 1');
    const { marks, statements } = play(stage, 2, [query(HEAP)], same, same);
    assert.deepEqual(marks, ['other']);
    assert.ok((statements[0]?.capturedRaw.length ?? 0) > 0);
  });

  test('rows in the order of ids are compared as a set; in another order they are the same in another order', () => {
    const { mapping } = scene();
    const stage = new LaneStage({ ids: mapping });
    insert(stage, 1, '41', '52');
    insert(stage, 2, '42', '51');
    const captured = answer(
      [
        ['41', 'A'],
        ['42', 'B'],
      ],
      'SELECT 2',
    );
    const replayed = answer(
      [
        ['51', 'B'],
        ['52', 'A'],
      ],
      'SELECT 2',
    );
    assert.deepEqual(play(stage, 3, [query(LIST)], captured, replayed).marks, ['equal']);
    assert.deepEqual(play(stage, 4, [query(HEAP)], captured, replayed).marks, ['order']);
    const fewer = answer(
      [
        ['51', 'B'],
        ['52', 'C'],
      ],
      'SELECT 2',
    );
    assert.deepEqual(play(stage, 5, [query(LIST)], captured, fewer).marks, ['≠']);
  });

  test('nothing is learnt where the rows do not go together', () => {
    const { map, mapping } = scene();
    const stage = new LaneStage({ ids: mapping });
    play(
      stage,
      1,
      [query(INSERT)],
      answer(
        [
          ['1', 'a'],
          ['2', 'a'],
        ],
        'INSERT 0 2',
      ),
      answer([['1', 'a']], 'INSERT 0 1'),
    );
    play(
      stage,
      2,
      [query(INSERT)],
      answer(
        [
          ['3', 'a'],
          ['4', 'b'],
        ],
        'INSERT 0 2',
      ),
      answer(
        [
          ['8', 'b'],
          ['9', 'a'],
        ],
        'INSERT 0 2',
      ),
    );
    assert.deepEqual([map.size, map.counts.unpaired], [0, 2]);
    play(
      stage,
      3,
      [query(INSERT)],
      answer(
        [
          ['5', 'a'],
          ['6', 'b'],
        ],
        'INSERT 0 2',
      ),
      answer(
        [
          ['8', 'a'],
          ['9', 'b'],
        ],
        'INSERT 0 2',
      ),
    );
    assert.equal(map.find('', 'shop/customers.id', '6'), '9');
  });

  test('a difference after an id that nobody knows proves nothing', () => {
    const { mapping } = scene();
    const stage = new LaneStage({ ids: mapping });
    insert(stage, 1, '40', '40');
    const { marks } = play(stage, 2, [query(SELECT)], answer([['a', '41']], 'SELECT 1'), answer([], 'SELECT 0'));
    assert.deepEqual(marks, ['idUnmapped']);
  });

  test('lastval() is of the sequence that the session drew from last', () => {
    const { map, mapping } = scene();
    const stage = new LaneStage({ ids: mapping });
    play(stage, 1, [query(LASTVAL)], answer([['7']], 'SELECT 1'), answer([['8']], 'SELECT 1'));
    assert.equal(map.size, 0);
    play(stage, 2, [query(BARE)], answer([], 'INSERT 0 1'), answer([], 'INSERT 0 1'));
    const { marks } = play(stage, 3, [query(LASTVAL)], answer([['41']], 'SELECT 1'), answer([['43']], 'SELECT 1'));
    assert.deepEqual(marks, ['equal']);
    assert.equal(map.find('', 'shop/customers.id', '41'), '43');
  });

  test('with a scope of its own, a session does not use what another one saw', () => {
    const { mapping } = scene('session');
    insert(new LaneStage({ ids: mapping }), 1, '41', '52');
    const other = new LaneStage({ ids: mapping, sessionId: 'session-2' });
    const { sent } = play(
      other,
      1,
      [query(SELECT)],
      answer([['a', '41']], 'SELECT 1'),
      answer([['a', '41']], 'SELECT 1'),
    );
    assert.match(sent.join(), /id = 41/);
  });

  test('a change of the schema is told', () => {
    const { mapping, changes } = scene();
    play(
      new LaneStage({ ids: mapping }),
      1,
      [query('CREATE TABLE t ()')],
      answer([], 'CREATE TABLE'),
      answer([], 'CREATE TABLE'),
    );
    assert.deepEqual(changes, ['shop']);
  });
});
