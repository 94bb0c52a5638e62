// Gathers divergences from verdicts: grouped by mirror, class and statement shape, the first example of each kept.
import { divergenceClasses, type StatementClass } from '@mirrorstream/domain';
import type { VerdictBatch } from '@mirrorstream/envelope';
import { type AnswerTexts, describeAnswers } from './answer-text.ts';
import { harmless } from './text.ts';

export interface Divergence extends AnswerTexts {
  readonly mirror: string;
  readonly class: StatementClass;
  readonly count: number;
  /** Normalised where the comparer knows it. */
  readonly sql: string;
  readonly detail: string;
}

const maxGroups = 200;
const maxSqlLength = 500;

/** Bounded: groups beyond the limit are counted together and not kept. */
export class DivergenceGroups {
  readonly #groups = new Map<string, Divergence>();
  #notKept = 0;

  add(batch: VerdictBatch): void {
    for (const verdict of batch.verdicts) {
      for (const statement of verdict.statements) {
        const found = divergenceClasses.find((name) => name === statement.class);
        if (found === undefined) continue;
        const key = `${batch.mirror} ${found} ${statement.fingerprint}`;
        const known = this.#groups.get(key);
        if (known !== undefined && (known.sql !== '' || statement.exemplar === undefined)) {
          this.#groups.set(key, { ...known, count: known.count + 1 });
          continue;
        }
        if (known === undefined && this.#groups.size >= maxGroups) {
          this.#notKept++;
          continue;
        }
        const { exemplar } = statement;
        this.#groups.set(key, {
          mirror: batch.mirror,
          class: found,
          count: (known?.count ?? 0) + 1,
          sql: harmless((exemplar?.normalizedSql || exemplar?.sql || '').slice(0, maxSqlLength)),
          detail: harmless(statement.detail),
          ...describeAnswers(found, statement.statement, exemplar),
        });
      }
    }
  }

  /** Divergences of shapes beyond the limit. */
  get notKept(): number {
    return this.#notKept;
  }

  /** The first of each class of each mirror, then the others, in the order they appeared. */
  list(): Divergence[] {
    const all = [...this.#groups.values()];
    const seen = new Set<string>();
    const first = all.filter(({ mirror, class: name }) => {
      const key = `${mirror} ${name}`;
      if (seen.has(key)) return false;
      seen.add(key);
      return true;
    });
    return [...first, ...all.filter((one) => !first.includes(one))];
  }
}
