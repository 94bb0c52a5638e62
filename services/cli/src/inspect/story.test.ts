import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bind, described, envelope, execute, parse, query, ready, row, sync, tag } from './captured.fixture.ts';
import { formatEnvelopeName, parseEnvelopeName } from './envelope-name.ts';
import { asItIs, redacted } from './redaction.ts';
import { RequestReader } from './request-reading.ts';
import { type Story, tellStory } from './story.ts';
import { storyLines } from './story-text.ts';

const name = { partition: 3, offset: 18_204n, index: 1 };

function story(showValues: boolean): Story {
  const captured = envelope(
    { statements: { s1: 'SELECT name FROM item WHERE id = $1' }, settings: ["SET app.user = 'anna'"] },
    {
      request: [bind('s1', '42'), execute, sync],
      answer: [described('name'), row('secret'), tag('SELECT 1'), ready()],
    },
    {
      request: [query("UPDATE item SET a = 'hidden'\u001b[31m; SELECT 2")],
      answer: [tag('UPDATE 3'), tag('SELECT 1'), ready()],
    },
  );
  return tellStory(
    {
      transaction: { source: 'shop', captureNode: 'node', parts: [{ name, envelope: captured }], complete: true },
      mirror: null,
      run: 'live',
      results: [],
      judgementOf: () => null,
      plansOf: () => [],
      notes: [],
    },
    {
      show: showValues ? asItIs : redacted,
      redacts: !showValues,
      normalize: (sql) => sql.replace(/'[^']*'/g, '?'),
      fingerprint: () => 'f',
    },
  );
}

describe('the story of a transaction', () => {
  it('has the statements with their parameters, and production’s answers', () => {
    const told = story(true);
    assert.equal(told.envelope, '3:18204:1');
    const [first, second] = told.exchanges;
    assert.deepEqual(first?.statements[0]?.parameters, ['42']);
    assert.equal(first?.statements[0]?.sql, 'SELECT name FROM item WHERE id = $1');
    assert.deepEqual(
      second?.statements.map(({ captured }) => captured?.commandTag),
      ['UPDATE 3', 'SELECT 1'],
    );
    assert.equal(second?.doneUs, 150);
    assert.deepEqual(told.session.settings, ["SET app.user = 'anna'"]);
  });

  it('shows no value unless it may', () => {
    const text = JSON.stringify(story(false));
    for (const value of ['42', 'anna', 'secret', 'hidden']) assert.ok(!text.includes(value), `${value} in ${text}`);
    assert.match(text, /‹2 digits›/);
  });

  it('gives a terminal nothing to obey', () => {
    const lines = storyLines(story(true), { columns: 200, colour: false, showValues: true });
    assert.ok(!lines.join('\n').includes('\u001b'));
    assert.ok(lines.some((line) => line.includes('$1 = 42')));
  });
});

describe('reading requests', () => {
  it('knows portals and prepared statements across requests, and never throws', () => {
    const reader = new RequestReader();
    const captured = envelope(
      {},
      { request: [parse('a', 'SELECT $1::int', [23]), sync] },
      { request: [bind('a', null), execute, sync] },
    );
    const [first, second] = captured.exchanges.map(({ request }) => reader.read(request));
    assert.deepEqual(
      first?.map(({ kind }) => kind),
      ['parse'],
    );
    assert.deepEqual(second, [
      {
        kind: 'execute',
        sql: 'SELECT $1::int',
        parameterTypes: [23],
        parameters: [{ typeOid: 23, format: 0, value: null }],
      },
    ]);
    for (let length = 0; length < 40; length++) new RequestReader().read(Buffer.alloc(length, length * 7));
  });
});

describe('names of envelopes', () => {
  it('come back as they were written, and nothing else is one', () => {
    assert.equal(formatEnvelopeName(parseEnvelopeName('3:18204:1') ?? name), '3:18204:1');
    for (const text of ['', '3:1', '3:1:2:4', '-1:1:1', '3:x:1', '3:1:1 '])
      assert.equal(parseEnvelopeName(text), null, text);
  });
});
