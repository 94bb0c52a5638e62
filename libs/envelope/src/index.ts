// The public face of the envelope schema: generated types and schemas.

export { anonymousResult } from './anonymous-result.ts';
export * from './batch-encoder.ts';
export * from './decode.ts';
export * from './drafts.ts';
export { encodeResults } from './encode-result.ts';
export * from './gen/mirrorstream/v1/envelope_pb.ts';
export * from './gen/mirrorstream/v1/observation_pb.ts';
export * from './gen/mirrorstream/v1/result_pb.ts';
export * from './gen/mirrorstream/v1/verdict_pb.ts';
export { MinHeap } from './min-heap.ts';
export * from './order-merge.ts';
export * from './ordered-exchange.ts';
export * from './replay-window.ts';
export * from './result-account.ts';
export * from './stands-alone.ts';
