// Capture core: chunks of a connection in, capture records out. A pure state machine.
export {
  type AnswerPolicy,
  type AnswerRule,
  type CaptureLimits,
  checkCaptureLimits,
  defaultCaptureLimits,
} from './limits.ts';
export { samplingDrawOf } from './sampling.ts';
export { createSequencer, type Sequencer } from './sequencer.ts';
export { openSession } from './session.ts';
export type { Completion, SessionCapture, SessionCaptureOptions } from './session-capture.ts';
