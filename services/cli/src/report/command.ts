// `mirrorstream report`: findings, speed and fidelity of a mirror in one file, and an exit code by rules.
import { writeFile } from 'node:fs/promises';
import { checkName, exitCodes, MirrorstreamError } from '@mirrorstream/domain';
import type { ServerFacts } from '@mirrorstream/findings';
import { connectKafka } from '@mirrorstream/kafka';
import { readTargetAddresses, type TargetAddress } from '@mirrorstream/pg-target';
import { helpText } from '../command-line.ts';
import { readTarget } from '../history/target.ts';
import { pause, type StackScope, stackScope } from '../stack-scope.ts';
import { htmlReport } from './html/page.ts';
import { jsonReport } from './json.ts';
import { junitReport } from './junit.ts';
import { markdownReport } from './markdown.ts';
import { readSources } from './read-sources.ts';
import { makeReport, type Report } from './report.ts';
import { type ReportFormat, type ReportRequest, readReportRequest, reportCommand } from './request.ts';
import { serverFacts } from './server-facts.ts';

const renderers: Readonly<Record<ReportFormat, (report: Report) => string>> = {
  html: htmlReport,
  json: jsonReport,
  md: markdownReport,
  junit: junitReport,
};

export async function report(argv: readonly string[]): Promise<number> {
  const request = readReportRequest(argv);
  if (request === null) {
    process.stdout.write(helpText(reportCommand));
    return exitCodes.ok;
  }
  const mirror = checkName('mirror', (request.flags.last('mirror') ?? '').split('=')[0] ?? '');
  const scope = await stackScope(reportCommand, request.flags);
  const { servers, notes } = await askServers(request, scope, mirror);
  const client = connectKafka({ ...scope.access, clientId: 'mirrorstream-report' });
  try {
    const admin = await client.admin();
    const sources = await readSources(client, admin, scope, { mirror, run: request.run, servers, notes });
    const made = makeReport(sources, request.rules, request.showValues);
    await put(request, renderers[request.format](made));
    if (request.rules.length > 0) process.stderr.write(`${ruleLines(made).join('\n')}\n`);
    if (!made.balanced) throw unbalanced();
    return made.passed ? exitCodes.ok : exitCodes.found;
  } finally {
    await Promise.race([client.close(), pause(1000)]);
  }
}

async function put({ out }: ReportRequest, text: string): Promise<void> {
  if (out === null) {
    process.stdout.write(text);
    return;
  }
  try {
    await writeFile(out, text);
  } catch (cause) {
    throw new MirrorstreamError('badInput', `${out} cannot be written`, {
      stage: reportCommand.name,
      hint: 'Does its folder exist, and may you write there?',
      cause,
    });
  }
}

const ruleLines = ({ rules }: Report): readonly string[] =>
  rules.map(({ rule, passed, said }) => `${passed ? 'holds' : 'FAILS'}  ${rule}  (${said})`);

/** What is not named is not asked; a server that does not answer is a note, nothing more. */
async function askServers(
  { flags, sourceVariable }: ReportRequest,
  scope: StackScope,
  mirror: string,
): Promise<{ readonly servers: readonly ServerFacts[]; readonly notes: readonly string[] }> {
  const asked: {
    readonly role: ServerFacts['role'];
    readonly name: string;
    readonly address: TargetAddress | undefined;
  }[] = [];
  if (sourceVariable !== null)
    asked.push({
      role: 'source',
      name: scope.source,
      address: (await readTargetAddresses({ env: sourceVariable }, process.env))[0],
    });
  const isNamed = ['target-env', 'target-file', 'file'].some((flag) => flags.has(flag));
  if (isNamed || (flags.last('mirror') ?? '').includes('=') || scope.embeddedMirrors[mirror] !== undefined) {
    const target = await readTarget(reportCommand, flags, process.env, scope.embeddedMirrors);
    const [flag, value = ''] = target.arguments;
    const place = flag === '--target-file' ? { file: value } : { env: value };
    asked.push({
      role: 'mirror',
      name: mirror,
      address: (await readTargetAddresses(place, { ...process.env, ...target.env }))[0],
    });
  }
  const servers: ServerFacts[] = [];
  const notes: string[] = [];
  for (const { role, name, address } of asked) {
    const facts = address === undefined ? null : await serverFacts(role, name, address);
    if (facts === null)
      notes.push(`the ${role === 'source' ? 'source' : 'mirror'} did not say its version and settings`);
    else servers.push(facts);
  }
  if (servers.length === 0 && notes.length === 0)
    notes.push('versions and settings of the servers were not asked for (--mirror NAME=URL, --source-env)');
  return { servers, notes };
}

function unbalanced(): MirrorstreamError {
  return new MirrorstreamError('accountingViolated', 'captured is not the sum of what became of it', {
    stage: reportCommand.name,
    hint: 'mirrorstream status says more. While traffic flows, try once more: snapshots of several services may not fit yet.',
  });
}
