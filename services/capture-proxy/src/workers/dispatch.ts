// Who gets the next client: of the workers that are ready, the one with the fewest.

export interface Candidate {
  readonly ready: boolean;
  readonly clients: number;
}

/** Index of the worker to give the next client to; the first of equals after `last`, so that short connections go round. Null: none is ready. */
export function chooseWorker(workers: readonly Candidate[], last: number): number | null {
  let chosen: number | null = null;
  for (let i = 1; i <= workers.length; i++) {
    const index = (last + i) % workers.length;
    const worker = workers[index] as Candidate;
    if (!worker.ready) continue;
    if (chosen === null || worker.clients < (workers[chosen] as Candidate).clients) chosen = index;
  }
  return chosen;
}
