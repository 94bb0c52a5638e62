// Certificates for tests: an authority of the test's own, and what it issues, as PEM files that PostgreSQL accepts.
import { chown, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { unprivilegedUser } from '@mirrorstream/local';
import { temporaryDirectory } from './servers.ts';

export interface CertificateFiles {
  readonly certFile: string;
  /** Mode 0600 and PostgreSQL's own: it refuses a key that others can read. */
  readonly keyFile: string;
}

export interface CertificateOptions {
  /** A server's name, or the user of a client certificate. Default `localhost`. */
  readonly commonName?: string;
  /** Default `localhost`, 127.0.0.1 and ::1. */
  readonly altNames?: readonly string[];
  readonly notBefore?: Date;
  /** Default: in ten days. */
  readonly notAfter?: Date;
}

export interface CertificateAuthority {
  /** For `sslrootcert`, `ssl_ca_file` and the like. */
  readonly caFile: string;
  /** A new pair of files; fit for servers and for clients. */
  issue(options?: CertificateOptions): Promise<CertificateFiles>;
}

const dayMs = 86_400_000;
const algorithm = 'sha256';

/** `ec`: P-256 (quick to make); `rsa`: 2048 bits. Both sign with SHA-256. The files are deleted when this process exits. */
export async function createCertificateAuthority(keyType: 'ec' | 'rsa' = 'ec'): Promise<CertificateAuthority> {
  const { generate } = await import('selfsigned'); // slow to load, and few test files want it
  const dir = await temporaryDirectory('certificates');
  const shared = { algorithm, keyType, keySize: 2048, notBeforeDate: new Date(Date.now() - dayMs) };
  const root = await generate([{ name: 'commonName', value: `Test authority ${keyType}` }], {
    ...shared,
    notAfterDate: new Date(Date.now() + 10 * dayMs),
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
  const caFile = join(dir, 'ca.pem');
  await writeFile(caFile, root.cert);
  let issued = 0;
  const issue = async (options: CertificateOptions = {}): Promise<CertificateFiles> => {
    const { commonName = 'localhost', altNames = ['localhost', '127.0.0.1', '::1'] } = options;
    const { cert, private: key } = await generate([{ name: 'commonName', value: commonName }], {
      ...shared,
      notBeforeDate: options.notBefore ?? shared.notBeforeDate,
      notAfterDate: options.notAfter ?? new Date(Date.now() + 10 * dayMs),
      ca: { key: root.private, cert: root.cert },
      extensions: [
        { name: 'basicConstraints', cA: false, critical: true },
        { name: 'keyUsage', digitalSignature: true, keyEncipherment: keyType === 'rsa', critical: true },
        { name: 'extKeyUsage', serverAuth: true, clientAuth: true },
        { name: 'subjectAltName', altNames: altNames.map(altName) },
      ],
    });
    issued += 1;
    const files = { certFile: join(dir, `${issued}.pem`), keyFile: join(dir, `${issued}.key`) };
    await writeFile(files.certFile, cert);
    await writeFile(files.keyFile, key, { mode: 0o600 });
    const user = unprivilegedUser();
    if (user !== undefined) await chown(files.keyFile, user.uid, user.gid);
    return files;
  };
  return { caFile, issue };
}

function altName(name: string): { type: 2; value: string } | { type: 7; ip: string } {
  return /^[\d.]+$|:/.test(name) ? { type: 7, ip: name } : { type: 2, value: name };
}
