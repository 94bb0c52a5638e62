// The typed window on kafkajs: its protocol and network layers, which lie below its public clients.
//
// Why below: kafkajs's public consumer resends a failed commit in whatever generation it then is, delivers from its fetch
// loop while others wait, and dies on an error it never retries; its public producer sends again by itself and says
// nothing about which partition of a request was refused. Its codecs, SASL, TLS and connections are sound. This window
// is made for exactly one version, checked when it is opened.
import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import { MirrorstreamError } from '@mirrorstream/domain';

export const kafkajsVersion = '2.2.4';

/** One request with its codec, as kafkajs's `lookup` makes it. */
export interface ProtocolRequest {
  readonly request: object;
  readonly response: { decode(raw: Buffer): Promise<unknown>; parse(decoded: unknown): Promise<unknown> };
  readonly requestTimeout?: number;
  readonly logResponseError?: boolean;
}

export interface KafkajsConnection {
  socket?: Socket;
  isConnected(): boolean;
}

export interface KafkajsPool {
  readonly pool: readonly KafkajsConnection[];
  send(request: ProtocolRequest): Promise<unknown>;
}

export interface KafkajsBroker {
  readonly connectionPool: KafkajsPool;
  readonly lookupRequest: (apiKey: number, definition: unknown) => (args: object) => ProtocolRequest;
  isConnected(): boolean;
  connect(): Promise<void>;
  disconnect(): Promise<void>;
}

/** The names of the requests this package sends. */
export type ApiName =
  | 'Produce'
  | 'Fetch'
  | 'ListOffsets'
  | 'Metadata'
  | 'GroupCoordinator'
  | 'JoinGroup'
  | 'SyncGroup'
  | 'Heartbeat'
  | 'LeaveGroup'
  | 'OffsetCommit'
  | 'OffsetFetch'
  | 'DeleteGroups'
  | 'DeleteRecords'
  | 'DescribeGroups'
  | 'CreateTopics'
  | 'DeleteTopics'
  | 'DescribeConfigs';

export interface KafkajsInternals {
  readonly Broker: new (options: object) => KafkajsBroker;
  readonly ConnectionPool: new (options: object) => KafkajsPool;
  readonly Connection: { readonly prototype: object };
  readonly RequestQueue: { readonly prototype: object };
  readonly apiKeys: Readonly<Record<string, number>>;
  readonly requests: Readonly<Record<string, unknown>>;
  readonly errorTypes: ReadonlyMap<number, string>;
  readonly compressionCodecs: Record<number, () => CompressionCodec>;
  readonly MemberMetadata: {
    encode(value: { version: number; topics: readonly string[]; userData?: Buffer }): Buffer;
    decode(bytes: Buffer): { topics: string[]; userData: Buffer | null };
  };
  readonly MemberAssignment: {
    encode(value: { version: number; assignment: Record<string, number[]> }): Buffer;
    decode(bytes: Buffer): { assignment: Record<string, number[]> } | null;
  };
}

export interface CompressionCodec {
  compress(encoder: { readonly buffer: Buffer }): Promise<Buffer>;
  decompress(bytes: Buffer): Promise<Buffer>;
}

/** kafkajs's CommonJS loader: modules replaced in its cache before first use are seen by kafkajs itself. */
const require = createRequire(import.meta.url);

export { require as kafkajsRequire };

/** The version of the kafkajs that is installed. */
export function installedKafkajsVersion(): string {
  return (require('kafkajs/package.json') as { version: string }).version;
}

/** Opens the window. Throws `missingPrerequisite` when another version of kafkajs is installed. */
export function loadKafkajsInternals(): KafkajsInternals {
  const found = installedKafkajsVersion();
  if (found !== kafkajsVersion) {
    throw new MirrorstreamError('missingPrerequisite', `kafkajs ${found} is installed, ${kafkajsVersion} is needed`, {
      stage: 'kafka',
      hint: 'Run npm ci; this package reaches below the public interface of kafkajs and was made for one version.',
    });
  }
  const protocol = require('kafkajs/src/protocol/requests') as { requests: Record<string, unknown> };
  const errors = require('kafkajs/src/protocol/error') as { errorCodes: { code: number; type: string }[] };
  const assigner = require('kafkajs/src/consumer/assignerProtocol') as Pick<
    KafkajsInternals,
    'MemberMetadata' | 'MemberAssignment'
  >;
  const compression = require('kafkajs/src/protocol/message/compression') as {
    Codecs: Record<number, () => CompressionCodec>;
  };
  return {
    Broker: require('kafkajs/src/broker') as KafkajsInternals['Broker'],
    ConnectionPool: require('kafkajs/src/network/connectionPool') as KafkajsInternals['ConnectionPool'],
    Connection: require('kafkajs/src/network/connection') as KafkajsInternals['Connection'],
    RequestQueue: require('kafkajs/src/network/requestQueue') as KafkajsInternals['RequestQueue'],
    apiKeys: require('kafkajs/src/protocol/requests/apiKeys') as Record<string, number>,
    requests: protocol.requests,
    errorTypes: new Map(errors.errorCodes.map(({ code, type }) => [code, type])),
    compressionCodecs: compression.Codecs,
    MemberMetadata: assigner.MemberMetadata,
    MemberAssignment: assigner.MemberAssignment,
  };
}
