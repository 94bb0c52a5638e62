// Asks a Kafka broker one question over a bare socket: how many brokers are alive.
//
// Request  = size:int32 apiKey:int16 apiVersion:int16 correlationId:int32 clientId:nullableString body
// Response = size:int32 correlationId:int32 body
// Metadata v1 body: topics:[string] (empty array: none); answer: brokers:[…] controllerId topics. Kafka manual, "Protocol".
import { connect } from 'node:net';

const metadataRequest = (() => {
  const request = Buffer.alloc(4 + 2 + 2 + 4 + 2 + 4);
  request.writeInt32BE(request.length - 4, 0);
  request.writeInt16BE(3, 4); // apiKey Metadata
  request.writeInt16BE(1, 6); // apiVersion
  request.writeInt32BE(1, 8); // correlationId
  request.writeInt16BE(-1, 12); // no clientId
  request.writeInt32BE(0, 14); // no topics
  return request;
})();

/** Brokers that the answering broker holds for alive; 0 when it does not answer within `timeoutMs`. Never throws. */
export function aliveBrokers(host: string, port: number, timeoutMs: number): Promise<number> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, noDelay: true });
    const finish = (count: number): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(count);
    };
    const timer = setTimeout(() => finish(0), timeoutMs);
    let received: Buffer = Buffer.alloc(0);
    socket.on('connect', () => socket.write(metadataRequest));
    socket.on('error', () => finish(0));
    socket.on('close', () => finish(0));
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 12) return;
      finish(received.readInt32BE(4) === 1 ? Math.max(0, received.readInt32BE(8)) : 0);
    });
  });
}
