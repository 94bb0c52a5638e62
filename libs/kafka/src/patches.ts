// Repairs of kafkajs 2.2.4, each small, all applied here and once per thread, before kafkajs first runs.

import { crc32c } from '@node-rs/crc32';
import { type KafkajsInternals, kafkajsRequire, loadKafkajsInternals } from './kafkajs-internals.ts';
import { compressZstd, decompressZstd } from './zstd.ts';

let patched: KafkajsInternals | undefined;

/** The internals of kafkajs, repaired. The first call in a thread applies the repairs. */
export function kafkajs(): KafkajsInternals {
  if (patched === undefined) {
    replaceModule('kafkajs/src/protocol/recordBatch/crc32C/index.js', checksum);
    replaceModule('kafkajs/src/protocol/request.js', frameRequest);
    const internals = loadKafkajsInternals();
    stopIdleTimer(internals.RequestQueue.prototype as RequestQueuePrototype);
    connectOnceAndClean(internals.Connection.prototype as ConnectionPrototype);
    registerZstd(internals);
    patched = internals;
  }
  return patched;
}

/** Takes the place of a module of kafkajs before the modules that capture it are loaded. */
function replaceModule(path: string, replacement: unknown): void {
  const resolved = kafkajsRequire.resolve(path);
  kafkajsRequire(resolved);
  const cached = kafkajsRequire.cache[resolved];
  if (cached !== undefined) cached.exports = replacement;
}

/** The checksum is a loop over bytes in JavaScript: 2.5–3.5 µs per KiB. */
const checksum = (bytes: Buffer): number => crc32c(bytes);

interface RequestToFrame {
  readonly correlationId: number;
  readonly clientId: string;
  readonly request: {
    readonly apiKey: number;
    readonly apiVersion: number;
    readonly encode: () => Promise<{ readonly buffer: Buffer; readonly roomInFront?: number }>;
  };
}

/**
 * The frame round a request is made by copying it twice through buffers that are cleared first. Once is enough, and not even that
 * where the body has room in front of it (produce-request.ts).
 *
 *   length i32 · apiKey i16 · apiVersion i16 · correlationId i32 · clientId string · body
 */
async function frameRequest({
  correlationId,
  clientId,
  request,
}: RequestToFrame): Promise<{ readonly buffer: Buffer }> {
  const { buffer: body, roomInFront } = await request.encode();
  const idBytes = Buffer.byteLength(clientId);
  const bodyAt = 4 + 2 + 2 + 4 + 2 + idBytes;
  const inPlace = roomInFront !== undefined && roomInFront >= bodyAt;
  const frame = inPlace
    ? Buffer.from(body.buffer, body.byteOffset - bodyAt, bodyAt + body.length)
    : Buffer.allocUnsafe(bodyAt + body.length);
  let at = frame.writeInt32BE(frame.length - 4, 0);
  at = frame.writeInt16BE(request.apiKey, at);
  at = frame.writeInt16BE(request.apiVersion, at);
  at = frame.writeInt32BE(correlationId, at);
  at = frame.writeInt16BE(idBytes, at);
  frame.write(clientId, at);
  if (!inPlace) body.copy(frame, bodyAt);
  return { buffer: frame };
}

interface RequestQueuePrototype {
  pending: readonly unknown[];
  scheduleCheckPendingRequests(this: RequestQueuePrototype): void;
}

/** The request queue re-arms a 1 ms timer for ever, with nothing to check: 30 ms of CPU per second and connection. */
function stopIdleTimer(prototype: RequestQueuePrototype): void {
  const schedule = prototype.scheduleCheckPendingRequests;
  prototype.scheduleCheckPendingRequests = function (this: RequestQueuePrototype): void {
    if (this.pending.length > 0) schedule.call(this);
  };
}

interface ConnectionPrototype {
  chunks: Buffer[];
  bytesBuffered: number;
  bytesNeeded: number;
  connecting?: Promise<unknown> | undefined;
  isConnected(): boolean;
  connect(this: ConnectionPrototype): Promise<unknown>;
}

/**
 * A connection that was cut inside an answer starts its next life with the old half in its buffer, and two requests that
 * find it closed open two sockets on the same buffer. One connect at a time, from an empty buffer.
 */
function connectOnceAndClean(prototype: ConnectionPrototype): void {
  const connect = prototype.connect;
  prototype.connect = function (this: ConnectionPrototype): Promise<unknown> {
    if (this.connecting !== undefined) return this.connecting;
    if (!this.isConnected()) {
      this.chunks = [];
      this.bytesBuffered = 0;
      this.bytesNeeded = 4;
    }
    this.connecting = connect.call(this).finally(() => {
      this.connecting = undefined;
    });
    return this.connecting;
  };
}

const zstdType = 4;

/** kafkajs brings no zstd; Node does. */
function registerZstd(internals: KafkajsInternals): void {
  internals.compressionCodecs[zstdType] = () => ({
    compress: (encoder) => compressZstd(encoder.buffer), // kafkajs's own encoder; ours is produce-request.ts
    decompress: (bytes) => decompressZstd(bytes),
  });
}
