// One group of extended-protocol messages up to its Sync, and the server's answer: what follows an error is skipped.
import type { BackendMessage, FrontendMessage } from '@mirrorstream/pg-wire';
import * as script from '../src/conversation-script.fixture.ts';
import type { Dice } from './dice.ts';

const names = ['', '', 's1', 's2'];
const texts = ['SELECT $1', 'INSERT INTO t VALUES ($1)', "ALTER ROLE r PASSWORD 'Xyzzy-Secret'", ''];

/** `server` is without the ReadyForQuery that answers the Sync. */
export class ExtendedGroup {
  readonly client: FrontendMessage[] = [];
  readonly server: BackendMessage[] = [];
  failed = false;
  readonly #dice: Dice;
  readonly #alwaysFails: boolean;

  constructor(dice: Dice, alwaysFails: boolean) {
    this.#dice = dice;
    this.#alwaysFails = alwaysFails;
    for (let i = dice.below(7); i > 0; i--) this.#message();
    this.client.push(script.sync);
  }

  #message(): void {
    const name = this.#dice.pick(names);
    switch (this.#dice.below(8)) {
      case 0:
      case 1:
        this.#answered(script.parse(name, this.#dice.pick(texts)), script.parsed);
        return;
      case 2:
      case 3:
        this.#answered(script.bind(name, this.#dice.pick(['', 'p1']), 'z'.repeat(this.#size())), script.bound);
        return;
      case 4:
        if (this.#dice.chance(0.5)) this.#answered(script.describe('P', name), script.columns('a'));
        else this.#answered(script.describe('S', name), script.parameters, script.noData);
        return;
      case 5:
        this.#answered(script.close(this.#dice.pick(['S', 'P'] as const), name), script.closed);
        return;
      case 6:
        this.#answered(script.execute(this.#dice.pick(['', 'p1']), this.#dice.below(3)), ...this.#result());
        return;
      default:
        this.client.push(script.flush);
    }
  }

  #size(): number {
    return this.#dice.chance(0.03) ? this.#dice.below(40_000) : this.#dice.below(9);
  }

  #result(): BackendMessage[] {
    switch (this.#dice.below(4)) {
      case 0:
        return [script.row('1'), script.suspended];
      case 1:
        return [script.empty];
      default:
        return [script.row('1', null), script.row('2', ''), script.tag('SELECT 2')];
    }
  }

  #answered(message: FrontendMessage, ...answer: BackendMessage[]): void {
    this.client.push(message);
    if (this.failed) return;
    if (this.#alwaysFails || this.#dice.chance(0.06)) {
      this.failed = true;
      this.server.push(script.error('25P02'));
    } else this.server.push(...answer);
  }
}
