// The stages of relief for a mirror that falls behind: when each begins, how far it goes, and when it is over. Pure.
//
//   none → reads → sessions (a growing share of them) → skip (to now)
// A stage begins as soon as either measure reaches its threshold, whatever the present stage, and ends when both are below a share of it. The
// share of sessions grows by a quarter each step for as long as the measure stays at the threshold, and shrinks likewise below the end
// of it, so that sessions do not all come back at once.
import { type ShedSettings, type ShedStage, shedStages } from '@mirrorstream/domain';

export interface Lag {
  /** Age of the oldest transaction that waits or is under way, since production was done with it; 0: none. */
  readonly behindMs: number;
  /** Taken from Kafka and not played. */
  readonly queueBytes: number;
}

export interface SheddingState {
  readonly stage: ShedStage;
  /** Which measure says so: the reason of what is shed. */
  readonly cause: 'behindSource' | 'queueBytes';
  /** Of the exposed sessions, those shed whole: 0 to 1. */
  readonly share: number;
  readonly steppedAtMs: number;
  /** Everything that production did before is shed, µs since the epoch. */
  readonly skipBeforeUs: number;
}

export const notShedding: SheddingState = {
  stage: 'none',
  cause: 'behindSource',
  share: 0,
  steppedAtMs: 0,
  skipBeforeUs: 0,
};

const SHARE_STEP = 0.25;

const thresholds = {
  reads: ['readsBehindMs', 'readsQueueBytes'],
  sessions: ['sessionsBehindMs', 'sessionsQueueBytes'],
  skip: ['skipBehindMs', 'skipQueueBytes'],
} as const satisfies Record<Exclude<ShedStage, 'none'>, readonly (keyof ShedSettings)[]>;

const stagesDown = shedStages.filter((stage) => stage !== 'none').reverse();

/** Looked at some times a second. The same state where nothing changes. `nowMs`: wall clock, ms since the epoch. */
export function nextShedding(state: SheddingState, lag: Lag, settings: ShedSettings, nowMs: number): SheddingState {
  const reached = reachedStage(lag, settings, 1);
  const kept = reachedStage(lag, settings, settings.recoverShare);
  if (rank(reached.stage) > rank(state.stage)) return entered(state, reached, settings, nowMs);
  const stays = reached.stage === state.stage;
  switch (state.stage) {
    case 'none':
      return state;
    case 'reads':
      return rank(kept.stage) >= rank('reads') ? withCause(state, kept.cause) : notShedding;
    case 'sessions':
      return stepSessions(state, stays, kept, settings, nowMs);
    case 'skip':
      if (stays) return { ...state, cause: reached.cause, skipBeforeUs: nowMs * 1000 };
      if (rank(kept.stage) >= rank('skip')) return withCause(state, kept.cause);
      return kept.stage === 'none' ? notShedding : entered(notShedding, kept, settings, nowMs);
    default:
      return state.stage satisfies never;
  }
}

function stepSessions(
  state: SheddingState,
  stays: boolean,
  kept: Reached,
  settings: ShedSettings,
  nowMs: number,
): SheddingState {
  const due = nowMs - state.steppedAtMs >= settings.stepMs;
  const holds = rank(kept.stage) >= rank('sessions');
  if (stays) {
    if (!due || state.share === 1) return withCause(state, kept.cause);
    return { ...state, cause: kept.cause, share: Math.min(1, state.share + SHARE_STEP), steppedAtMs: nowMs };
  }
  if (holds || !due) return state;
  const share = Math.max(0, state.share - SHARE_STEP);
  if (share > 0) return { ...state, share, steppedAtMs: nowMs };
  return kept.stage === 'none' ? notShedding : entered(notShedding, kept, settings, nowMs);
}

function entered(
  state: SheddingState,
  { stage, cause }: Reached,
  settings: ShedSettings,
  nowMs: number,
): SheddingState {
  return {
    stage,
    cause,
    share: rank(stage) >= rank('sessions') && sheds(settings, 'sessions') ? Math.max(state.share, SHARE_STEP) : 0,
    steppedAtMs: nowMs,
    skipBeforeUs: stage === 'skip' ? nowMs * 1000 : 0,
  };
}

interface Reached {
  readonly stage: ShedStage;
  readonly cause: SheddingState['cause'];
}

/** The highest stage of which a threshold, or so much of it, is reached. */
function reachedStage({ behindMs, queueBytes }: Lag, settings: ShedSettings, share: number): Reached {
  for (const stage of stagesDown) {
    const [behindName, queueName] = thresholds[stage];
    const [behind, queue] = [settings[behindName], settings[queueName]];
    if (behind !== null && behindMs >= behind * share) return { stage, cause: 'behindSource' };
    if (queue !== null && queueBytes >= queue * share) return { stage, cause: 'queueBytes' };
  }
  return { stage: 'none', cause: 'behindSource' };
}

const withCause = (state: SheddingState, cause: SheddingState['cause']): SheddingState =>
  state.cause === cause ? state : { ...state, cause };

const rank = (stage: ShedStage): number => shedStages.indexOf(stage);

/** Whether a stage has a threshold: one that has none is passed over. */
export function sheds(settings: ShedSettings, stage: Exclude<ShedStage, 'none'>): boolean {
  return thresholds[stage].some((name) => settings[name] !== null);
}

export const mayShed = (settings: ShedSettings): boolean => stagesDown.some((stage) => sheds(settings, stage));
