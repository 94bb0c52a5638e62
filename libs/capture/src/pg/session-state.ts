// What a session has that a fresh connection lacks, beside settings and statements: and since a gap, what can no longer be known of it.
import { DependencyReason } from '@mirrorstream/envelope';
import { type SessionChange, SessionJournal } from './session-journal.ts';
import type { SettingsTracker } from './settings.ts';

export const dependencyBit = (reason: DependencyReason): number => 1 << reason;

/** What may be unknown, each until a command that settles it. Bits. */
export const Facet = { settings: 1, role: 2, temp: 4, listen: 8, cursors: 16, locks: 32 } as const;
const EVERY_FACET = 63;

/** Names kept of each kind; with more, what is there is known only to be something. */
const MAX_NAMES = 256;
/** The server cuts names at 63 bytes (NAMEDATALEN): a longer one is not kept. */
const MAX_NAME_LENGTH = 63;

/** A set of names that may have lost count: then only emptying it settles it. */
class Names {
  readonly #names = new Map<string, number>();
  #uncounted = false;

  get some(): boolean {
    return this.#uncounted || this.#names.size > 0;
  }

  add(name: string | null): void {
    const fits = name !== null && name.length <= MAX_NAME_LENGTH;
    if (!fits || (this.#names.size >= MAX_NAMES && !this.#names.has(name))) this.#uncounted = true;
    else this.#names.set(name, (this.#names.get(name) ?? 0) + 1);
  }

  delete(name: string): void {
    this.#names.delete(name);
  }

  /** Takes away one of what was added as often. */
  release(name: string): void {
    const count = this.#names.get(name) ?? 0;
    if (count > 1) this.#names.set(name, count - 1);
    else this.#names.delete(name);
  }

  clear(): void {
    this.#names.clear();
    this.#uncounted = false;
  }
}

export class SessionState {
  readonly settings: SettingsTracker;
  readonly journal = new SessionJournal((change) => this.#apply(change));
  /** Cursors and locks are no transaction's: a rollback leaves them as they are. */
  readonly cursors = new Names();
  readonly locks = new Names();
  readonly #temp = new Names();
  readonly #channels = new Names();
  #unknownMessage = false;
  /** Facets that a gap left unknown; and those that changed unreadably. */
  #lost = 0;
  #unknown = 0;

  constructor(settings: SettingsTracker) {
    this.settings = settings;
  }

  /** Dependencies of a transaction that begins now, as bits. */
  get dependencies(): number {
    const { settings } = this;
    return (
      (this.#temp.some ? dependencyBit(DependencyReason.TEMP_TABLE) : 0) |
      (this.locks.some ? dependencyBit(DependencyReason.ADVISORY_LOCK) : 0) |
      (this.#channels.some ? dependencyBit(DependencyReason.LISTEN) : 0) |
      (this.cursors.some ? dependencyBit(DependencyReason.HELD_CURSOR) : 0) |
      (this.#lost !== 0 ? dependencyBit(DependencyReason.AFTER_GAP) : 0) |
      (this.#unknownMessage ? dependencyBit(DependencyReason.UNKNOWN_MESSAGE) : 0) |
      (this.#unknown !== 0 || settings.overflowed ? dependencyBit(DependencyReason.UNKNOWN_SETTING) : 0)
    );
  }

  /** Whether a temporary object may exist: then a name may mean it. */
  get hasTemp(): boolean {
    return this.#temp.some;
  }

  /** A message type capture does not know went by: what it did is never known. */
  unknownMessage(): void {
    this.#unknownMessage = true;
  }

  /** Capture missed what went by: nothing is certain any more. */
  gap(): void {
    this.#lost = EVERY_FACET;
    this.journal.rollback();
  }

  /** A command settled these facets. */
  settle(facets: number): void {
    if ((facets & Facet.cursors) !== 0) this.cursors.clear();
    if ((facets & Facet.locks) !== 0) this.locks.clear();
    if ((facets & Facet.temp) !== 0) this.#temp.clear();
    if ((facets & Facet.listen) !== 0) this.#channels.clear();
    if ((facets & this.#lost & Facet.settings) !== 0) this.settings.forgetReported();
    this.#lost &= ~facets;
    this.#unknown &= ~facets;
  }

  /** DISCARD ALL, which no transaction block can hold. */
  discardAll(): void {
    this.journal.rollback();
    this.settings.discardAll();
    this.settle(EVERY_FACET);
  }

  #apply(change: SessionChange): void {
    switch (change.kind) {
      case 'set':
      case 'reset':
        // A role is relative to the session's user: only setting that one settles both.
        if (change.name === 'session_authorization') this.settle(Facet.role);
        this.settings.apply(change);
        return;
      case 'resetAll':
        this.settle(Facet.settings);
        this.settings.apply(change);
        return;
      case 'unknownSetting':
        this.#unknown |= Facet.settings | Facet.role;
        return;
      case 'createTemp':
        this.#temp.delete(change.name ?? '');
        this.#temp.add(change.name);
        return;
      case 'dropTemp':
        this.#temp.delete(change.name);
        return;
      case 'discardTemp':
        this.settle(Facet.temp);
        return;
      case 'listen':
        this.#channels.delete(change.channel);
        this.#channels.add(change.channel);
        return;
      case 'unlisten':
        if (change.channel === null) this.settle(Facet.listen);
        else this.#channels.delete(change.channel);
        return;
      case 'holdCursor':
        this.cursors.add(change.name);
        return;
      default:
        change satisfies never;
    }
  }
}
