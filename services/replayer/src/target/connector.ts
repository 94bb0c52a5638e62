// Connects a captured session to the mirror: as whom, to which of its addresses, marked as what.
import type { SessionContext } from '@mirrorstream/envelope';
import {
  type Credentials,
  connectTarget,
  type SourceGuard,
  systemIdentifierOn,
  type TargetAddress,
  type TargetConnection,
  type TargetHandlers,
} from '@mirrorstream/pg-target';

import type { TargetConfig } from './target-flags.ts';

export interface ConnectorOptions {
  readonly addresses: readonly TargetAddress[];
  readonly credentials: Credentials;
  readonly target: TargetConfig;
  readonly connectTimeoutMs: number;
  /** Become settings `mirrorstream.*` of each session. */
  readonly marks: Readonly<Record<string, string>>;
  readonly guard: SourceGuard;
  /** Of each connection, before anything of the session is sent. Throws when it is lost. */
  readonly prepare?: (context: SessionContext, connection: TargetConnection) => Promise<void>;
  /** The mirror's user may not ask which cluster it is. Once. */
  readonly onUnidentified: () => void;
}

export class Connector {
  readonly #options: ConnectorOptions;
  #toldUnidentified = false;

  constructor(options: ConnectorOptions) {
    this.#options = options;
  }

  /** The user that this session has on the mirror. */
  loginOf(context: SessionContext): string {
    const { credentials, addresses } = this.#options;
    return credentials.userOf(addresses[0] as TargetAddress, context.user);
  }

  /** Throws `targetIsSource` if one of the addresses is the source's, as far as that can be told without connecting. */
  async checkAddresses(): Promise<void> {
    for (const { host, port } of this.#options.addresses)
      await this.#options.guard.check({ configured: { host, port }, remote: { host, port }, systemIdentifier: null });
  }

  /** Errors: as connectTarget; `targetIsSource`, before anything of the session is sent. */
  async connect(
    sessionId: string,
    context: SessionContext,
    route: number,
    handlers: TargetHandlers,
  ): Promise<TargetConnection> {
    const { addresses, credentials, target, connectTimeoutMs, marks } = this.#options;
    const address = addresses[route] as TargetAddress;
    const connection = await connectTarget(
      {
        address,
        user: context.user,
        login: await credentials.loginOf(address, context.user),
        database: context.database,
        startupParameters: context.startupParameters,
        applicationName: 'mirrorstream',
        sessionMark: sessionId,
        marks,
        readOnly: target.readOnly,
        statementTimeoutMs: target.statementTimeoutMs,
        keepAlive: target.keepAlive,
        connectTimeoutMs,
      },
      handlers,
    );
    try {
      await this.#check(connection, address);
      await this.#options.prepare?.(context, connection);
      connection.rebind(handlers);
      return connection;
    } catch (error) {
      connection.destroy();
      throw error;
    }
  }

  /** Of each connection: names and routes change, and a failover makes a standby the source. */
  async #check(connection: TargetConnection, { host, port }: TargetAddress): Promise<void> {
    const { guard, connectTimeoutMs, onUnidentified } = this.#options;
    const systemIdentifier = guard.wantsIdentifier ? await systemIdentifierOn(connection, connectTimeoutMs) : null;
    if (guard.wantsIdentifier && systemIdentifier === null && !this.#toldUnidentified) {
      this.#toldUnidentified = true;
      onUnidentified();
    }
    const remote = { host: connection.remoteAddress, port: connection.remotePort };
    await guard.check({ configured: { host, port }, remote, systemIdentifier });
  }
}

/** Sessions that start alike; what they change later is taken back. */
export function poolKeyOf({ database, user, startupParameters }: SessionContext): string {
  return JSON.stringify([database, user, startupParameters.map(({ name, value }) => [name, value])]);
}
