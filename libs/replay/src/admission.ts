// What of the captured traffic a mirror plays now: policy, filters and shedding in one place, made anew at each change of any of them.
import type { MirrorSettings } from '@mirrorstream/domain';
import type { Envelope } from '@mirrorstream/envelope';
import { doneAtUs } from './lane-work.ts';
import { decideSession, type SessionDecision } from './policy.ts';
import { notShedding, type SheddingState, sheds } from './shedding.ts';
import { compileGuard, type SideEffectGuard } from './side-effect-guard.ts';
import type { Skip } from './skip.ts';
import { type SqlShapes, transactionFacts } from './transaction-facts.ts';
import { compileTransactionFilter, type TransactionFilter } from './transaction-filter.ts';

export class Admission {
  readonly settings: MirrorSettings;
  readonly shedding: SheddingState;
  readonly #shapes: SqlShapes | null;
  readonly #filter: TransactionFilter | null;
  readonly #shedsReads: boolean;
  readonly #guard: SideEffectGuard | null;

  /** `shapes` may be null only where neither filters nor shedding look at SQL. */
  constructor(
    settings: MirrorSettings,
    shapes: SqlShapes | null,
    shedding = notShedding,
    filter?: TransactionFilter | null,
  ) {
    this.settings = settings;
    this.shedding = shedding;
    this.#shapes = shapes;
    this.#shedsReads = sheds(settings.shed, 'reads');
    this.#guard = compileGuard(settings.allowSideEffects);
    this.#filter = filter === undefined ? compileTransactionFilter(settings.filters) : filter;
  }

  withShedding(shedding: SheddingState): Admission {
    return new Admission(this.settings, this.#shapes, shedding, this.#filter);
  }

  /** Of a session, by the first envelope of it that is seen. */
  session({ context, samplingDraw }: Pick<Envelope, 'context' | 'samplingDraw'>): SessionDecision {
    // A transaction whose beginning never came has no context: its lane will say that it is incomplete.
    if (context === undefined) return { kind: 'replay' };
    const { database, user, startupParameters } = context;
    const application = startupParameters.find(({ name }) => name === 'application_name')?.value ?? '';
    return decideSession({ database, user, application, samplingDraw }, this.settings);
  }

  /** Of a transaction of a played session, by its first part. Null: it is played. */
  transaction(envelope: Envelope): Skip | null {
    if (this.withholds(envelope)) {
      const harmless = this.#shapes !== null && transactionFacts(envelope, this.#shapes).harmless;
      return { outcome: 'filtered', reason: 'sideEffect', harmless };
    }
    const filtered = this.#shapes === null ? null : (this.#filter?.(envelope, this.#shapes) ?? null);
    return filtered === null ? this.shed(envelope) : { outcome: 'filtered', ...filtered };
  }

  /** Whether this part of a transaction, first or later, does outside of the database what it may not do. */
  withholds(envelope: Envelope): boolean {
    if (this.#shapes === null || this.#guard === null) return false;
    return this.#guard(envelope, this.#shapes);
  }

  /** The same of one that is admitted and waits. */
  shed(envelope: Envelope): Skip | null {
    const { stage, cause, share, skipBeforeUs } = this.shedding;
    if (stage === 'none') return null;
    if (stage === 'skip' && doneAtUs(envelope) < skipBeforeUs) return this.#shed(envelope, 'skipToNow');
    if (envelope.samplingDraw >= this.settings.exposure * (1 - share)) return this.#shed(envelope, cause);
    // Of a transaction that goes on nobody knows yet whether it only reads.
    if (!this.#shedsReads || !envelope.lastPart || envelope.writes || this.#shapes === null) return null;
    const { kind, harmless } = transactionFacts(envelope, this.#shapes);
    return kind === 'reads' ? { outcome: 'shed', reason: cause, harmless } : null;
  }

  #shed(envelope: Envelope, reason: 'behindSource' | 'queueBytes' | 'skipToNow'): Skip {
    const harmless = this.#shapes !== null && envelope.lastPart && transactionFacts(envelope, this.#shapes).harmless;
    return { outcome: 'shed', reason, harmless };
  }
}
