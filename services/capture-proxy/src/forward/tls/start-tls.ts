// Makes the TLS of both legs ready: reads their files, and reads them again when they change or on SIGHUP.
import type { SourceOptions } from '../connect-source.ts';
import type { ProxyOptions } from '../proxy.ts';
import { CredentialWatch } from './credential-watch.ts';
import type { Credentials } from './credentials.ts';
import type { ClientTlsSettings, SourceTlsSettings } from './tls-settings.ts';

export interface TlsSettings {
  readonly clientTls: ClientTlsSettings;
  readonly sourceTls: SourceTlsSettings;
}

export interface TlsListener {
  onCredentials(leg: 'client' | 'source', credentials: Credentials, reloaded: boolean): void;
  onCredentialsRejected(leg: 'client' | 'source', error: unknown): void;
}

export interface RunningTls {
  readonly clientTls: NonNullable<ProxyOptions['clientTls']>;
  readonly sourceTls: SourceOptions['tls'];
  stop(): void;
}

const lookEveryMs = 5_000;

/** Throws `badInput` that names the file. */
export async function startTls(
  { clientTls, sourceTls }: TlsSettings,
  listener: TlsListener,
  everyMs: number = lookEveryMs,
): Promise<RunningTls> {
  const watches: CredentialWatch[] = [];
  const watch = async (leg: 'client' | 'source', { files }: ClientTlsSettings | SourceTlsSettings) => {
    const events = {
      onReloaded: (credentials: Credentials) => listener.onCredentials(leg, credentials, true),
      onRejected: (error: unknown) => listener.onCredentialsRejected(leg, error),
    };
    const started = await CredentialWatch.start(files, events, everyMs);
    listener.onCredentials(leg, started.current, false);
    watches.push(started);
    return () => started.current;
  };
  const encrypts = clientTls.mode === 'allow' || clientTls.mode === 'require';
  const client = encrypts ? await watch('client', clientTls) : null;
  const source = sourceTls.mode === 'disable' ? null : await watch('source', sourceTls);
  const reload = (): void => {
    for (const one of watches) void one.reload();
  };
  // Without files SIGHUP means what it means to any process.
  if (watches.length > 0) process.on('SIGHUP', reload);
  return {
    clientTls: { mode: clientTls.mode, credentials: client },
    sourceTls: source === null ? null : { mode: sourceTls.mode, serverName: sourceTls.serverName, credentials: source },
    stop: () => {
      process.off('SIGHUP', reload);
      for (const one of watches) one.stop();
    },
  };
}
