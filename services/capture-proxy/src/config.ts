// The flags of the capture proxy and what they mean.
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { type CaptureLimits, defaultCaptureLimits } from '@mirrorstream/capture';
import { type CaptureSettings, checkName, maxAnswerCapBytes } from '@mirrorstream/domain';
import type { KafkaConnectionOptions } from '@mirrorstream/kafka';
import {
  type FlagTable,
  type FlagValues,
  kafkaFlags,
  kafkaOptionsFrom,
  type LogLevel,
} from '@mirrorstream/service-kit';
import { z } from 'zod';
import { boundFlags, type CaptureBounds, parseBounds, type SupervisorBounds } from './bound-flags.ts';
import { type ConnectionConfig, connectionFlags, parseConnections } from './connection-flags.ts';
import { address, integer, seconds, serverAddresses } from './flag-types.ts';
import type { Forwarding } from './forward/leg.ts';
import type { Address } from './forward/listener.ts';
import { maxRingBytes, minRingBytes } from './ring.ts';

export interface CaptureProxyConfig {
  readonly listen: Address;
  /** Tried in this order for each session. */
  readonly sources: readonly Address[];
  /** Of the source's cluster; null: not said. */
  readonly systemIdentifier: string | null;
  readonly connections: ConnectionConfig;
  readonly sourceName: string;
  readonly node: string;
  /** Processes that share the port; 1: this one alone. */
  readonly workers: number;
  /** In force until the control topic says otherwise. */
  readonly settings: CaptureSettings;
  readonly partitions: number;
  readonly limits: CaptureLimits;
  readonly bounds: CaptureBounds;
  readonly supervisor: SupervisorBounds;
  readonly ringBytes: number;
  readonly publishBufferBytes: number;
  readonly assemblyBytes: number;
  /** Null: no spool. */
  readonly spool: { readonly directory: string; readonly maxBytes: number } | null;
  readonly drainDeadlineMs: number;
  readonly forwarding: Forwarding | 'auto';
  /** Null: capture is off, and nobody can switch it on. */
  readonly kafka: KafkaConnectionOptions | null;
  readonly logLevel: LogLevel;
}

export const flags: FlagTable = [
  {
    name: 'listen',
    placeholder: 'HOST:PORT',
    default: '127.0.0.1:6543',
    description: 'where clients connect; port 0 takes a free one',
  },
  {
    name: 'source',
    placeholder: 'HOST:PORT',
    required: true,
    description: 'the PostgreSQL server behind the proxy; several, with commas, are tried in order for each session',
  },
  {
    name: 'source-name',
    placeholder: 'NAME',
    default: 'source',
    description: 'its name in topics: NAME.envelopes',
  },
  {
    name: 'source-system-identifier',
    placeholder: 'NUMBER',
    description:
      'its cluster (SELECT system_identifier FROM pg_control_system()): no replayer plays to a server that has it',
  },
  {
    name: 'node',
    placeholder: 'NAME',
    description:
      "this proxy's name, kept over restarts and used by no other proxy of the source; the host name by default",
  },
  {
    name: 'workers',
    placeholder: 'COUNT',
    default: '1',
    description: 'processes that share the port, each a whole proxy: for more than one core',
  },
  {
    name: 'capture',
    placeholder: 'on|off',
    default: 'on',
    description: 'off: forward only; with --brokers it can be switched on while running (mirrorstream capture)',
  },
  {
    name: 'sampling',
    placeholder: 'SHARE',
    default: '1',
    description: 'share of the sessions that is captured, 0 to 1; can be changed while running (mirrorstream capture)',
  },
  { name: 'partitions', placeholder: 'COUNT', default: '32', description: 'partitions of the envelopes topic' },
  {
    name: 'answers',
    placeholder: 'none|digest|full',
    default: 'full',
    description: "how much of production's answers is kept",
  },
  {
    name: 'answer-cap',
    placeholder: 'BYTES',
    default: String(defaultCaptureLimits.answerCapBytes),
    description: 'larger answers are kept as digests',
  },
  {
    name: 'ring-bytes',
    placeholder: 'BYTES',
    default: String(64 * 1024 * 1024),
    description: 'shared memory between forwarding and capture; when full, capture is dropped and counted',
  },
  {
    name: 'publish-buffer-bytes',
    placeholder: 'BYTES',
    default: String(64 * 1024 * 1024),
    description: 'what may wait for Kafka in memory; beyond it, capture is spooled, or dropped and counted',
  },
  {
    name: 'assembly-bytes',
    placeholder: 'BYTES',
    default: String(256 * 1024 * 1024),
    description: 'what all sessions together may hold of unfinished transactions; beyond it, the largest are given up',
  },
  {
    name: 'spool-dir',
    placeholder: 'PATH',
    description:
      'folder on disk that bridges an outage of Kafka; without it, what the publish buffer cannot hold is dropped',
  },
  {
    name: 'spool-bytes',
    placeholder: 'BYTES',
    default: String(1024 ** 3),
    description: 'what may lie in the spool, of each worker; beyond it, capture is dropped and counted',
  },
  {
    name: 'drain-deadline',
    placeholder: 'SECONDS',
    default: '30',
    description: 'how long open transactions may take when the proxy is asked to stop',
  },
  {
    name: 'forwarding',
    placeholder: 'auto|handles|streams',
    default: 'auto',
    description: "how bytes are moved: on Node's TCP handles, or on plain streams",
  },
  ...boundFlags,
  ...connectionFlags,
  ...kafkaFlags,
];

