// Connects a captured session to the mirror: as whom, to which of its addresses, marked as what.
import type { SessionContext } from '@mirrorstream/envelope';
import {
  type Credentials,
  connectTarget,
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
}

export class Connector {
  readonly #options: ConnectorOptions;

  constructor(options: ConnectorOptions) {
    this.#options = options;
  }

  /** The user that this session has on the mirror. */
  loginOf(context: SessionContext): string {
    const { credentials, addresses } = this.#options;
    return credentials.userOf(addresses[0] as TargetAddress, context.user);
  }

  /** Errors: as connectTarget. */
  async connect(
    sessionId: string,
    context: SessionContext,
    route: number,
    handlers: TargetHandlers,
  ): Promise<TargetConnection> {
    const { addresses, credentials, target, connectTimeoutMs, marks } = this.#options;
    const address = addresses[route] as TargetAddress;
    return connectTarget(
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
  }
}

/** Sessions that start alike; what they change later is taken back. */
export function poolKeyOf({ database, user, startupParameters }: SessionContext): string {
  return JSON.stringify([database, user, startupParameters.map(({ name, value }) => [name, value])]);
}
