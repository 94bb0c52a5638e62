// Walks over frames of either direction without keeping them: just enough to know, independently of capture, what it should have seen.

const headerBytes = 5;

/** Calls back with each frame's type, total length, and the first body byte (-1 when the body is empty) once that is known. */
class FrameWalk {
  /** Bytes of the frame under way that are still to come; the header's own when its length is not known. */
  #left = 0;
  #header: Buffer = Buffer.alloc(0);
  readonly #onFrame: (type: number, totalBytes: number, firstByte: number) => void;

  constructor(onFrame: (type: number, totalBytes: number, firstByte: number) => void) {
    this.#onFrame = onFrame;
  }

  get inFrame(): boolean {
    return this.#left > 0 || this.#header.length > 0;
  }

  feed(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) {
      if (this.#left > 0) {
        const skipped = Math.min(this.#left, chunk.length - at);
        this.#left -= skipped;
        at += skipped;
        continue;
      }
      const wanted = this.#wantedBytes();
      const taken = chunk.subarray(at, at + wanted - this.#header.length);
      this.#header = this.#header.length === 0 ? taken : Buffer.concat([this.#header, taken]);
      at += taken.length;
      if (this.#header.length === this.#wantedBytes()) this.#begin();
    }
  }

  /** The header, and one byte of the body if there is one. */
  #wantedBytes(): number {
    if (this.#header.length < headerBytes) return headerBytes;
    return this.#header.readInt32BE(1) > 4 ? headerBytes + 1 : headerBytes;
  }

  #begin(): void {
    const header = this.#header;
    const totalBytes = 1 + header.readInt32BE(1);
    this.#left = totalBytes - header.length;
    this.#header = Buffer.alloc(0);
    this.#onFrame(header[0] as number, totalBytes, header[headerBytes] ?? -1);
  }
}

const cancelRequest = 80_877_102;
const longestStartup = 10_000;

/** What a client sends: the start-up packet first. */
export class FrontendWatch {
  /** The value of application_name; `cancel <key>` of a cancel request; null until the packet is complete. */
  name: string | null = null;
  startupBytes = 0;
  terminateBytes = 0;
  /** Frames that are answered by a ReadyForQuery: Query, Sync, FunctionCall. */
  requests = 0;
  #packet: Buffer = Buffer.alloc(0);
  readonly #walk = new FrameWalk((type, totalBytes) => {
    if (type === 0x58) this.terminateBytes += totalBytes;
    if (type === 0x51 || type === 0x53 || type === 0x46) this.requests += 1;
  });

  feed(chunk: Buffer): void {
    if (this.name !== null) {
      this.#walk.feed(chunk);
      return;
    }
    this.#packet = Buffer.concat([this.#packet, chunk]);
    const length = this.#packet.length < 8 ? longestStartup : this.#packet.readInt32BE(0);
    if (this.#packet.length < length) return;
    const packet = this.#packet.subarray(0, length);
    this.startupBytes = length;
    this.name = nameIn(packet);
    this.#walk.feed(this.#packet.subarray(length));
  }

  get inFrame(): boolean {
    return this.name === null || this.#walk.inFrame;
  }
}

function nameIn(packet: Buffer): string {
  if (packet.readInt32BE(4) === cancelRequest) return `cancel ${packet.toString('hex', 8)}`;
  const strings = packet.toString('latin1', 8).split('\0');
  return strings[strings.indexOf('application_name') + 1] ?? '';
}

/** What the server answers: how often it was idle again. */
export class BackendWatch {
  /** ReadyForQuery with status I, the first one left out: as many transactions have ended. */
  transactions = 0;
  /** ReadyForQuery of any status, the first one left out. */
  answers = 0;
  /** The last status: I, T, E; empty before the first. */
  status = '';
  readonly #walk = new FrameWalk((type, _, firstByte) => {
    if (type !== 0x5a) return;
    const status = String.fromCharCode(firstByte);
    if (this.status !== '') this.answers += 1;
    if (this.status !== '' && status === 'I') this.transactions += 1;
    this.status = status;
  });

  feed(chunk: Buffer): void {
    this.#walk.feed(chunk);
  }

  get inFrame(): boolean {
    return this.#walk.inFrame;
  }
}