const schema = z.object({
  listen: address,
  source: serverAddresses,
  'source-name': z.string(),
  'source-system-identifier': z
    .string()
    .regex(/^\d{1,20}$/, 'must be a decimal number')
    .optional(),
  node: z.string().optional(),
  workers: integer(1, 64),
  capture: z.enum(['on', 'off']),
  sampling: z
    .string()
    .regex(/^(0(\.\d+)?|1(\.0+)?)$/, 'must be from 0 to 1')
    .transform(Number),
  partitions: integer(1, 10_000),
  answers: z.enum(['none', 'digest', 'full']),
  'answer-cap': integer(0, maxAnswerCapBytes),
  'ring-bytes': integer(minRingBytes, maxRingBytes),
  'publish-buffer-bytes': integer(1024 * 1024, 8 * 1024 ** 3),
  'assembly-bytes': integer(8 * 1024 * 1024, 8 * 1024 ** 3),
  'spool-dir': z.string().min(1).optional(),
  'spool-bytes': integer(1024 * 1024, 1024 ** 4),
  'drain-deadline': seconds(),
  forwarding: z.enum(['auto', 'handles', 'streams']),
});

/** Throws a ZodError or `badInput`, naming the flag. */
export function parseConfig(values: FlagValues): CaptureProxyConfig {
  const flag = schema.parse(values);
  const { capture, sampling, answers, 'answer-cap': answerCapBytes } = flag;
  const bounds = parseBounds(values);
  return {
    listen: flag.listen,
    sources: flag.source,
    systemIdentifier: flag['source-system-identifier'] ?? null,
    connections: parseConnections(values),
    sourceName: checkName('source', flag['source-name']),
    node: checkName('capture node', flag.node ?? nodeNameOf(hostname())),
    workers: flag.workers,
    settings: { capture, sampling, answers, answerCapBytes },
    partitions: flag.partitions,
    limits: { ...bounds.limits, answers, answerCapBytes },
    bounds: bounds.capture,
    supervisor: bounds.supervisor,
    ringBytes: flag['ring-bytes'],
    publishBufferBytes: flag['publish-buffer-bytes'],
    assemblyBytes: flag['assembly-bytes'],
    spool:
      flag['spool-dir'] === undefined ? null : { directory: resolve(flag['spool-dir']), maxBytes: flag['spool-bytes'] },
    drainDeadlineMs: flag['drain-deadline'],
    forwarding: flag.forwarding,
    kafka:
      capture === 'on' || values['brokers'] !== undefined
        ? kafkaOptionsFrom(values, `capture-proxy-${flag['source-name']}`)
        : null,
    logLevel: values['log-level'] as LogLevel, // checked by runService
  };
}

/** A host name as a capture node's name: lower case, everything else hyphens. */
export function nodeNameOf(host: string): string {
  const name = host
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 63)
    .replace(/-+$/, '');
  return name === '' ? 'node' : name;
}
