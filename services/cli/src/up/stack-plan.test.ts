// Tests of the plan: what flags and file together mean, and what is refused.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MirrorstreamError } from '@mirrorstream/domain';
import { parseCommandLine } from '../command-line.ts';
import { parseConfigText } from '../config-file.ts';
import { upCommand } from './flags.ts';
import { replayerStart } from './services.ts';
import { planStack, type StackPlan } from './stack-plan.ts';

const secret = 'hunter2';
const surroundings = { env: { SHOP: `postgres://app:${secret}@db:5432` }, defaultDataDir: '/data' };

function plan(line: string, yaml?: string): StackPlan {
  const flags = parseCommandLine(upCommand, line === '' ? [] : line.split(' '));
  return planStack(flags, yaml === undefined ? null : parseConfigText(yaml, 'm.yaml'), surroundings);
}

/** What the error says, hint included. */
function refusal(line: string, yaml?: string): string {
  try {
    plan(line, yaml);
  } catch (error) {
    assert.ok(error instanceof MirrorstreamError, String(error));
    assert.equal(error.code, 'badInput');
    const said = `${error.message}\n${error.hint}`;
    assert.equal(said.includes(secret), false, 'no password in an error');
    return said;
  }
  return assert.fail(`accepted: ${line} ${yaml}`);
}

const own = '--source postgres://db:5432 --mirror candidate=postgres://pg18:5432';

test('without flags it is the demo on embedded servers', () => {
  const { source, mirrors, workload, kafka, listen, dataDir, forMs } = plan('');
  assert.deepEqual(
    { source, mirrors: mirrors.map((one) => [one.name, one.address]), workload, kafka, listen, dataDir, forMs },
    {
      source: null,
      mirrors: [
        ['candidate', null],
        ['control', null],
      ],
      workload: 'demo',
      kafka: { kind: 'embedded' },
      listen: { host: '127.0.0.1', port: 6543 },
      dataDir: '/data',
      forMs: null,
    },
  );
});

test('with a source of one’s own nothing is sent but what the application sends', () => {
  assert.equal(plan(own).workload, 'none');
  assert.match(refusal(`${own} --workload demo`), /cannot be sent to a source of your own/);
});

test('flags win over the file', () => {
  const yaml = `
source: postgres://db:5432
listen: 127.0.0.1:7000
partitions: 4
mirrors:
  candidate: {url: "postgres://a:5432", pacing: asap, exposure: 0.5}
`;
  const { listen, mirrors, partitions } = plan('--listen 127.0.0.1:8000 --mirror candidate=postgres://b:5433', yaml);
  assert.equal(listen.port, 8000);
  assert.equal(partitions, 4);
  const [candidate] = mirrors;
  assert.deepEqual(
    [candidate?.address?.host, candidate?.address?.port, candidate?.pacing, candidate?.exposure],
    ['b', 5433, 'asap', 0.5],
  );
});

test('an address can stand in an environment variable', () => {
  const { source } = plan('', 'source: {urlEnv: SHOP}\nmirrors: {a: "postgres://m:5432"}');
  assert.deepEqual([source?.host, source?.port], ['db', 5432]);
  assert.match(
    refusal('', 'source: {urlEnv: NOT_SET}\nmirrors: {a: "postgres://m:5432"}'),
    /m\.yaml:1: source\.urlEnv.*NOT_SET is not set/,
  );
});

test('a mirror without a source, and a source without a mirror, are refused', () => {
  assert.match(refusal('--mirror a=postgres://b:1'), /--mirror is given without a source/);
  assert.match(refusal('', 'mirrors:\n  a: postgres://b:1\n'), /m\.yaml:2: mirrors is given without a source/);
  assert.match(refusal('--source postgres://b:1'), /without any mirror/);
});

test('a mirror that is the source itself is refused, under any of its names', () => {
  assert.match(
    refusal('--source postgres://localhost:5432/shop --mirror a=postgres://127.0.0.1/other'),
    /mirror a is the source itself/,
  );
  assert.match(refusal('--source postgres://DB --mirror a=postgresql://db:5432'), /mirror a is the source itself/);
});

test('the proxy cannot be its own source or mirror', () => {
  assert.match(
    refusal(`--source postgres://127.0.0.1:6543 --mirror a=postgres://b`),
    /listen on the source’s own address/,
  );
  assert.match(refusal(`--source postgres://c --mirror a=postgres://127.0.0.1:6543`), /mirror a is the proxy itself/);
});

test('addresses that are none are refused by the flag that gave them', () => {
  assert.match(refusal(`--source ${secret} --mirror a=postgres://b`), /--source is not a URL/);
  assert.match(refusal(`--source mysql://u:${secret}@h --mirror a=postgres://b`), /--source has the scheme mysql/);
  assert.match(refusal(`--source postgres://c --mirror a=http://u:${secret}@h`), /--mirror a has the scheme http/);
  assert.match(refusal('--source postgres://c --mirror postgres://b'), /--mirror is not NAME=URL/);
  assert.match(refusal('--source postgres://c --mirror A_b=postgres://b'), /--mirror is not NAME=URL/);
  assert.match(refusal('--source postgres://c --mirror a=postgres://b --mirror a=postgres://d'), /names a twice/);
  assert.match(refusal('--source postgres://c?sslmode=yes --mirror a=postgres://b'), /--source has an sslmode/);
  assert.match(refusal('--listen 6543'), /--listen is not HOST:PORT/);
  assert.match(refusal('--listen 127.0.0.1:66666'), /--listen is not HOST:PORT/);
});

