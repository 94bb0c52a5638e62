import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { htmlReport } from './html/page.ts';
import { jsonReport } from './json.ts';
import { junitReport } from './junit.ts';
import { markdownReport } from './markdown.ts';
import { makeReport } from './report.ts';
import { parseRule } from './rules.ts';
import { finding, hostile, sources } from './sources.fixture.ts';
import { XMLParser } from './xml-reader.fixture.ts';

const rules = ['errors.new==0', 'divergence.rate<0.1%'].map(parseRule);
const whole = makeReport(sources(), rules, true);

describe('a report', () => {
  it('says in a sentence what would break, be slower, or may be noise', () => {
    assert.equal(whole.verdict.level, 'bad');
    assert.match(
      whole.verdict.sentence,
      /On candidate 2 kinds of statement would break, 1 kind is slower and 1 difference may be noise; 48.310 statements compared\./,
    );
    const clean = makeReport(sources({ findings: [], performance: [] }), [], false);
    assert.equal(clean.verdict.level, 'good');
    assert.match(clean.verdict.sentence, /candidate answers as production does/);
  });

  it('never calls a mirror good on which nothing was compared', () => {
    const { statements } = sources();
    const none = Object.fromEntries(
      Object.keys(statements).map((name) => [name, name === 'notCompared' ? 5 : 0]),
    ) as typeof statements;
    const found = makeReport(sources({ findings: [], performance: [], statements: none }), [], false);
    assert.deepEqual(found.verdict, {
      level: 'unknown',
      sentence: 'Nothing was compared on candidate: nothing can be said of it.',
    });
  });

  it('excuses nothing where no control mirror could', () => {
    const found = makeReport(
      sources({ controls: [], performance: [], findings: [finding({ decision: 'undecided' })] }),
      [],
      false,
    );
    assert.equal(found.verdict.level, 'bad');
    assert.match(
      found.verdict.sentence,
      /On candidate 1 kind of statement differs \(no control mirror tells what of it is noise\)/,
    );
    assert.match(htmlReport(found), /What differs/);
    assert.ok(!htmlReport(found).includes('No difference that is beyond doubt'));
    assert.equal(XMLParser.read(junitReport(found)).failures, 1);
  });

  it('puts each finding in one place', () => {
    const ids = (list: readonly { readonly id: string }[]): string[] => list.map(({ id }) => id);
    assert.deepEqual(ids(whole.real), ['0123456789ab', '00000000000e']);
    assert.deepEqual(ids(whole.undecided), ['00000000000d']);
    assert.deepEqual(ids(whole.noise), ['00000000000c']);
    assert.deepEqual(ids(whole.suppressed), ['00000000000b']);
  });

  it('says when the numbers do not add up', () => {
    assert.equal(whole.balanced, true);
    const { account } = sources();
    const lost = makeReport(sources({ account: { ...account, replayed: account.replayed - 1 } }), [], false);
    assert.equal(lost.balanced, false);
    assert.match(htmlReport(lost), /The numbers do not add up/);
    assert.match(markdownReport(lost), /do not add up/);
  });

  it('passes when every rule holds', () => {
    assert.equal(whole.passed, false);
    assert.equal(makeReport(sources({ findings: [finding({ decision: 'noise' })] }), rules, false).passed, true);
  });

  it('has no value of the application in any format unless it may', () => {
    const secret = 'SECRET-4711';
    const [first] = sources().findings;
    const [exemplar] = first?.exemplars ?? [];
    if (exemplar === undefined) throw new Error('the fixture has an exemplar');
    const keeps = finding({ exemplars: [{ ...exemplar, sql: secret, detail: secret }] });
    for (const render of [htmlReport, jsonReport, markdownReport, junitReport]) {
      const text = render(makeReport(sources({ findings: [keeps], plans: [] }), [], false));
      assert.ok(!text.includes(secret) && !text.includes('was "'), render.name);
    }
    assert.ok(htmlReport(makeReport(sources({ findings: [keeps] }), [], true)).includes(secret));
  });
});

