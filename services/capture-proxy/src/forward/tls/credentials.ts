// Certificate, key and CA of one leg: read from PEM files, checked against each other, made into a TLS context.
import { constants, createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureContext } from 'node:tls';
import { MirrorstreamError } from '@mirrorstream/domain';

export interface NamedFile {
  /** `--tls-cert`: for messages. */
  readonly flag: string;
  readonly path: string;
}

export interface CredentialFiles {
  readonly cert?: NamedFile;
  readonly key?: NamedFile;
  readonly ca?: NamedFile;
}

export interface Credentials {
  readonly context: SecureContext;
  /** The certificate itself, without those that follow it in its file. */
  readonly certificate: X509Certificate | null;
  readonly hasCa: boolean;
  /** What an operator should know though it works. */
  readonly warnings: readonly string[];
}

const stage = 'capture-proxy';
const pemCertificate = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** Reads and checks. Throws `badInput` that names flag and file, never a line of them. */
export async function loadCredentials(files: CredentialFiles, nowMs: number = Date.now()): Promise<Credentials> {
  const [cert, key, ca] = await Promise.all([files.cert, files.key, files.ca].map(readPem));
  const certificate = cert === null || cert === undefined ? null : certificatesOf(cert)[0];
  if (ca) certificatesOf(ca);
  if (certificate && key) checkPair(certificate, cert as PemFile, key);
  try {
    const context = createSecureContext({
      minVersion: 'TLSv1.2',
      // As PostgreSQL: every connection has a handshake of its own. (Without an id, a client that offers a session would be refused.)
      secureOptions: constants.SSL_OP_NO_TICKET,
      sessionIdContext: 'mirrorstream',
      ...(cert ? { cert: cert.pem } : {}),
      ...(key ? { key: key.pem } : {}),
      ...(ca ? { ca: ca.pem } : {}),
    });
    const warnings = certificate ? validityWarnings(certificate, (cert as PemFile).file, nowMs) : [];
    return { context, certificate: certificate ?? null, hasCa: Boolean(ca), warnings };
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown';
    throw bad(
      `${named(files)} cannot be used for TLS (${code})`,
      'OpenSSL refuses them: a weak key or signature?',
      cause,
    );
  }
}

interface PemFile {
  readonly file: NamedFile;
  readonly pem: string;
}

async function readPem(file: NamedFile | undefined): Promise<PemFile | null> {
  if (file === undefined) return null;
  try {
    return { file, pem: await readFile(file.path, 'utf8') };
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw bad(
      `${file.flag} ${file.path} cannot be read (${code})`,
      code === 'ENOENT' ? 'There is no such file.' : 'May the user that the proxy runs as read it?',
      cause,
    );
  }
}

/** At least one. */
function certificatesOf({ file, pem }: PemFile): X509Certificate[] {
  try {
    const found = (pem.match(pemCertificate) ?? []).map((text) => new X509Certificate(text));
    if (found.length > 0) return found;
  } catch {
    // Said below: OpenSSL's own words help nobody here.
  }
  throw bad(
    `${file.flag} ${file.path} holds no certificate in PEM form`,
    'It must begin with -----BEGIN CERTIFICATE-----.',
  );
}

function checkPair(certificate: X509Certificate, cert: PemFile, key: PemFile): void {
  let matches: boolean;
  try {
    matches = certificate.checkPrivateKey(createPrivateKey(key.pem));
  } catch (cause) {
    throw bad(
      `${key.file.flag} ${key.file.path} holds no private key in PEM form`,
      'It must be unencrypted: the proxy has nobody to ask for a passphrase.',
      cause,
    );
  }
  if (matches) return;
  throw bad(
    `the key ${key.file.path} does not belong to the certificate ${cert.file.path}`,
    `Check ${cert.file.flag} and ${key.file.flag}: both must be of the same pair, the certificate first in its file.`,
  );
}

function validityWarnings(certificate: X509Certificate, { flag, path }: NamedFile, nowMs: number): string[] {
  if (certificate.validToDate.getTime() < nowMs) return [`${flag} ${path} expired on ${certificate.validTo}`];
  if (certificate.validFromDate.getTime() > nowMs)
    return [`${flag} ${path} is not valid before ${certificate.validFrom}`];
  return [];
}

function named(files: CredentialFiles): string {
  const all = [files.cert, files.key, files.ca].filter((file) => file !== undefined);
  return all.length === 0 ? 'the defaults of this Node' : all.map(({ flag, path }) => `${flag} ${path}`).join(', ');
}

function bad(message: string, hint: string, cause?: unknown): MirrorstreamError {
  return new MirrorstreamError('badInput', message, { stage, hint, cause });
}
