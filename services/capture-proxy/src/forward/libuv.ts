// Node's inner TCP handles, behind one guarded door: what is used of them is checked here, and anything missing means streams.
//
// `process.binding` is deprecated in documentation only (DEP0111). Nothing else in the project touches it.
import type { Socket } from 'node:net';

export interface WriteRequest {
  oncomplete: (status: number) => void;
  /** Keeps the borrowed memory alive while the kernel has not taken it. */
  buffer: Uint8Array | null;
}

interface ShutdownRequest {
  oncomplete: (status: number) => void;
}

/** A libuv stream as JavaScript sees it (StreamBase). Status codes are libuv's: 0 or a negative errno. */
export interface TcpHandle {
  /** Always a function: Node ends the process when it is set to anything else. */
  onread: () => void;
  readStart(): number;
  readStop(): number;
  /** Reads go to this memory from now on; `onread` gets no buffer. */
  useUserBuffer(buffer: Uint8Array): void;
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number;
  shutdown(request: ShutdownRequest): number;
  reset(callback: () => void): number;
  close(callback: () => void): void;
}

export interface Libuv {
  /** Results of the last call: see the indices below. Shared by all handles of the thread. */
  readonly state: Int32Array;
  readonly readBytesOrError: number;
  readonly lastWriteWasAsync: number;
  readonly WriteRequest: new () => WriteRequest;
  readonly ShutdownRequest: new () => ShutdownRequest;
}

interface StreamBinding {
  streamBaseState?: Int32Array;
  kReadBytesOrError?: number;
  kLastWriteWasAsync?: number;
  WriteWrap?: new () => WriteRequest;
  ShutdownWrap?: new () => ShutdownRequest;
}

const testedMajors = { min: 24, max: 26 };
const handleMethods = [
  'readStart',
  'readStop',
  'useUserBuffer',
  'writeBuffer',
  'shutdown',
  'reset',
  'close',
] as const satisfies readonly (keyof TcpHandle)[];

/** The inner API, or null when this Node is not one it was tested with. */
export function loadLibuv(): Libuv | null {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < testedMajors.min || major > testedMajors.max) return null;
  const binding = loadBinding();
  if (
    binding?.streamBaseState === undefined ||
    binding.kReadBytesOrError === undefined ||
    binding.kLastWriteWasAsync === undefined ||
    binding.WriteWrap === undefined ||
    binding.ShutdownWrap === undefined
  ) {
    return null;
  }
  return {
    state: binding.streamBaseState,
    readBytesOrError: binding.kReadBytesOrError,
    lastWriteWasAsync: binding.kLastWriteWasAsync,
    WriteRequest: binding.WriteWrap,
    ShutdownRequest: binding.ShutdownWrap,
  };
}

function loadBinding(): StreamBinding | null {
  try {
    return (process as unknown as { binding(name: string): StreamBinding }).binding('stream_wrap');
  } catch {
    return null;
  }
}

/** Takes the handle out of a socket that holds no bytes itself. The socket is an empty shell afterwards. Null: use the socket. */
export function takeHandle(socket: Socket): TcpHandle | null {
  const shell = socket as unknown as { _handle: TcpHandle | null };
  const handle = shell._handle;
  if (handle === null || handleMethods.some((name) => typeof handle[name] !== 'function')) return null;
  handle.readStop();
  shell._handle = null;
  return handle;
}
