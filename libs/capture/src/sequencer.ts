// Numbers the completions of a capture worker: the order across its sessions.

/** Shared by all sessions of one worker. `lastDoneSeq` is what an exchange sent now comes after. */
export interface Sequencer {
  readonly lastDoneSeq: number;
  next(): number;
}

export function createSequencer(): Sequencer {
  let lastDoneSeq = 0;
  return {
    get lastDoneSeq() {
      return lastDoneSeq;
    },
    next() {
      lastDoneSeq += 1;
      return lastDoneSeq;
    },
  };
}
