// Certificates, keys and CAs: what is refused names the flag and the file; what is replaced is taken, what is broken is not.
import assert from 'node:assert/strict';
import { copyFile, rename, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { createCertificateAuthority, temporaryDirectory, waitFor } from '@mirrorstream/testkit';
import { CredentialWatch } from './credential-watch.ts';
import { type CredentialFiles, type Credentials, loadCredentials } from './credentials.ts';

const authority = createCertificateAuthority();
const dir = temporaryDirectory('credentials');

const filesOf = (cert: string, key: string, ca?: string): CredentialFiles => ({
  cert: { flag: '--tls-cert', path: cert },
  key: { flag: '--tls-key', path: key },
  ...(ca === undefined ? {} : { ca: { flag: '--tls-ca', path: ca } }),
});

async function issued(options = {}): Promise<CredentialFiles> {
  const { certFile, keyFile } = await (await authority).issue(options);
  return filesOf(certFile, keyFile);
}

describe('the TLS files of a leg', () => {
  it('make a context when they belong together', async () => {
    const { certFile, keyFile } = await (await authority).issue();
    const credentials = await loadCredentials(filesOf(certFile, keyFile, (await authority).caFile));
    assert.match(credentials.certificate?.subject ?? '', /CN=localhost/);
    assert.deepEqual([credentials.hasCa, credentials.warnings], [true, []]);
  });

  it('are refused by flag and file when one is missing, no PEM, of another pair, or encrypted', async () => {
    const good = await issued();
    const other = await issued();
    const folder = await dir;
    const noPem = join(folder, 'no.pem');
    await writeFile(noPem, 'secret words');
    const absent = join(folder, 'absent.pem');
    const cert = good.cert?.path ?? '';
    const key = good.key?.path ?? '';
    const refusals: [CredentialFiles, RegExp][] = [
      [filesOf(absent, key), /--tls-cert .*absent\.pem cannot be read \(ENOENT\)/],
      [filesOf(folder, key), /--tls-cert .* cannot be read \(EISDIR\)/],
      [filesOf(noPem, key), /--tls-cert .*no\.pem holds no certificate/],
      [filesOf(cert, noPem), /--tls-key .*no\.pem holds no private key/],
      [filesOf(cert, key, noPem), /--tls-ca .*no\.pem holds no certificate/],
      [filesOf(cert, other.key?.path ?? ''), /does not belong to the certificate/],
    ];
    for (const [files, message] of refusals) {
      await assert.rejects(loadCredentials(files), (error: Error & { code?: string; hint?: string }) => {
        assert.match(error.message, message);
        assert.equal(error.code, 'badInput');
        assert.doesNotMatch(`${error.message} ${error.hint}`, /secret words/);
        return true;
      });
    }
  });

  it('are taken with a warning when the certificate has expired or is not valid yet', async () => {
    const day = 86_400_000;
    const expired = await issued({ notBefore: new Date(Date.now() - 9 * day), notAfter: new Date(Date.now() - day) });
    const early = await issued({ notBefore: new Date(Date.now() + day) });
    assert.match((await loadCredentials(expired)).warnings.join(), /--tls-cert .* expired on /);
    assert.match((await loadCredentials(early)).warnings.join(), /--tls-cert .* is not valid before /);
  });
});

describe('the watch over the TLS files', () => {
  async function watched(t: TestContext) {
    const folder = await temporaryDirectory('renewal');
    const files = filesOf(join(folder, 'cert.pem'), join(folder, 'key.pem'));
    /** As renewal tools do: beside, then renamed; first one file, then the other. */
    const put = async (from: CredentialFiles, which: 'cert' | 'key'): Promise<void> => {
      const to = files[which]?.path ?? '';
      await copyFile(from[which]?.path ?? '', `${to}.new`);
      await rename(`${to}.new`, to);
    };
    const first = await issued();
    await put(first, 'cert');
    await put(first, 'key');
    const reloaded: Credentials[] = [];
    const rejected: unknown[] = [];
    const events = {
      onReloaded: (credentials: Credentials) => reloaded.push(credentials),
      onRejected: (error: unknown) => rejected.push(error),
    };
    const watch = await CredentialWatch.start(files, events, 20);
    t.after(() => watch.stop());
    return { files, put, watch, reloaded, rejected };
  }

  it('takes a new pair by itself', async (t) => {
    const { put, watch, reloaded } = await watched(t);
    const before = watch.current;
    const next = await issued();
    await put(next, 'key');
    await put(next, 'cert');
    await waitFor(() => reloaded.length > 0, { what: 'the new pair' });
    assert.notEqual(watch.current.certificate?.fingerprint256, before.certificate?.fingerprint256);
  });

  it('keeps what it has when a new file is broken, says so once, and takes it when it is mended', async (t) => {
    const { files, put, watch, rejected } = await watched(t);
    const before = watch.current;
    const next = await issued();
    await put(next, 'cert'); // without its key
    await waitFor(() => rejected.length > 0, { what: 'the complaint' });
    assert.equal(watch.current, before);
    await put(next, 'key');
    await waitFor(() => watch.current !== before, { what: 'the new pair' });
    assert.equal(rejected.length, 1);
    await unlink(files.cert?.path ?? '');
    await waitFor(() => rejected.length === 2, { what: 'the complaint about the missing file' });
  });

  it('reads at once when told to', async (t) => {
    const { put, watch, reloaded } = await watched(t);
    watch.stop();
    const next = await issued();
    await put(next, 'key');
    await put(next, 'cert');
    await watch.reload();
    assert.equal(reloaded.length, 1);
  });
});