describe('the page', () => {
  const page = htmlReport(whole);

  it('holds nothing that hostile text brought along', () => {
    // What stands between < and > is the template's own: names of elements and attributes from a short list.
    const tags = [...page.matchAll(/<\/?([a-z0-9!]+)([^>]*)>/gi)];
    const elements = new Set(tags.map(([, name]) => name?.toLowerCase()));
    for (const name of ['script', 'img', 'iframe', 'a', 'link', 'object', 'form', 'base'])
      assert.ok(!elements.has(name), name);
    for (const [tag, , attributes = ''] of tags) assert.ok(!/\son\w+\s*=/i.test(attributes), tag);
    assert.ok(!page.includes(hostile));
    assert.ok(page.includes('&lt;script&gt;alert(1)&lt;/script&gt;'));
    assert.ok(!page.includes('\u0007') && !page.includes('\u202e'));
  });

  it('asks for nothing: no address, no import, and a policy that forbids both', () => {
    assert.match(page, /Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'/);
    const style = /<style>([\s\S]*?)<\/style>/.exec(page)?.[1] ?? '';
    assert.ok(style.length > 500 && !/url\(|@import/.test(style));
    assert.ok(!/\s(?:src|href)\s*=/.test(page.replaceAll(/&[a-z#0-9]+;[^<]*/g, '')));
  });

  it('is small, and has all its sections', () => {
    assert.ok(Buffer.byteLength(page) < 60_000, `${Buffer.byteLength(page)} bytes`);
    for (const title of [
      'Every transaction',
      'How faithful',
      'What would break',
      'Not decided yet',
      'Speed',
      'Errors, before and after',
      'Lag over time',
      'Noise',
      'Hidden on purpose',
      'What was not compared',
      'The servers',
      'does not know',
    ])
      assert.ok(page.includes(title), title);
    assert.match(page, /mirrorstream inspect 3:18204:1 --mirror candidate/);
  });

  it('shows two examples of a finding whole, and names the others', () => {
    const [exemplar] = finding().exemplars;
    if (exemplar === undefined) throw new Error('the fixture has an exemplar');
    const exemplars = [1, 2, 3, 4].map((index) => ({ ...exemplar, envelope: { ...exemplar.envelope, index } }));
    const shown = htmlReport(makeReport(sources({ findings: [finding({ exemplars })] }), [], false));
    assert.equal(shown.match(/<h3>Example /g)?.length, 2);
    assert.match(shown, /Other examples: 3:18204:3, 3:18204:4</);
  });

  it('stays within bounds for ten thousand findings', () => {
    const findings = Array.from({ length: 10_000 }, (_, i) =>
      finding({ id: String(i), fingerprint: String(i), exemplars: [] }),
    );
    const large = htmlReport(makeReport(sources({ findings }), [], false));
    assert.ok(large.includes('… and 9800 more'));
    assert.ok(Buffer.byteLength(large) < 1_000_000, `${Buffer.byteLength(large)} bytes`);
  });
});

describe('the other formats', () => {
  it('JSON comes back as it was', () => {
    const read = JSON.parse(jsonReport(whole)) as typeof whole;
    assert.equal(read.schema, 'mirrorstream.report/1');
    assert.deepEqual(read.rules, whole.rules);
    assert.equal(read.real[0]?.examples[0]?.envelope, '3:18204:1');
  });

  it('Markdown has no markup that hostile text brought along', () => {
    const text = markdownReport(whole);
    assert.match(text, /## On candidate 2 kinds/);
    assert.match(text, /\| `errors\.new==0` \| \*\*fails\*\* \| errors\.new is 9 \|/);
    assert.ok(!/<script|<img|\]\(http/.test(text.replaceAll(/`[^`\n]*`/g, '')), text);
    for (const line of text.split('\n').filter((one) => one.startsWith('|'))) assert.ok(line.endsWith('|'), line);
  });

  it('JUnit is well-formed, with a case for each rule and each finding', () => {
    const { cases, failures } = XMLParser.read(junitReport(whole));
    assert.deepEqual(
      cases.map(({ kind }) => kind),
      ['failure', 'passed', 'skipped', 'skipped', 'skipped'],
    );
    assert.equal(failures, 1);
    const strict = XMLParser.read(junitReport(makeReport(sources(), [], false)));
    assert.deepEqual(
      strict.cases.map(({ kind }) => kind),
      ['failure', 'failure', 'skipped'],
    );
  });
});
