// The report as JUnit XML: a test case for each rule and each finding, as pipelines show them.
import { classWords } from './html/words.ts';
import type { Report, ShownFinding } from './report.ts';

const maxNameChars = 200;

/**
 * With rules, they alone decide: a finding is then skipped, not failed. Without, each finding that is beyond doubt has failed, and where no
 * control mirror could excuse one, each finding.
 */
export function junitReport({ rules, real, undecided, controls, sources, verdict }: Report): string {
  const strict = rules.length === 0;
  const cases = [
    ...rules.map(({ rule, passed, said }) =>
      testCase('rules', rule, passed ? '' : element('failure', said, `${rule}: ${said}`)),
    ),
    ...real.map((one) => findingCase(one, strict ? 'failure' : 'skipped')),
    ...undecided.map((one) => findingCase(one, strict && controls.length === 0 ? 'failure' : 'skipped')),
  ];
  const failures = cases.filter((one) => one.includes('<failure')).length;
  const skipped = cases.filter((one) => one.includes('<skipped')).length;
  const name = xml(`mirrorstream ${sources.scope.mirror}`);
  return `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="${name}" tests="${cases.length}" failures="${failures}">
<testsuite name="${name}" tests="${cases.length}" failures="${failures}" errors="0" skipped="${skipped}" timestamp="${new Date(sources.atMs).toISOString()}">
${cases.join('\n')}${cases.length === 0 ? '' : '\n'}<system-out>${xml(verdict.sentence)}</system-out>
</testsuite>
</testsuites>
`;
}

function findingCase(finding: ShownFinding, how: 'failure' | 'skipped'): string {
  const { id, normalizedSql, why, count, compared, examples, decision } = finding;
  const what = classWords[finding.class] ?? finding.class;
  const message = `${what}: ${count} of ${compared} calls, ${decision}`;
  const lines = [why, normalizedSql, ...examples.map(({ envelope, detail }) => `${envelope} ${detail}`)];
  return testCase('findings', `${id} ${what} ${normalizedSql}`, element(how, message, lines.join('\n')));
}

function testCase(className: string, name: string, content: string): string {
  const open = `<testcase classname="mirrorstream.${className}" name="${xml(name.slice(0, maxNameChars))}"`;
  return content === '' ? `${open}/>` : `${open}>${content}</testcase>`;
}

const element = (name: string, message: string, content: string): string =>
  `<${name} message="${xml(message)}">${xml(content)}</${name}>`;

/** Characters that XML 1.0 has no place for become U+FFFD. */
export function xml(value: string): string {
  return value
    .toWellFormed()
    .replace(/(?![\t\n\r\u0080-\u009f])\p{Cc}|[\ufffe\uffff]/gu, '\ufffd')
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/"/g, '&quot;')
    .replace(/'/g, '&apos;');
}
