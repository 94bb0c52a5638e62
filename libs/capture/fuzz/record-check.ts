// Looks at every record a session emits, as the rest of the system will: encoded, decoded again, in order, within its size.
import {
  BatchEncoder,
  type CaptureRecordDraft,
  decodeEnvelopeBatch,
  type EnvelopeDraft,
  GapReason,
} from '@mirrorstream/envelope';
import type { CaptureLimits } from '../src/limits.ts';
import { secret } from './grammar.ts';
import { promise } from './promise.ts';

const origin = { source: 's', captureNode: 'n', incarnation: 'i', worker: 0, partition: 0 };
/** The character that redacted secrets are written in. */
const blank = 0x78;
/** A frame that outgrows a part by itself is cut, but answers and contexts have bounds of their own: what is beyond, is allowed once. */
const slackBytes = 64 * 1024;

export class RecordCheck {
  readonly gapReasons: string[] = [];
  started = false;
  heldSecret = false;
  requestBytes = 0;
  gapBytes = 0;
  readonly #limits: CaptureLimits;
  readonly #encoder = new BatchEncoder(origin);
  readonly #requests: Buffer[] = [];
  #ended = false;
  #records = 0;
  #envelopes = 0;
  #seq = 0;
  #part = 0;
  #open = false;
  #doneSeq = 0;

  constructor(limits: CaptureLimits) {
    this.#limits = limits;
  }

  get counts(): { readonly envelopes: number; readonly gaps: number } {
    return { envelopes: this.#envelopes, gaps: this.gapReasons.length };
  }

  add(draft: CaptureRecordDraft): void {
    promise(!this.#ended, `a ${draft.kind} came after the session's end`);
    promise(this.started || draft.kind === 'sessionStart' || draft.kind === 'gap', `a ${draft.kind} came first`);
    this.#encoded(draft);
    this.#records += 1;
    switch (draft.kind) {
      case 'sessionStart':
        promise(!this.started, 'a session starts once');
        this.started = true;
        return;
      case 'sessionEnd':
        this.#ended = true;
        promise(draft.lastSeq === this.#seq, `the session ends after ${draft.lastSeq}, not after ${this.#seq}`);
        return;
      case 'gap':
        this.#gap(draft.reason, draft.sizeBytes, draft.afterSeq);
        promise(draft.transactions >= 0, 'a gap has no negative count');
        return;
      case 'heartbeat':
        return;
      case 'envelope':
        this.#envelope(draft);
        return;
      default:
        draft satisfies never;
    }
  }

  end(): void {
    promise(this.#ended === this.started, 'a session that started ends');
  }

  /** The requests are what the client sent, in its order; bytes may be missing between them, and secrets are blank. */
  requestsWere(client: Buffer): void {
    let at = 0;
    const redacted = /password/i.test(client.toString('latin1'));
    for (const bytes of this.#requests) {
      at = endOfMatch(client, bytes, at, redacted);
      promise(at >= 0, `the client never sent ${JSON.stringify(bytes.toString('latin1').slice(0, 200))} in this place`);
    }
  }

  /** The requests are all of `wanted`, byte for byte but for blanks; its last `optionalBytes` may be missing. */
  requestsAre(wanted: Buffer, optionalBytes: number): void {
    const found = Buffer.concat(this.#requests);
    const whole = found.length <= wanted.length && found.length >= wanted.length - optionalBytes;
    const same = whole && found.every((byte, i) => byte === wanted[i] || byte === blank);
    promise(same, `${found.length} bytes are in requests that are not the ${wanted.length} the client sent`);
  }

  #encoded(draft: CaptureRecordDraft): void {
    const encoder = this.#encoder;
    encoder.reset();
    encoder.add(draft);
    const bytes = encoder.take();
    const [record] = decodeEnvelopeBatch(bytes).records;
    promise(record?.record.case === draft.kind, `a ${draft.kind} was encoded as ${record?.record.case}`);
    const most = this.#limits.partBytes + slackBytes;
    promise(bytes.length <= most, `a ${draft.kind} has ${bytes.length} bytes, at most ${most} are allowed`);
    if (Buffer.from(bytes).includes(secret)) this.heldSecret = true;
  }

  #gap(reason: GapReason, sizeBytes: number, afterSeq: number): void {
    promise(sizeBytes >= 0, 'a gap has no negative size');
    promise(afterSeq === this.#seq, `a gap is after ${afterSeq}, not after ${this.#seq}`);
    this.gapReasons.push(nameOf(reason));
    this.gapBytes += sizeBytes;
    this.#open = false;
  }

  #envelope(draft: EnvelopeDraft): void {
    const { sessionSeq, part, lastPart, exchanges, context } = draft;
    const first = part === 0;
    promise(first || this.#open, `part ${part} of transaction ${sessionSeq} goes on with nothing`);
    promise(sessionSeq === (first ? this.#seq + 1 : this.#seq), `transaction ${sessionSeq} came after ${this.#seq}`);
    promise(first || part === this.#part + 1, `part ${part} came after ${this.#part}`);
    promise(first === (context !== null), 'the first part brings the context');
    this.#seq = sessionSeq;
    this.#part = part;
    this.#open = !lastPart;
    if (lastPart) this.#envelopes += 1;
    for (const { request, doneSeq, afterSeq } of exchanges) {
      if (doneSeq > 0) {
        promise(doneSeq > this.#doneSeq, `completion ${doneSeq} came after ${this.#doneSeq}`);
        promise(afterSeq < doneSeq, `sent after ${afterSeq}, done as ${doneSeq}`);
        this.#doneSeq = doneSeq;
      }
      this.requestBytes += request.length;
      if (request.length > 0) this.#requests.push(Buffer.from(request));
    }
  }
}

const nameOf = (reason: GapReason): string =>
  Object.entries(GapReason).find(([, value]) => value === reason)?.[0] ?? '?';

/**
 * Where the bytes of `wanted` end in `sent`, looked for in order from `from` on; -1: they are not there. Others may lie between them:
 * a password or Terminate between two frames of a request.
 */
function endOfMatch(sent: Buffer, wanted: Buffer, from: number, redacted: boolean): number {
  let at = from;
  for (const byte of wanted) {
    if (!redacted || byte !== blank) at = sent.indexOf(byte, at);
    if (at < 0 || at === sent.length) return -1;
    at += 1;
  }
  return at;
}
