// Flags become a checked configuration, or an error that names the flag.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MirrorstreamError } from '@mirrorstream/domain';
import { type FlagValues, runService } from '@mirrorstream/service-kit';
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

  it('refuses a source name that cannot be part of a topic', () => {
    assert.throws(() => parseConfig({ ...defaults, 'source-name': 'My DB' }), MirrorstreamError);
  });

  it('makes a node name of any host name', () => {
    assert.equal(nodeNameOf('DB-Host_7.example.COM'), 'db-host-7-example-com');
    assert.equal(nodeNameOf('---'), 'node');
    assert.equal(nodeNameOf(`${'a'.repeat(62)}..b`), 'a'.repeat(62));
  });
});
