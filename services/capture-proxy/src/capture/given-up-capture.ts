// A session whose capture threw: nothing of it is looked at any more, and all that goes by is told as missing.
import type { Completion, SessionCapture } from '@mirrorstream/capture';
import { type CaptureRecordDraft, GapReason } from '@mirrorstream/envelope';

export interface GivenUpSession {
  readonly sessionId: string;
  /** The last transaction that was told of. */
  readonly afterSeq: number;
  readonly wallUsAtMonoZero: number;
  readonly emit: (draft: CaptureRecordDraft) => void;
}

export class GivenUpCapture implements SessionCapture {
  readonly openTransactions = 0;
  readonly idle = null;
  readonly oldestHeld: Completion | null = null;
  readonly bufferedBytes = 0;
  readonly contextBytes = 0;
  readonly exchanges = 0;
  readonly #session: GivenUpSession;
  /** The one that may have been under way: a lower bound of what is missing. */
  #transactions = 1;
  #sizeBytes: number;
  #sinceUs: number;

  constructor(session: GivenUpSession, sizeBytes: number, monoUs: number) {
    this.#session = session;
    this.#sizeBytes = sizeBytes;
    this.#sinceUs = monoUs;
  }

  get untoldTransactions(): number {
    return this.#transactions;
  }

  clientChunk(_buffer: Uint8Array, start: number, end: number): void {
    this.#sizeBytes += end - start;
  }

  serverChunk(_buffer: Uint8Array, start: number, end: number): void {
    this.#sizeBytes += end - start;
  }

  missed(_direction: 'client' | 'server', bytes: number): void {
    this.#sizeBytes += bytes;
  }

  cancelled(): boolean {
    return true;
  }

  keepAnswers(): void {}

  tick(monoUs: number): void {
    this.#tell(monoUs);
  }

  close(monoUs: number): void {
    this.#tell(monoUs);
  }

  #tell(monoUs: number): void {
    if (this.#transactions === 0 && this.#sizeBytes === 0) return;
    const { sessionId, afterSeq, wallUsAtMonoZero, emit } = this.#session;
    const gap = {
      kind: 'gap',
      sessionId,
      atUs: wallUsAtMonoZero + this.#sinceUs,
      reason: GapReason.MALFORMED,
      transactions: this.#transactions,
      sizeBytes: this.#sizeBytes,
      afterSeq,
      transactionsExact: false,
    } as const;
    this.#transactions = 0;
    this.#sizeBytes = 0;
    this.#sinceUs = monoUs;
    try {
      emit(gap);
    } catch {
      // What threw may be the emitting: then nobody can be told.
    }
  }
}
