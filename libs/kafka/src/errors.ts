// What an error of Kafka means here: come again (`kafkaUnavailable`) or never (`kafkaRefused`).
import { MirrorstreamError } from '@mirrorstream/domain';
import { kafkajs } from './patches.ts';

/** Protocol errors that no retry mends. Everything else is temporary or a matter of stale metadata. */
const refusals: ReadonlyMap<string, string> = new Map([
  ['MESSAGE_TOO_LARGE', "Raise the topic's max.message.bytes, or send smaller records."],
  ['RECORD_LIST_TOO_LARGE', "Raise the topic's max.message.bytes, or send smaller requests."],
  ['INVALID_RECORD', 'The topic asks for what the record lacks, for instance a key (compacted topics).'],
  ['INVALID_TIMESTAMP', "Check the clocks, or the topic's message.timestamp.before.max.ms and after.max.ms."],
  ['UNKNOWN_TOPIC', 'Create the topic, or check its name; topics are never created by sending to them.'],
  ['INVALID_TOPIC_EXCEPTION', 'Check the topic name.'],
  ['UNSUPPORTED_COMPRESSION_TYPE', 'The broker does not know this compression.'],
  ['UNSUPPORTED_FOR_MESSAGE_FORMAT', 'The broker is too old.'],
  ['UNSUPPORTED_VERSION', 'The broker is too old or too new for this client.'],
  ['POLICY_VIOLATION', "The broker's policy forbids it: ask whoever runs Kafka."],
  ['TOPIC_AUTHORIZATION_FAILED', 'Grant the user of this service access to the topic.'],
  ['GROUP_AUTHORIZATION_FAILED', 'Grant the user of this service access to the consumer group.'],
  ['CLUSTER_AUTHORIZATION_FAILED', 'Grant the user of this service access to the cluster.'],
  ['INVALID_GROUP_ID', 'Check the group name.'],
  ['INVALID_SESSION_TIMEOUT', "Stay within the broker's group.min/max.session.timeout.ms."],
  [
    'INCONSISTENT_GROUP_PROTOCOL',
    'Members with another assignment strategy are in this group: stop them, or use another group.',
  ],
  ['GROUP_MAX_SIZE_REACHED', 'The group is full.'],
  ['OFFSET_METADATA_TOO_LARGE', "Raise the broker's offset.metadata.max.bytes."],
  ['INVALID_COMMIT_OFFSET_SIZE', 'Commit fewer partitions at once.'],
  ['INVALID_PARTITIONS', 'Check the partition count.'],
  ['INVALID_REPLICATION_FACTOR', 'There are fewer brokers than replicas wanted.'],
  ['INVALID_CONFIG', 'Check the topic settings.'],
  ['SASL_AUTHENTICATION_FAILED', 'Check the SASL user name, password and mechanism.'],
  ['UNSUPPORTED_SASL_MECHANISM', 'Check the SASL mechanism.'],
]);

/** Errors that say: somebody else leads this partition, ask again who. */
const staleLeader: ReadonlySet<string> = new Set([
  'NOT_LEADER_FOR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  'UNKNOWN_TOPIC_OR_PARTITION',
  'REPLICA_NOT_AVAILABLE',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'KAFKA_STORAGE_ERROR',
  'BROKER_NOT_AVAILABLE',
]);

/** kafkajs's own errors that no retry mends. */
const refusalNames: ReadonlySet<string> = new Set([
  'KafkaJSSASLAuthenticationError',
  'KafkaJSNotImplemented',
  'KafkaJSServerDoesNotSupportApiKey',
  'KafkaJSUnsupportedMagicByteInMessageSet',
]);

export const isStaleLeader = (type: string): boolean => staleLeader.has(type);

/** The protocol's name of an error code. */
export function protocolErrorType(code: number): string {
  return kafkajs().errorTypes.get(code) ?? `ERROR_${code}`;
}

/** An error code of an answer as this project's error; `doing` says what was attempted and where. */
export function protocolError(type: string, doing: string): MirrorstreamError {
  const hint = refusals.get(type);
  if (hint === undefined) return kafkaUnavailable(`${doing}: ${type}`);
  return kafkaRefused(`${doing}: ${type}`, hint);
}

export function kafkaUnavailable(message: string, cause?: unknown): MirrorstreamError {
  return new MirrorstreamError('kafkaUnavailable', message, {
    stage: 'kafka',
    retryable: true,
    hint: 'Check that Kafka is running and reachable; it is tried again.',
    cause,
  });
}

export function kafkaRefused(message: string, hint?: string, cause?: unknown): MirrorstreamError {
  return new MirrorstreamError('kafkaRefused', message, {
    stage: 'kafka',
    ...(hint === undefined ? {} : { hint }),
    cause,
  });
}

/** Whatever was thrown on the way to a broker, as this project's error. */
export function asKafkaError(error: unknown, doing: string): MirrorstreamError {
  if (error instanceof MirrorstreamError) return error;
  const { name, type, message } = error as { name?: string; type?: string; message?: string };
  if (type !== undefined && type !== null) return protocolError(type, doing);
  if (name !== undefined && refusalNames.has(name)) {
    const hint = name === 'KafkaJSSASLAuthenticationError' ? refusals.get('SASL_AUTHENTICATION_FAILED') : undefined;
    return kafkaRefused(`${doing}: ${message}`, hint, error);
  }
  return kafkaUnavailable(`${doing}: ${message}`, error);
}
