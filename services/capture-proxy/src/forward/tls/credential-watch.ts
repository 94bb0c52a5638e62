// Certificates that are renewed under a running proxy: read again when their files change or when told to.
//
// Files are looked at every few seconds rather than watched: a watch is lost when a file is replaced by renaming, which is how
// certificates are renewed. A change is read when it has held still for one look, so that a new certificate is not taken with the
// old key. What cannot be used is told once, and the credentials in use stay.
import { stat } from 'node:fs/promises';
import { type CredentialFiles, type Credentials, loadCredentials } from './credentials.ts';

export interface CredentialWatchEvents {
  onReloaded(credentials: Credentials): void;
  onRejected(error: unknown): void;
}

export class CredentialWatch {
  readonly #files: CredentialFiles;
  readonly #events: CredentialWatchEvents;
  readonly #timer: NodeJS.Timeout;
  #current: Credentials;
  /** Of what is in use, or was refused; and of the last look. */
  #taken: string;
  #seen: string;
  #loading: Promise<void> | null = null;

  private constructor(
    files: CredentialFiles,
    first: { readonly credentials: Credentials; readonly stamp: string },
    events: CredentialWatchEvents,
    everyMs: number,
  ) {
    this.#files = files;
    this.#events = events;
    this.#current = first.credentials;
    this.#taken = first.stamp;
    this.#seen = first.stamp;
    this.#timer = setInterval(() => void this.#look(), everyMs);
    this.#timer.unref();
  }

  /** Throws as `loadCredentials` does. */
  static async start(files: CredentialFiles, events: CredentialWatchEvents, everyMs: number): Promise<CredentialWatch> {
    const stamp = await stampOf(files);
    return new CredentialWatch(files, { credentials: await loadCredentials(files), stamp }, events, everyMs);
  }

  /** For the next handshake; those made earlier live on. */
  get current(): Credentials {
    return this.#current;
  }

  /** Reads the files now. Never rejects. */
  reload(): Promise<void> {
    this.#loading ??= this.#load().finally(() => {
      this.#loading = null;
    });
    return this.#loading;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    const stamp = await stampOf(this.#files);
    const still = stamp === this.#seen;
    this.#seen = stamp;
    if (still && stamp !== this.#taken) await this.reload();
  }

  async #load(): Promise<void> {
    this.#taken = await stampOf(this.#files);
    try {
      this.#current = await loadCredentials(this.#files);
    } catch (error) {
      this.#events.onRejected(error);
      return;
    }
    this.#events.onReloaded(this.#current);
  }
}

/** Changes whenever one of the files does. Follows symbolic links, which is how Kubernetes replaces a secret. */
async function stampOf(files: CredentialFiles): Promise<string> {
  const paths = [files.cert, files.key, files.ca].flatMap((file) => (file === undefined ? [] : [file.path]));
  const stamps = await Promise.all(
    paths.map(async (path) => {
      const entry = await stat(path, { bigint: true }).catch(() => null);
      return entry === null ? 'absent' : `${entry.ino}/${entry.mtimeNs}/${entry.size}`;
    }),
  );
  return stamps.join(' ');
}
