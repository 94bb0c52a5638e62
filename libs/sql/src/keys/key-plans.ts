// Key plans of texts, cached by text, for one database's catalog.
import { loadModule, parseSync } from 'libpg-query';
import { BoundedCache, type CacheLimits } from '../bounded-cache.ts';
import type { KeyCatalog } from './key-catalog.ts';
import { type KeyPlan, keyPlan } from './key-plan.ts';

export interface KeyPlans {
  /** Null: the text does not parse, or is too long to try. */
  plan(sql: string): KeyPlan | null;
}

/** In a longer text nobody looks for ids. */
const MAX_PARSED_CHARS = 65_536;
/** An entry's own overhead, measured with some room. */
const ENTRY_BYTES = 600;
const BYTES_PER_CHAR = 2;

const nothing: KeyPlan = { parameters: new Map(), literals: [], statements: [] };

/** Loads the parser, once. */
export async function createKeyPlans(limits: CacheLimits): Promise<(catalog: KeyCatalog) => KeyPlans> {
  await loadModule();
  return (catalog) => new CachedPlans(catalog, limits);
}

class CachedPlans implements KeyPlans {
  readonly #catalog: KeyCatalog;
  readonly #cache: BoundedCache<KeyPlan | null>;

  constructor(catalog: KeyCatalog, limits: CacheLimits) {
    this.#catalog = catalog;
    this.#cache = new BoundedCache(limits);
  }

  plan(sql: string): KeyPlan | null {
    const known = this.#cache.get(sql);
    if (known !== undefined) return known;
    const plan = this.#look(sql);
    this.#cache.set(sql, plan, ENTRY_BYTES + sql.length * BYTES_PER_CHAR);
    return plan;
  }

  #look(sql: string): KeyPlan | null {
    if (sql.length > MAX_PARSED_CHARS) return null;
    if (sql.trim() === '') return nothing;
    try {
      return keyPlan(parseSync(sql), sql, this.#catalog);
    } catch {
      return null;
    }
  }
}
