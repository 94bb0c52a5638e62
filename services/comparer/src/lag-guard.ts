// How much of its work a comparer does when it is behind: detail goes first, then the looking itself; never the counting.
//
//   keepingUp      everything
//   withoutDetail  no examples; differences in values of shapes known to differ are not looked into (`comparerBehind`)
//   withoutWork    no difference is looked into (`comparerBehind`), and no text is parsed that is not known
//
// It gets worse at the thresholds and better at half of them, so that it does not flutter.

export const lagStages = ['keepingUp', 'withoutDetail', 'withoutWork'] as const;
export type LagStage = (typeof lagStages)[number];

/** Age of the result being counted, in ms; 0: never. */
export interface LagThresholds {
  readonly detailBehindMs: number;
  readonly workBehindMs: number;
}

export class LagGuard {
  readonly #thresholds: LagThresholds;
  #stage: LagStage = 'keepingUp';

  constructor(thresholds: LagThresholds) {
    this.#thresholds = thresholds;
  }

  get stage(): LagStage {
    return this.#stage;
  }

  /** The stage in force now. */
  observe(behindMs: number): LagStage {
    this.#stage = this.#next(behindMs);
    return this.#stage;
  }

  #next(behindMs: number): LagStage {
    const { detailBehindMs, workBehindMs } = this.#thresholds;
    if (isBeyond(behindMs, workBehindMs)) return 'withoutWork';
    if (this.#stage === 'withoutWork' && isBeyond(behindMs, workBehindMs / 2)) return 'withoutWork';
    if (isBeyond(behindMs, detailBehindMs)) return 'withoutDetail';
    if (this.#stage !== 'keepingUp' && isBeyond(behindMs, detailBehindMs / 2)) return 'withoutDetail';
    return 'keepingUp';
  }
}

const isBeyond = (behindMs: number, threshold: number): boolean => threshold > 0 && behindMs > threshold;
