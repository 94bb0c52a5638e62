// Flags become a checked configuration, or an error that names the flag.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { defaultCaptureLimits } from '@mirrorstream/capture';
import { MirrorstreamError } from '@mirrorstream/domain';
import { type FlagValues, runService } from '@mirrorstream/service-kit';
import { defaultCaptureBounds, defaultSupervisorBounds } from './bound-flags.ts';
import { flags, nodeNameOf, parseConfig } from './config.ts';

const defaults: FlagValues = {
  ...Object.fromEntries(flags.filter((flag) => flag.default !== undefined).map((flag) => [flag.name, flag.default])),
  source: 'db.example:5432',
  brokers: ['127.0.0.1:9092'],
  'log-level': 'info',
};

describe('the configuration', () => {
  it('has working defaults for everything but source and brokers', () => {
    const config = parseConfig(defaults);
    assert.deepEqual(config.sources, [{ host: 'db.example', port: 5432 }]);
    assert.deepEqual(config.listen, { host: '127.0.0.1', port: 6543 });
    assert.equal(config.partitions, 32);
    assert.equal(config.limits.answers, 'full');
    assert.equal(config.drainDeadlineMs, 30_000);
    assert.match(config.node, /^[a-z0-9][a-z0-9-]*$/);
  });

  it('needs no brokers when nothing is captured', () => {
    assert.equal(parseConfig({ ...defaults, brokers: undefined, capture: 'off' }).kafka, null);
  });

  it('takes IPv6 addresses in brackets', () => {
    assert.deepEqual(parseConfig({ ...defaults, listen: '[::1]:0' }).listen, { host: '::1', port: 0 });
  });

  it('takes several addresses of the source, in order', () => {
    const { sources } = parseConfig({ ...defaults, source: 'one:5432, [::1]:5433' });
    assert.deepEqual(sources, [
      { host: 'one', port: 5432 },
      { host: '::1', port: 5433 },
    ]);
  });

  it('offers TLS to clients as soon as there is a certificate, and passes it through only when told', () => {
    const mode = (values: FlagValues) => parseConfig({ ...defaults, ...values }).connections.clientTls.mode;
    const pair = { 'tls-cert': 'a.pem', 'tls-key': 'a.key' };
    assert.equal(mode({}), 'off');
    assert.equal(mode(pair), 'allow');
    assert.equal(mode({ ...pair, 'client-tls': 'require' }), 'require');
    assert.equal(mode({ 'client-tls': 'passthrough' }), 'passthrough');
    assert.throws(() => mode({ ...pair, 'client-tls': 'passthrough' }), { message: /--tls-cert is given/ });
  });

  for (const [flag, value] of [
    ['source', 'localhost'],
    ['source', 'localhost:0'],
    ['source', 'one:5432,two'],
    ['client-tls', 'yes'],
    ['client-tls', 'require'],
    ['tls-cert', 'only.pem'],
    ['source-tls', 'verify'],
    ['source-tls', 'verify-ca'],
    ['source-tls-ca', 'ca.pem'],
    ['connect-timeout', '0'],
    ['keepalives-count', '128'],
    ['listen', 'localhost:70000'],
    ['partitions', '0'],
    ['answers', 'some'],
    ['ring-bytes', '1'],
    ['drain-deadline', 'soon'],
    ['capture', 'maybe'],
    ['session-bytes', '65536'],
    ['part-bytes', '1000'],
    ['record-bytes', '524288'],
    ['session-statements', 'many'],
    ['look-bytes', '65536'],
    ['kafka-requests', '0'],
    ['route-timeout', '0'],
  ] as const) {
    it(`refuses --${flag} ${value}, naming the flag`, async () => {
      const complaints: string[] = [];
      const code = await runService(
        { name: 'capture-proxy', summary: '', flags, parse: parseConfig, start: () => assert.fail('must not start') },
        ['--source', 'db:5432', '--brokers', '127.0.0.1:9092', `--${flag}`, value],
        {
          environment: {},
          print: () => undefined,
          complain: (line) => complaints.push(line),
          listen: () => () => undefined,
          exitNow: () => assert.fail('must not exit by itself'),
        },
      );
      assert.equal(code, 2);
      assert.match(complaints.join('\n'), new RegExp(`--${flag}`));
    });
  }

  it('takes every bound from its flag', () => {
    const { limits, bounds, supervisor } = parseConfig({
      ...defaults,
      ...{ 'session-bytes': '1000000', 'part-bytes': '100000', 'session-settings': '1', 'session-setting-bytes': '2' },
      ...{ 'session-statements': '3', 'session-statement-bytes': '4', 'resync-pause': '0.2', 'look-bytes': '1000000' },
      ...{ 'record-bytes': '5000', 'gap-sessions': '5', 'kafka-requests': '6', 'kafka-request-bytes': '2000000' },
      ...{ 'record-pool-bytes': '7', 'request-pool-bytes': '8', 'earlier-spool-bytes': '3000000' },
      ...{ 'route-questions': '9', 'route-timeout': '0.5', 'waiting-clients': '10' },
    });
    const { sessionBufferBytes, partBytes, maxSettings, maxSettingBytes, maxStatements, maxStatementBytes } = limits;
    assert.deepEqual([sessionBufferBytes, partBytes, limits.resyncPauseUs], [1_000_000, 100_000, 200_000]);
    assert.deepEqual([maxSettings, maxSettingBytes, maxStatements, maxStatementBytes], [1, 2, 3, 4]);
    assert.deepEqual(bounds, {
      ...{ lookBytes: 1_000_000, recordBytes: 5_000, gapSessions: 5, requests: 6, requestBytes: 2_000_000 },
      ...{ recordPoolBytes: 7, requestPoolBytes: 8, earlierSpoolBytes: 3_000_000 },
    });
    assert.deepEqual(supervisor, { routeQuestions: 9, routeTimeoutMs: 500, waitingClients: 10 });
  });

  it('has the bounds of the code where no flag says otherwise', () => {
    const { limits, bounds, supervisor } = parseConfig(defaults);
    assert.deepEqual(limits, defaultCaptureLimits);
    assert.deepEqual([bounds, supervisor], [defaultCaptureBounds, defaultSupervisorBounds]);
  });

  it('refuses a source name that cannot be part of a topic', () => {
    assert.throws(() => parseConfig({ ...defaults, 'source-name': 'My DB' }), MirrorstreamError);
  });

  it('makes a node name of any host name', () => {
    assert.equal(nodeNameOf('DB-Host_7.example.COM'), 'db-host-7-example-com');
    assert.equal(nodeNameOf('---'), 'node');
    assert.equal(nodeNameOf(`${'a'.repeat(62)}..b`), 'a'.repeat(62));
  });
});
