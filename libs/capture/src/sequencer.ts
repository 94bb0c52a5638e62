// Numbers the completions of a capture worker: the order across its sessions.
//
// The claim: an exchange with doneSeq d was answered in full before the first byte of an exchange with afterSeq >= d was forwarded.
// It holds because the worker sees chunks in the order in which the forwarding thread read them (one ring per worker), because
// `next` is called when the chunk that ends the answer is seen, and because `lastDoneSeq` is read when the chunk that begins the
// request is seen, not later. What is uncertain errs towards "no order": a later doneSeq and an earlier afterSeq claim less.

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
