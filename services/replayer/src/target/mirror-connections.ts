// How a replayer reaches its mirror: a connector that logs in and refuses the source, and the gate in front of it.
import { type Credentials, SourceGuard, type TargetAddress } from '@mirrorstream/pg-target';
import type { ServiceKit } from '@mirrorstream/service-kit';
import type { ReplayerConfig } from '../config.ts';
import { ConnectionGate, type GateEvents } from './connection-gate.ts';
import { Connector, type ConnectorOptions } from './connector.ts';
import type { SourceWatch } from './source-watch.ts';

export interface MirrorPlaces {
  /** Of the mirror, in the order they are tried. */
  readonly addresses: readonly TargetAddress[];
  readonly credentials: Credentials;
  /** What the mirror must not be. */
  readonly source: SourceWatch;
}

export function createConnector(
  { target, limits, environment, mirror, source: sourceName, run }: ReplayerConfig,
  { addresses, credentials, source }: MirrorPlaces,
  logger: ServiceKit['logger'],
  prepare: ConnectorOptions['prepare'],
): Connector {
  const { connectTimeoutMs } = limits;
  const marks = { environment, mirror, source: sourceName, run };
  return new Connector({
    ...{ addresses, credentials, target, connectTimeoutMs, marks },
    ...(prepare === undefined ? {} : { prepare }),
    guard: new SourceGuard({ servers: () => source.servers }),
    onUnidentified: () =>
      logger.warn(
        { hint: 'GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() to the user, there.' },
        'the mirror does not say which cluster it is: only by its address can it be told from the source',
      ),
  });
}

export function createGate(
  { limits, instance }: ReplayerConfig,
  { addresses }: MirrorPlaces,
  connector: Connector,
  logger: ServiceKit['logger'],
  events: Pick<GateEvents, 'onCrowded' | 'onForbidden'>,
): ConnectionGate {
  return new ConnectionGate(
    { ...limits, addresses: addresses.length },
    {
      ...events,
      nowMs: () => performance.now(),
      chance: Math.random,
      connect: ({ sessionId, context, handlers }, route) => connector.connect(sessionId, context, route, handlers),
      onChange: (state, error) => {
        if (state === 'up') logger.info({ instance }, 'the mirror answers again');
        else logger.warn({ code: error?.code, reason: error?.message, hint: error?.hint }, `the mirror is ${state}`);
      },
    },
  );
}
