// Tests of the configuration file's shape.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkConfig, configPath, nearestWord } from './config.ts';

const issuesOf = (value: unknown): string[] => {
  const check = checkConfig(value);
  return check.kind === 'ok' ? [] : check.issues.map((one) => `${configPath(one.path)}: ${one.message}`);
};

test('a full file is accepted as it stands', () => {
  const check = checkConfig({
    source: { name: 'shop', urlEnv: 'SHOP_URL' },
    environment: 'upgrade-18',
    listen: '127.0.0.1:6432',
    kafka: {
      brokers: ['kafka1:9093'],
      tls: { caFile: '/etc/kafka/ca.pem' },
      sasl: { mechanism: 'scram-sha-512', username: 'mirror', passwordEnv: 'KAFKA_PASSWORD' },
    },
    partitions: 8,
    workers: 2,
    answers: 'digest',
    mirrors: {
      candidate: { urlEnv: 'CANDIDATE_URL', pacing: 'asap', exposure: 0.1, filters: { excludeUsers: ['batch'] } },
      control: 'postgres://mirror@db2:5432',
    },
  });
  assert.equal(check.kind, 'ok');
  assert.deepEqual(check.kind === 'ok' && check.config.mirrors?.['control'], { url: 'postgres://mirror@db2:5432' });
});

test('an empty file is a valid file', () => {
  assert.equal(checkConfig(null).kind, 'ok');
});

test('an unknown key is named with its path and the nearest known word', () => {
  const check = checkConfig({ mirrors: { candidate: { url: 'postgres://a', exposre: 0.5 } } });
  assert.deepEqual(check, {
    kind: 'invalid',
    issues: [{ path: ['mirrors', 'candidate', 'exposre'], message: 'unknown key', hint: 'Did you mean exposure?' }],
  });
});

test('an unknown key that resembles nothing gets the list of what is known there', () => {
  const check = checkConfig({ source: { url: 'postgres://a', zzz: 1 } });
  assert.ok(check.kind === 'invalid');
  assert.equal(check.issues[0]?.hint, 'Known here: name, systemIdentifier, url, urlEnv.');
});

test('a mirror’s users are others there, each with at most one place of a password', () => {
  const users = (it: unknown) => issuesOf({ mirrors: { a: { url: 'x', users: it } } });
  assert.deepEqual(users({ app: { user: 'app_copy', passwordEnv: 'P' }, report: { user: 'reader' } }), []);
  assert.deepEqual(users({ app: { user: 'b', passwordEnv: 'P', passwordFile: '/p' } }), [
    'mirrors.a.users.app: has both passwordEnv and passwordFile',
  ]);
  assert.deepEqual(users({ app: { user: 'b', password: 'hunter2' } }), ['mirrors.a.users.app.password: unknown key']);
  assert.match(users({ 'a,b': { user: 'c' } })[0] ?? '', /^mirrors\.a\.users\.a,b: must not hold/);
});

test('values out of range are refused by path', () => {
  assert.match(issuesOf({ partitions: 0 })[0] ?? '', /^partitions: /);
  assert.match(issuesOf({ mirrors: { a: { url: 'x', exposure: 2 } } })[0] ?? '', /^mirrors\.a\.exposure: /);
  assert.match(issuesOf({ mirrors: { a: { url: 'x', pacing: 'fast' } } })[0] ?? '', /^mirrors\.a\.pacing: /);
  assert.match(issuesOf({ mirrors: { 'A b': 'x' } })[0] ?? '', /^mirrors\.A b: must be lower-case/);
  assert.match(issuesOf([1])[0] ?? '', /^\(top level\): /);
});

test('a mirror needs exactly one of url and urlEnv', () => {
  assert.deepEqual(issuesOf({ mirrors: { a: {} } }), ['mirrors.a: needs url or urlEnv']);
  assert.deepEqual(issuesOf({ mirrors: { a: { url: 'x', urlEnv: 'Y' } } }), ['mirrors.a: has both url and urlEnv']);
});

test('a Kafka password can only be named, and only for brokers of one’s own', () => {
  const sasl = { mechanism: 'plain', username: 'u' };
  assert.deepEqual(issuesOf({ kafka: { brokers: ['k:1'], sasl } }), [
    'kafka.sasl: needs exactly one of passwordEnv and passwordFile',
  ]);
  assert.match(
    issuesOf({ kafka: { brokers: ['k:1'], sasl: { ...sasl, password: 'p' } } })[0] ?? '',
    /sasl\.password: unknown key/,
  );
  assert.deepEqual(issuesOf({ kafka: { sasl: { ...sasl, passwordEnv: 'P' } } }), ['kafka: tls and sasl need brokers']);
});

test('no message repeats a value of the file', () => {
  const secret = 'hunter2';
  const said = JSON.stringify([
    checkConfig({ source: { url: ['postgres://u:hunter2@a'] } }),
    checkConfig({ partitions: secret, answers: secret }),
    checkConfig({ kafka: { brokers: secret } }),
  ]);
  assert.doesNotMatch(said, /hunter2/);
});

test('the nearest word is found for a slip of the finger and not for anything else', () => {
  assert.equal(nearestWord('mirors', ['mirrors', 'source']), 'mirrors');
  assert.equal(nearestWord('statsu', ['up', 'status']), 'status');
  assert.equal(nearestWord('dashboard', ['up', 'status']), undefined);
});

test('filters and shedding of a mirror are the words of its flags, and stages come in their order', () => {
  const withMirror = (mirror: object): string[] =>
    issuesOf({ source: 'postgres://a', mirrors: { b: { url: 'postgres://c', ...mirror } } });
  assert.deepEqual(withMirror({ filters: { excludeTables: ['audit'], includeTimes: ['08:00-18:00'] } }), []);
  assert.deepEqual(withMirror({ shed: { readsBehindMs: 5000, skipBehindMs: 60_000, recoverShare: 0.3 } }), []);
  assert.match(withMirror({ filters: { includeClass: ['reads'] } }).join(), /filters\.includeClass: unknown key/);
  assert.match(withMirror({ filters: { includeClasses: ['dml'] } }).join(), /filters\.includeClasses\.0/);
  assert.match(
    withMirror({ shed: { readsBehindMs: 9, skipBehindMs: 9 } }).join(),
    /mirrors\.b\.shed: --shed-skip-behind-ms must be above/,
  );
});
