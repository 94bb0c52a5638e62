// Conversations as people read them: `F Parse / F Sync / B ParseComplete / B ReadyForQuery I`. Holds no value of the application.
import { type DecodedBackend, decodeBackend } from './backend.ts';
import { FrameEvent, FrameSplitter, type SplitterPhase } from './frame-splitter.ts';
import { type DecodedFrontend, decodeFrontend } from './frontend.ts';

/** One message of a conversation: F from the frontend, B from the backend. */
export type TraceFrame =
  | { readonly from: 'F'; readonly message: DecodedFrontend }
  | { readonly from: 'B'; readonly message: DecodedBackend };

/** Kinds whose manual name is not the kind with a capital. */
const manualNames: Readonly<Record<string, string>> = {
  sslRequest: 'SSLRequest',
  gssencRequest: 'GSSENCRequest',
  saslInitialResponse: 'SASLInitialResponse',
  saslResponse: 'SASLResponse',
  gssResponse: 'GSSResponse',
};

/**
 * One line per exchange (a line ends after ReadyForQuery), messages joined by ` / `, runs of the same message as `B DataRow x3`.
 * Shows tags, status, SQLSTATE and reasons; never names, SQL text or values.
 */
export function formatTrace(frames: readonly TraceFrame[]): string {
  const lines: string[] = [];
  let line: { label: string; times: number }[] = [];
  const endLine = () => {
    if (line.length > 0)
      lines.push(line.map(({ label, times }) => (times > 1 ? `${label} x${times}` : label)).join(' / '));
    line = [];
  };
  for (const frame of frames) {
    const label = `${frame.from} ${describe(frame.message)}`;
    const last = line.at(-1);
    if (last?.label === label) last.times += 1;
    else line.push({ label, times: 1 });
    if (frame.message.kind === 'readyForQuery') endLine();
  }
  endLine();
  return lines.join('\n');
}

function describe(message: TraceFrame['message']): string {
  const name = manualNames[message.kind] ?? message.kind.charAt(0).toUpperCase() + message.kind.slice(1);
  const detail = detailOf(message);
  return detail === '' ? name : `${name} ${detail}`;
}

function detailOf(message: TraceFrame['message']): string {
  switch (message.kind) {
    case 'readyForQuery':
      return message.status;
    case 'commandComplete':
      return message.tag;
    case 'errorResponse':
      return message.fields['C'] ?? '';
    case 'unknown':
      return `0x${message.type.toString(16)}`;
    case 'malformed':
      return `0x${message.type.toString(16)} ${message.reason}`;
    default:
      return '';
  }
}

/** Cuts and decodes one direction's bytes. Throws when they do not end at a frame border: a trace of half a conversation misleads. */
export function traceFrames(from: 'F' | 'B', bytes: Uint8Array, phase: SplitterPhase = 'messages'): TraceFrame[] {
  const splitter = new FrameSplitter({ phase, maxFrameBytes: Number.POSITIVE_INFINITY });
  const frames: TraceFrame[] = [];
  splitter.feed(bytes);
  while (splitter.next() === FrameEvent.frame) frames.push(traceFrame(from, splitter));
  if (!splitter.aligned) throw new Error('the bytes of a trace must be whole frames');
  return frames;
}

/** Copies the frame: a start-up packet lies in the splitter's own buffer, and a trace outlives it. */
function traceFrame(from: 'F' | 'B', { type, buffer, start, end }: FrameSplitter): TraceFrame {
  const copy = new Uint8Array(buffer.subarray(start, end));
  if (from === 'F') return { from, message: decodeFrontend(type, copy, 0, copy.length) };
  return { from, message: decodeBackend(type, copy, 0, copy.length) };
}
