// The flags of bounds: what each buffer, table and wait of capture may come to. docs/bounds.md says what happens when one is full.
import { type CaptureLimits, checkCaptureLimits, defaultCaptureLimits } from '@mirrorstream/capture';
import { MirrorstreamError } from '@mirrorstream/domain';
import type { FlagTable, FlagValues } from '@mirrorstream/service-kit';
import { z } from 'zod';
import { integer, seconds } from './flag-types.ts';
import { minLookBytes } from './ring.ts';

const kib = 1024;
const mib = 1024 * 1024;

/** Of one worker. Plain data: it is sent to threads and processes. */
export interface CaptureBounds {
  /** What the worker takes out of the ring at a time. */
  readonly lookBytes: number;
  /** A record is cut when so much has gathered. */
  readonly recordBytes: number;
  /** Sessions per partition whose gaps wait to be told one by one. */
  readonly gapSessions: number;
  /** Requests to Kafka under way, and the size of each. */
  readonly requests: number;
  readonly requestBytes: number;
  /** Unused memory kept: of records, and of requests. */
  readonly recordPoolBytes: number;
  readonly requestPoolBytes: number;
  /** Of an earlier incarnation's spool in memory, on its way to Kafka. */
  readonly earlierSpoolBytes: number;
}

/** Of the supervisor of several workers. */
export interface SupervisorBounds {
  readonly routeQuestions: number;
  readonly routeTimeoutMs: number;
  readonly waitingClients: number;
}

export interface Bounds {
  readonly limits: Omit<CaptureLimits, 'answers' | 'answerCapBytes'>;
  readonly capture: CaptureBounds;
  readonly supervisor: SupervisorBounds;
}

export const defaultCaptureBounds: CaptureBounds = {
  lookBytes: 256 * kib,
  recordBytes: 64 * kib,
  gapSessions: 1_000,
  requests: 4,
  requestBytes: 8 * mib,
  recordPoolBytes: 8 * mib,
  requestPoolBytes: 4 * mib,
  earlierSpoolBytes: 8 * mib,
};

export const defaultSupervisorBounds: SupervisorBounds = {
  routeQuestions: 1_024,
  routeTimeoutMs: 5_000,
  waitingClients: 1_024,
};

/** A record and the part that is added to it must be one that Kafka takes: the batcher cuts a partition's batch here, and a topic's own limit is 1 MiB. */
const maxRecordBytes = 900_000;

const flag = (name: string, placeholder: string, value: number, description: string): FlagTable[number] => ({
  name,
  placeholder,
  default: String(value),
  description,
});
const { capture, supervisor, limits } = {
  capture: defaultCaptureBounds,
  supervisor: defaultSupervisorBounds,
  limits: defaultCaptureLimits,
};

export const boundFlags: FlagTable = [
  flag(
    'session-bytes',
    'BYTES',
    limits.sessionBufferBytes,
    'what one session may hold of an unfinished transaction; beyond it, the transaction is given up and counted',
  ),
  flag('part-bytes', 'BYTES', limits.partBytes, 'a long or large transaction is published in parts of this size'),
  flag(
    'session-settings',
    'COUNT',
    limits.maxSettings,
    'settings remembered of a session; with more, its envelopes say that they depend on it',
  ),
  flag('session-setting-bytes', 'BYTES', limits.maxSettingBytes, 'and the size of those settings'),
  flag(
    'session-statements',
    'COUNT',
    limits.maxStatements,
    'prepared statements remembered of a session; what uses another depends on it',
  ),
  flag('session-statement-bytes', 'BYTES', limits.maxStatementBytes, 'and the size of those statements'),
  flag(
    'resync-pause',
    'SECONDS',
    limits.resyncPauseUs / 1_000_000,
    'after a gap, a client that sends without waiting is followed again from its first pause of this length',
  ),
  flag('look-bytes', 'BYTES', capture.lookBytes, 'what capture takes out of the ring at a time'),
  flag('record-bytes', 'BYTES', capture.recordBytes, "a partition's record is cut when so much has gathered"),
  flag(
    'gap-sessions',
    'COUNT',
    capture.gapSessions,
    'sessions of a partition whose gaps wait to be told one by one; further ones are told together',
  ),
  flag('kafka-requests', 'COUNT', capture.requests, 'requests to Kafka under way at once'),
  flag('kafka-request-bytes', 'BYTES', capture.requestBytes, 'size at which such a request is closed'),
  flag('record-pool-bytes', 'BYTES', capture.recordPoolBytes, 'unused memory of records that is kept to be used again'),
  flag('request-pool-bytes', 'BYTES', capture.requestPoolBytes, 'unused memory of requests that is kept'),
  flag(
    'earlier-spool-bytes',
    'BYTES',
    capture.earlierSpoolBytes,
    "what of an earlier incarnation's spool is in memory on its way to Kafka",
  ),
  flag(
    'route-questions',
    'COUNT',
    supervisor.routeQuestions,
    'with --workers: cancels that wait to hear which server their session is on; further ones go as a new session would',
  ),
  flag('route-timeout', 'SECONDS', supervisor.routeTimeoutMs / 1_000, 'and how long such a cancel waits at most'),
  flag(
    'waiting-clients',
    'COUNT',
    supervisor.waitingClients,
    'with --workers: clients that wait while no worker is there; further ones are refused',
  ),
];

