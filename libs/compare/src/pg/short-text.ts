// Command tags and error fields as strings: the same few texts come over and over, so the last ones are kept.

const SLOTS = 256;
const LONGEST_KEPT = 32;
/** The server's own bound of a tag (COMPLETION_TAG_BUFSIZE); severities and SQLSTATEs are shorter. */
const LONGEST_TEXT = 64;

/** Reads short texts (one character per byte) and remembers the last one per hash slot: constant memory. */
export class ShortTexts {
  private readonly slots: string[] = new Array<string>(SLOTS).fill('');

  /** The text of [start, end), as Latin-1; '' for one that is too long to be any of these: thousands of them are kept. */
  read(buf: Uint8Array, start: number, end: number): string {
    const length = end - start;
    if (length <= 0 || length > LONGEST_TEXT) return '';
    if (length > LONGEST_KEPT) return latin1(buf, start, end);
    let hash = length;
    for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + (buf[i] as number)) | 0;
    const slot = (hash ^ (hash >>> 8)) & (SLOTS - 1);
    const kept = this.slots[slot] as string;
    if (kept.length === length && sameText(kept, buf, start)) return kept;
    const text = latin1(buf, start, end);
    this.slots[slot] = text;
    return text;
  }
}

function sameText(text: string, buf: Uint8Array, start: number): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) !== buf[start + i]) return false;
  return true;
}

function latin1(buf: Uint8Array, start: number, end: number): string {
  return Buffer.from(buf.buffer, buf.byteOffset + start, end - start).toString('latin1');
}
