// Reads and writes batches, and checks what every consumer relies on.

import type { MessageInitShape } from '@bufbuild/protobuf';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { MirrorstreamError } from '@mirrorstream/domain';
import { schemaVersion } from './batch-encoder.ts';
import { readEnvelopeBatch } from './decode-record.ts';
import { readResultBatch } from './decode-result.ts';
import type { CaptureRecord, EnvelopeBatch } from './gen/mirrorstream/v1/envelope_pb.ts';
import type { EnvelopeRef, ResultBatch } from './gen/mirrorstream/v1/result_pb.ts';
import { ResultBatchSchema } from './gen/mirrorstream/v1/result_pb.ts';
import type { VerdictBatch } from './gen/mirrorstream/v1/verdict_pb.ts';
import { VerdictBatchSchema } from './gen/mirrorstream/v1/verdict_pb.ts';

/**
 * Bytes in it are views of the input, and contexts with the same content are one object: neither may be changed. Throws `undecodable`:
 * not protobuf, a schema version this code does not know, or an identity field missing.
 */
export function decodeEnvelopeBatch(bytes: Uint8Array): EnvelopeBatch {
  const batch = parsed('envelope batch', () => readEnvelopeBatch(bytes));
  checkVersion('envelope batch', batch.schemaVersion);
  require('envelope batch', 'source', batch.source);
  require('envelope batch', 'capture_node', batch.captureNode);
  require('envelope batch', 'incarnation', batch.incarnation);
  batch.records.forEach(checkRecord);
  return batch;
}

/** Throws `undecodable`, see decodeEnvelopeBatch. */
export function decodeResultBatch(bytes: Uint8Array): ResultBatch {
  const batch = parsed('result batch', () => readResultBatch(bytes));
  checkVersion('result batch', batch.schemaVersion);
  require('result batch', 'environment', batch.environment);
  require('result batch', 'mirror', batch.mirror);
  batch.results.forEach((result, index) => {
    checkRef(`result ${index}`, result.ref);
  });
  return batch;
}

/** Throws `undecodable`, see decodeEnvelopeBatch. */
export function decodeVerdictBatch(bytes: Uint8Array): VerdictBatch {
  const batch = parsed('verdict batch', () => fromBinary(VerdictBatchSchema, bytes));
  checkVersion('verdict batch', batch.schemaVersion);
  require('verdict batch', 'environment', batch.environment);
  require('verdict batch', 'mirror', batch.mirror);
  batch.verdicts.forEach((verdict, index) => {
    checkRef(`verdict ${index}`, verdict.ref);
  });
  return batch;
}

/** `schemaVersion` is filled in. */
export function encodeResultBatch(batch: Exclude<MessageInitShape<typeof ResultBatchSchema>, ResultBatch>): Uint8Array {
  return toBinary(ResultBatchSchema, create(ResultBatchSchema, { ...batch, schemaVersion }));
}

/** `schemaVersion` is filled in. */
export function encodeVerdictBatch(
  batch: Exclude<MessageInitShape<typeof VerdictBatchSchema>, VerdictBatch>,
): Uint8Array {
  return toBinary(VerdictBatchSchema, create(VerdictBatchSchema, { ...batch, schemaVersion }));
}

function parsed<T>(what: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw undecodable(`${what} is not valid protobuf`, cause);
  }
}

function checkVersion(what: string, version: number): void {
  if (version >= 1 && version <= schemaVersion) return;
  throw undecodable(`${what} has schema version ${version}; this code reads 1 to ${schemaVersion}`);
}

function require(what: string, field: string, value: string): void {
  if (value === '') throw undecodable(`${what} has no ${field}`);
}

function checkRecord(record: CaptureRecord, index: number): void {
  const { case: kind, value } = record.record;
  switch (kind) {
    case 'envelope':
      require(`record ${index} (envelope)`, 'session_id', value.sessionId);
      if (value.sessionSeq === 0n) throw undecodable(`record ${index} (envelope) has no session_seq`);
      return;
    case 'sessionStart':
    case 'sessionEnd':
      require(`record ${index} (${kind})`, 'session_id', value.sessionId);
      return;
    // A gap need not be of one session; a record kind of a later minor version is for the reader to skip.
    case 'gap':
    case 'heartbeat':
    case undefined:
      return;
    default:
      kind satisfies never;
  }
}

function checkRef(what: string, ref: EnvelopeRef | undefined): void {
  if (ref === undefined) throw undecodable(`${what} does not say which envelope it is about`);
}

function undecodable(message: string, cause?: unknown): MirrorstreamError {
  return new MirrorstreamError('undecodable', message, {
    stage: 'envelope',
    hint: 'Written by a newer version, or not by mirrorstream at all? The record belongs in the dead letter.',
    cause,
  });
}
