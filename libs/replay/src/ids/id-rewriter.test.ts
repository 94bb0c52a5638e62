import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodeFrontend, type FrontendMessage, WireWriter } from '@mirrorstream/pg-wire';
import fc from 'fast-check';
import { execute, frontend, parse, query, sync } from '../lane.fixture.ts';
import type { TextPlan } from './id-mapping.ts';
import { IdRewriter } from './id-rewriter.ts';
import { idScene, withLiteral, withParameter } from './id-scene.fixture.ts';

const SELECT = 'SELECT name FROM customers WHERE id = $1';
const LITERAL = 'SELECT name FROM customers WHERE id = 41';
const ACCENTED = "SELECT 'é' FROM customers WHERE id = 41";

const bindOf = (values: readonly (string | Uint8Array | null)[], formats: readonly number[] = []): FrontendMessage => ({
  kind: 'bind',
  portal: '',
  statement: 's',
  parameterFormats: [...formats],
  parameters: values.map((value) => (typeof value === 'string' ? Buffer.from(value) : value)),
  resultFormats: [],
});

const plans: Record<string, TextPlan> = {
  [SELECT]: withParameter('customers.id'),
  [LITERAL]: withLiteral(LITERAL, '41', 'customers.id'),
  [ACCENTED]: withLiteral(ACCENTED, '41', 'customers.id'),
};

function scene() {
  const { map, mapping } = idScene(plans);
  map.learn('', 'shop/customers.id', '41', '-7');
  map.learn('', 'shop/customers.id', '40', '40');
  const rewriter = new IdRewriter(map, '');
  rewriter.connected(mapping.plansOf('shop'), 'shop/');
  const ids = { executions: [], rewritten: 0 };
  const sent = (bytes: Uint8Array): string => latin1(rewriter.outgoing(bytes, 0, bytes.length, ids) ?? bytes);
  return { map, rewriter, ids, sent };
}

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
const bytesOf = (...messages: readonly FrontendMessage[]): string => latin1(frontend(...messages));

describe('rewriting what a session sends', () => {
  test('a constant of a Query and of a Parse, wherever it stands in its bytes', () => {
    const { sent, ids } = scene();
    assert.equal(sent(frontend(query(LITERAL))), bytesOf(query('SELECT name FROM customers WHERE id =  -7')));
    assert.equal(sent(frontend(query(ACCENTED))), bytesOf(query("SELECT 'é' FROM customers WHERE id =  -7")));
    assert.equal(
      sent(frontend(parse('x', LITERAL), sync)),
      bytesOf(parse('x', 'SELECT name FROM customers WHERE id =  -7'), sync),
    );
    assert.equal(ids.rewritten, 3);
  });

  test('parameters, in text and in binary, of the statement that was prepared', () => {
    const { sent } = scene();
    const bigint = Buffer.alloc(8);
    bigint.writeBigInt64BE(41n);
    const mapped = Buffer.alloc(8);
    mapped.writeBigInt64BE(-7n);
    assert.equal(
      sent(frontend(parse('s', SELECT), bindOf(['41', '41']), execute, sync)),
      bytesOf(parse('s', SELECT), bindOf(['-7', '41']), execute, sync),
    );
    assert.equal(sent(frontend(bindOf([bigint], [1]), execute, sync)), bytesOf(bindOf([mapped], [1]), execute, sync));
    assert.equal(sent(frontend(bindOf([null]), execute)), bytesOf(bindOf([null]), execute));
  });

  test('a binary parameter that was declared as something else stays', () => {
    const { sent } = scene();
    const declared: FrontendMessage = { kind: 'parse', statement: 's', query: SELECT, parameterTypes: [25] };
    const four = Buffer.from('0041');
    assert.equal(sent(frontend(declared, bindOf([four], [1]))), bytesOf(declared, bindOf([four], [1])));
  });

  test('an id that production drew since and nobody knows goes out as it is, and is told', () => {
    const { sent, ids, map } = scene();
    const request = frontend(parse('s', SELECT), bindOf(['77']), execute, bindOf(['3']), execute, sync);
    assert.equal(sent(request), latin1(request));
    assert.deepEqual(
      ids.executions.map(({ unmapped }) => unmapped),
      [true, false],
    );
    assert.equal(map.counts.unmapped, 1);
  });

  test('a name that another connection knew is not known on the next', () => {
    const { sent, rewriter } = scene();
    sent(frontend(parse('s', SELECT)));
    rewriter.connected(idScene(plans).mapping.plansOf('shop'), 'shop/');
    assert.equal(sent(frontend(bindOf(['41']))), bytesOf(bindOf(['41'])));
  });

  test('a text in another encoding than UTF-8 stays', () => {
    const { rewriter } = scene();
    const bytes = Buffer.from(frontend(query("SELECT 'ee' FROM customers WHERE id = 41")));
    bytes[bytes.indexOf(0x65, 10)] = 0xe9;
    assert.equal(rewriter.outgoing(bytes, 0, bytes.length, null), null);
  });

  test('where no id has a counterpart the very same bytes go out, however they are cut', () => {
    const message = fc.oneof(
      fc.constant(parse('s', SELECT)),
      fc.constant(query(LITERAL.replace('41', '40'))),
      fc.constant(sync),
      fc.constant(execute),
      fc
        .array(fc.option(fc.uint8Array({ maxLength: 20 }), { nil: null }), { maxLength: 3 })
        .map((it) => bindOf(it, [1])),
      fc.uint8Array({ maxLength: 40 }).map((data): FrontendMessage => ({ kind: 'copyData', data })),
      fc
        .string()
        .filter((it) => !it.includes('\0'))
        .map(query),
    );
    const { map } = scene();
    map.learn('', 'shop/customers.id', '41', '41');
    const rewriter = new IdRewriter(map, '');
    rewriter.connected(idScene(plans).mapping.plansOf('shop'), 'shop/');
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 8 }),
        fc.array(fc.nat({ max: 300 }), { maxLength: 4 }),
        (messages, cuts) => {
          const writer = new WireWriter();
          for (const it of messages) encodeFrontend(it, writer);
          const bytes = writer.take();
          rewriter.begin();
          const borders = [0, ...cuts.filter((at) => at < bytes.length).sort((a, b) => a - b), bytes.length];
          for (let i = 1; i < borders.length; i++) {
            const [from, to] = [borders[i - 1] as number, borders[i] as number];
            assert.equal(rewriter.outgoing(bytes, from, to, null), null);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  test('a frame that is cut between two chunks passes, and those behind it are rewritten again', () => {
    const { rewriter } = scene();
    const bytes = frontend(query(LITERAL), query(LITERAL));
    const half = frontend(query(LITERAL)).length;
    assert.equal(rewriter.outgoing(bytes, 0, half - 4, null), null);
    const rest = rewriter.outgoing(bytes, half - 4, bytes.length, null);
    assert.ok(rest !== null);
    const whole = Buffer.concat([bytes.subarray(0, half - 4), rest]);
    assert.equal(latin1(whole), bytesOf(query(LITERAL), query('SELECT name FROM customers WHERE id =  -7')));
  });
});
