// By what a server is recognised as the captured source, and what is another server after all.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { SourceServer } from '@mirrorstream/domain';
import { SourceGuard, type TargetIdentity } from './source-guard.ts';

const names: Readonly<Record<string, readonly string[]>> = {
  'db.internal': ['10.0.0.1'],
  'primary.internal': ['10.0.0.1'],
  'copy.internal': ['10.0.0.2'],
  localhost: ['127.0.0.1', '::1'],
};

function refusal(server: Partial<SourceServer>, target: Partial<TargetIdentity>): Promise<string> {
  const guard = new SourceGuard({
    servers: () => [{ addresses: [{ host: 'db.internal', port: 5432 }], seenFrom: 'here', ...server }],
    resolve: async (host) => names[host] ?? Promise.reject(new Error('no such name')),
    seenFrom: 'here',
  });
  const configured = target.configured ?? { host: 'copy.internal', port: 5432 };
  const remote = target.remote ?? { host: names[configured.host]?.[0] ?? configured.host, port: configured.port };
  return guard.check({ configured, remote, systemIdentifier: target.systemIdentifier ?? null }).then(
    () => 'none',
    (error: Error & { code?: string }) => {
      assert.equal(error.code, 'targetIsSource');
      return error.message;
    },
  );
}

const at = (host: string, port = 5432) => ({ host, port });

describe('source guard', () => {
  it('recognises the source by its name, by another name of it, and by its address', async () => {
    for (const host of ['db.internal', 'DB.internal.', 'primary.internal', '10.0.0.1', '::ffff:10.0.0.1'])
      assert.match(await refusal({}, { configured: at(host) }), /its address is the source's, db.internal:5432/, host);
    assert.equal(await refusal({}, { configured: at('copy.internal') }), 'none');
    assert.equal(await refusal({}, { configured: at('db.internal', 5433) }), 'none');
    assert.equal(await refusal({}, { configured: at('unknown.internal') }), 'none');
  });

  it('recognises it where the connection leads, whatever the name stood for before', async () => {
    const moved = { configured: at('copy.internal', 6432), remote: at('::ffff:10.0.0.1') };
    assert.match(await refusal({}, moved), /address is the source/);
  });

  it('recognises any of several addresses: after a failover the other one is the source', async () => {
    const addresses = [at('db.internal'), at('copy.internal')];
    assert.match(await refusal({ addresses }, { configured: at('10.0.0.2') }), /copy.internal:5432/);
  });

  it('takes loopback for the same only on the same machine', async () => {
    const addresses = [at('127.0.0.1')];
    assert.match(await refusal({ addresses }, { configured: at('localhost') }), /address is the source/);
    assert.match(await refusal({ addresses }, { configured: at('::1') }), /address is the source/);
    assert.equal(await refusal({ addresses, seenFrom: 'elsewhere' }, { configured: at('localhost') }), 'none');
  });

  it("recognises the cluster's identifier, where it was published and the target told its own", async () => {
    const systemIdentifier = '7412345678901234567';
    assert.match(await refusal({ systemIdentifier }, { systemIdentifier }), /system identifier is the source's/);
    assert.equal(await refusal({ systemIdentifier }, { systemIdentifier: '7' }), 'none');
    assert.equal(await refusal({ systemIdentifier }, {}), 'none');
    assert.equal(await refusal({}, { systemIdentifier }), 'none');
  });
});