const schema = z
  .object({
    'session-bytes': integer(16 * kib, 1024 * mib),
    'part-bytes': integer(16 * kib, 768 * kib),
    'session-settings': integer(0, 10_000),
    'session-setting-bytes': integer(0, 16 * mib),
    'session-statements': integer(0, 100_000),
    'session-statement-bytes': integer(0, 256 * mib),
    'resync-pause': seconds(0.001),
    'look-bytes': integer(minLookBytes, 16 * mib),
    'record-bytes': integer(4 * kib, 768 * kib),
    'gap-sessions': integer(1, 100_000),
    'kafka-requests': integer(1, 64),
    'kafka-request-bytes': integer(1 * mib, 64 * mib),
    'record-pool-bytes': integer(0, 1024 * mib),
    'request-pool-bytes': integer(0, 1024 * mib),
    'earlier-spool-bytes': integer(2 * mib, 1024 * mib),
    'route-questions': integer(0, 100_000),
    'route-timeout': seconds(0.01),
    'waiting-clients': integer(0, 100_000),
  })
  .transform((value) => ({
    limits: {
      ...withoutAnswers(defaultCaptureLimits),
      sessionBufferBytes: value['session-bytes'],
      partBytes: value['part-bytes'],
      maxSettings: value['session-settings'],
      maxSettingBytes: value['session-setting-bytes'],
      maxStatements: value['session-statements'],
      maxStatementBytes: value['session-statement-bytes'],
      resyncPauseUs: value['resync-pause'] * 1_000,
    },
    capture: {
      lookBytes: value['look-bytes'],
      recordBytes: value['record-bytes'],
      gapSessions: value['gap-sessions'],
      requests: value['kafka-requests'],
      requestBytes: value['kafka-request-bytes'],
      recordPoolBytes: value['record-pool-bytes'],
      requestPoolBytes: value['request-pool-bytes'],
      earlierSpoolBytes: value['earlier-spool-bytes'],
    },
    supervisor: {
      routeQuestions: value['route-questions'],
      routeTimeoutMs: value['route-timeout'],
      waitingClients: value['waiting-clients'],
    },
  }));

/** Throws a ZodError or `badInput`, naming the flag. */
export function parseBounds(values: FlagValues): Bounds {
  const bounds = schema.parse(values);
  const { partBytes, sessionBufferBytes } = bounds.limits;
  if (sessionBufferBytes < partBytes)
    throw bad(
      `--session-bytes ${sessionBufferBytes} is below --part-bytes ${partBytes}`,
      'A session must hold a part.',
    );
  if (bounds.capture.recordBytes + partBytes > maxRecordBytes)
    throw bad(
      `--record-bytes and --part-bytes come to more than ${maxRecordBytes}`,
      "A record may be both together, and must be one that Kafka's topic takes (max.message.bytes).",
    );
  checkCaptureLimits({ ...defaultCaptureLimits, ...bounds.limits });
  return bounds;
}

function withoutAnswers({ answers: _answers, answerCapBytes: _cap, ...rest }: CaptureLimits): Bounds['limits'] {
  return rest;
}

const bad = (problem: string, hint: string): MirrorstreamError =>
  new MirrorstreamError('badInput', problem, { stage: 'capture-proxy', hint });