test('the source’s TLS and the proxy’s own are handed to the proxy', () => {
  const url = 'postgres://c?sslmode=verify-full&sslrootcert=/ca.pem&sslcert=/own.pem&sslkey=/own.key';
  const yaml = 'tls: {mode: require, certFile: /a.pem, keyFile: /a.key}';
  assert.equal(
    plan(`--source ${url} --mirror a=postgres://b`, yaml).proxyTls.join(' '),
    '--source-tls verify-full --source-tls-ca /ca.pem --source-tls-cert /own.pem --source-tls-key /own.key ' +
      '--client-tls require --tls-cert /a.pem --tls-key /a.key',
  );
  const flagsOf = (query: string) => plan(`--source postgres://c${query} --mirror a=postgres://b`).proxyTls.join(' ');
  assert.equal(flagsOf('?sslmode=verify-full&sslrootcert=system'), '--source-tls verify-full');
  assert.equal(flagsOf('?sslmode=prefer'), '--source-tls prefer');
  assert.equal(flagsOf(''), '');
});

test('the proxy’s workers come from the flag, else from the file, else from the proxy', () => {
  const own = '--source postgres://c --mirror a=postgres://b';
  assert.equal(plan(own).workers, null);
  assert.equal(plan(own, 'workers: 2').workers, 2);
  assert.equal(plan(`${own} --workers 3`, 'workers: 2').workers, 3);
  for (const text of ['0', '65', 'two', '1.5', '-1'])
    assert.match(refusal(`${own} --workers=${text}`), /--workers is not a whole number from 1 to 64/);
  assert.match(refusal('', 'workers: 0'), /m\.yaml:1: workers: /);
});

test('the file’s mistakes are named with line and path', () => {
  assert.match(
    refusal('', 'source: postgres://a\nmirrors:\n  b:\n    url: postgres://c\n    exposre: 1\n'),
    /m\.yaml:5: mirrors\.b\.exposre: unknown key Did you mean exposure\?/,
  );
  assert.match(refusal('', 'source: "postgres://a\n'), /m\.yaml:\d+: not valid YAML/);
  assert.match(refusal('', 'partitions: 0\nanswers: all\n'), /m\.yaml:1: partitions: .*\nm\.yaml:2: answers: /);
});

test('durations are read as people write them, and nothing else', () => {
  assert.equal(plan('--for 30s').forMs, 30_000);
  assert.equal(plan('--for 1.5h').forMs, 5_400_000);
  for (const text of ['30', 'abc', '0s', '-5s', '5 m', '40d']) {
    assert.match(refusal(`--for=${text.replace(' ', '')}x`), /--for is not a duration/);
  }
});

test('Kafka of one’s own takes TLS and SASL by flags, and never a password itself', () => {
  const { kafka } = plan(
    '--brokers k1:9092,k2:9092 --kafka-tls-ca ca.pem --kafka-sasl-mechanism plain --kafka-sasl-username u --kafka-sasl-password-env P',
  );
  assert.deepEqual(kafka, {
    kind: 'own',
    access: {
      brokers: ['k1:9092', 'k2:9092'],
      tls: { caFile: 'ca.pem' },
      sasl: { mechanism: 'plain', username: 'u', passwordEnv: 'P' },
    },
  });
  assert.match(refusal('--brokers k1'), /--brokers is not HOST:PORT/);
  assert.match(refusal('--kafka-tls-ca ca.pem'), /--kafka-tls-ca needs --brokers/);
  assert.match(refusal('--brokers k:1 --kafka-sasl-mechanism magic --kafka-sasl-username u'), /is not one of plain/);
  assert.match(refusal('--brokers k:1 --kafka-sasl-mechanism plain --kafka-sasl-username u'), /exactly one is needed/);
});

test('a flag that is unknown, repeated, or without its value is named', () => {
  assert.match(refusal('--sorce postgres://a'), /unknown flag --sorce\nDid you mean --source\?/);
  assert.match(refusal('--for 1s --for 2s'), /--for is given twice/);
  assert.match(refusal('--for'), /--for needs a value/);
  assert.match(refusal('--for --json'), /--for needs a value/);
  assert.match(refusal('--json=yes'), /--json takes no value/);
  assert.match(refusal('demo'), /takes flags only/);
});

test('filters and shedding of the file are handed to the replayer as its flags', () => {
  const yaml = `
source: postgres://db:5432
mirrors:
  candidate:
    url: "postgres://a:5432"
    filters: {includeClasses: [reads, writes], excludeTables: [audit]}
    shed: {readsBehindMs: 5000, skipQueueBytes: 1000000}
`;
  const [mirror] = plan('', yaml).mirrors;
  if (mirror === undefined) throw new Error('there is one');
  const start = { mirror, sourceName: 's', environment: 'e', kafka: { brokers: ['k:1'] }, targetUrl: 'postgres://a' };
  const flags = replayerStart(start).arguments.join(' ');
  assert.match(flags, /--include-class reads --include-class writes --exclude-table audit/);
  assert.match(flags, /--shed-reads-behind-ms 5000 --shed-skip-queue-bytes 1000000/);
});
