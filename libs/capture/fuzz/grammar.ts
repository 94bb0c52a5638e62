// Conversations as PostgreSQL has them, of both directions, drawn at random: start-up, queries, extended protocol, COPY, errors, pipelining.
import { B, type BackendMessage, F, type FrontendMessage } from '@mirrorstream/pg-wire';
import * as script from '../src/conversation-script.fixture.ts';
import { stepBytes } from '../src/conversation-script.fixture.ts';
import type { Dice } from './dice.ts';
import { ExtendedGroup } from './extended-group.ts';
import type { FuzzEvent } from './fuzz-case.ts';

/** Stands in passwords: no record may hold it. */
export const secret = 'Xyzzy-Secret';

type Status = 'I' | 'T' | 'E';

/** What the client sends at one go, and what the server says to it. */
interface Exchange {
  readonly client: readonly Uint8Array[];
  readonly server: readonly Uint8Array[];
}

const f = (...messages: readonly (FrontendMessage | Uint8Array)[]): Uint8Array[] =>
  messages.map((message) => stepBytes(['F', message]));
const b = (...messages: readonly (BackendMessage | Uint8Array)[]): Uint8Array[] =>
  messages.map((message) => stepBytes(['B', message]));

const reads = ['SELECT 1', 'TABLE t', 'select a, b from t -- c\n', "SELECT 'it''s'", 'VALUES (1)', '/* x */ SELECT 2'];
const writes = ['INSERT INTO t VALUES (1)', 'UPDATE t SET a = 1', 'CREATE TEMP TABLE x (a int)', 'DROP TABLE x'];
const settings = [
  ['SET search_path = a, b', 'SET'],
  ['SET LOCAL jit = off', 'SET'],
  ["SET SESSION my.setting TO 'x'", 'SET'],
  ['RESET ALL', 'RESET'],
  ['DISCARD ALL', 'DISCARD ALL'],
  ['DEALLOCATE ALL', 'DEALLOCATE ALL'],
  ['DEALLOCATE s1', 'DEALLOCATE'],
  ['PREPARE p AS SELECT 1', 'PREPARE'],
  ['EXECUTE p', 'SELECT 1'],
  ['DECLARE c CURSOR WITH HOLD FOR SELECT 1', 'DECLARE CURSOR'],
  ['LISTEN news', 'LISTEN'],
  ["SELECT set_config('a.b', 'c', false)", 'SELECT 1'],
  ['SELECT pg_advisory_lock(1)', 'SELECT 1'],
  ['SET ROLE other', 'SET'],
  [`CREATE ROLE r PASSWORD '${secret}'`, 'CREATE ROLE'],
  [`ALTER USER r ENCRYPTED PASSWORD $$${secret}$$`, 'ALTER ROLE'],
] as const;

export class Talk {
  readonly events: FuzzEvent[] = [];
  readonly #dice: Dice;
  #status: Status = 'I';
  #waiting: (readonly Uint8Array[])[] = [];

  constructor(dice: Dice) {
    this.#dice = dice;
  }

  /** A whole session. */
  static of(dice: Dice): FuzzEvent[] {
    const talk = new Talk(dice);
    talk.#startUp();
    for (let i = dice.below(9); i > 0; i--) talk.#turn();
    talk.#answerAll();
    if (dice.chance(0.5)) talk.#send('F', f(script.terminate));
    return talk.events;
  }

  #send(direction: 'F' | 'B', frames: readonly Uint8Array[]): void {
    for (const frame of frames) this.events.push([direction, frame]);
  }

  #startUp(): void {
    const dice = this.#dice;
    if (dice.chance(0.15)) {
      this.#send('F', f(dice.pick([{ kind: 'sslRequest' }, { kind: 'gssencRequest' }] as const)));
      if (dice.chance(0.7)) this.#send('B', [Uint8Array.of(0x4e)]);
    }
    this.#send('F', f(script.startup(dice.pick([{}, { application_name: 'fuzz' }, { options: '-c jit=off' }]))));
    this.#authenticate();
    const parameters = [script.status('TimeZone', 'UTC'), script.status('server_version', '17.1')];
    const key: BackendMessage = { kind: 'backendKeyData', processId: 7, secretKey: dice.bytes(4) };
    this.#send('B', b({ kind: 'authenticationOk' }, ...parameters, key, script.ready('I')));
  }

  #authenticate(): void {
    const data = Buffer.from(secret);
    switch (this.#dice.below(4)) {
      case 0:
        this.#send('B', b({ kind: 'authenticationCleartextPassword' }));
        this.#send('F', f({ kind: 'passwordMessage', password: secret }));
        return;
      case 1:
        this.#send('B', b({ kind: 'authenticationSASL', mechanisms: ['SCRAM-SHA-256'] }));
        this.#send('F', f({ kind: 'saslInitialResponse', mechanism: 'SCRAM-SHA-256', data }));
        this.#send('B', b({ kind: 'authenticationSASLContinue', data }));
        this.#send('F', f({ kind: 'saslResponse', data }));
        this.#send('B', b({ kind: 'authenticationSASLFinal', data }));
        return;
      default:
    }
  }

  #turn(): void {
    const dice = this.#dice;
    if (dice.chance(0.1)) {
      this.#answerAll();
      this.#copyIn();
      return;
    }
    const { client, server } = this.#exchange();
    this.#send('F', client);
    this.#waiting.push(server);
    if (dice.chance(0.65)) this.#answerAll();
    else if (dice.chance(0.5)) this.#send('B', this.#waiting.shift() ?? []);
    if (this.#waiting.length === 0 && dice.chance(0.1)) this.#send('B', this.#anyTime());
  }

  #answerAll(): void {
    for (const server of this.#waiting.splice(0)) this.#send('B', server);
  }

  #anyTime(): Uint8Array[] {
    const news: BackendMessage = { kind: 'notificationResponse', processId: 7, channel: 'news', payload: 'x' };
    return b(this.#dice.pick([script.notice, script.status('TimeZone', 'Asia/Tokyo'), news]));
  }

  #exchange(): Exchange {
    const dice = this.#dice;
    const kind = dice.below(10);
    if (kind < 5) return this.#query();
    if (kind < 9) return this.#extended();
    const result = dice.chance(0.8) ? b(script.functionResult) : this.#failed();
    return { client: f(script.functionCall), server: [...result, ...this.#ready()] };
  }

  #extended(): Exchange {
    const group = new ExtendedGroup(this.#dice, this.#status === 'E');
    const { client, server, failed } = group;
    if (failed && this.#status === 'T') this.#status = 'E';
    return { client: f(...client), server: [...b(...server), ...this.#ready()] };
  }

  #query(): Exchange {
    const dice = this.#dice;
    const texts: string[] = [];
    const server: Uint8Array[] = [];
    for (let i = dice.chance(0.8) ? 1 : dice.below(4); i > 0; i--) {
      const [text, answer, failed] = this.#statement();
      texts.push(text);
      server.push(...answer);
      if (dice.chance(0.05)) server.push(...this.#anyTime());
      if (failed) break;
    }
    if (texts.length === 0) server.push(...b(script.empty));
    const padding = dice.chance(0.03) ? ' '.repeat(dice.below(30_000)) : '';
    return { client: f(script.query(padding + texts.join(';'))), server: [...server, ...this.#ready()] };
  }

  /** Text, answer, whether it failed. */
  #statement(): readonly [string, readonly Uint8Array[], boolean] {
    const dice = this.#dice;
    const kind = dice.below(12);
    if (kind < 3) return this.#transactionCommand();
    if (this.#status === 'E' || kind === 3) return ['SELECT 1/0', this.#failed(), true];
    if (kind < 7) return [dice.pick(reads), this.#rows(), false];
    if (kind < 9) return [dice.pick(writes), b(script.tag('UPDATE 1')), false];
    if (kind === 9) return ['COPY t TO STDOUT', this.#copyOut(), false];
    const [text, tag] = dice.pick(settings);
    return [text, b(script.tag(tag)), false];
  }

  #transactionCommand(): readonly [string, readonly Uint8Array[], boolean] {
    const was = this.#status;
    switch (this.#dice.below(4)) {
      case 0:
        if (was === 'E') return ['BEGIN', this.#failed(), true];
        this.#status = 'T';
        return ['BEGIN', b(script.tag('BEGIN')), false];
      case 1:
        this.#status = 'I';
        return ['COMMIT', b(script.tag(was === 'E' ? 'ROLLBACK' : 'COMMIT')), false];
      case 2:
        if (was !== 'I') this.#status = 'T';
        return ['COMMIT AND CHAIN', b(script.tag(was === 'E' ? 'ROLLBACK' : 'COMMIT')), false];
      default:
        this.#status = 'I';
        return ['ROLLBACK', b(script.tag('ROLLBACK')), false];
    }
  }

  #rows(): Uint8Array[] {
    const dice = this.#dice;
    const width = dice.chance(0.03) ? 20_000 : 12;
    const rows = Array.from({ length: dice.below(4) }, () => script.row('x'.repeat(dice.below(width)), null));
    return b(script.columns('a', 'b'), ...rows, script.tag(`SELECT ${rows.length}`));
  }

  #copyOut(): Uint8Array[] {
    const rows = Array.from({ length: this.#dice.below(5) }, () => script.data('1\t2\n'));
    return b(script.copyOut, ...rows, script.done, script.tag(`COPY ${rows.length}`));
  }

  #failed(): Uint8Array[] {
    if (this.#status === 'T') this.#status = 'E';
    return b(script.error('22012'));
  }

  #ready(): Uint8Array[] {
    return b(script.ready(this.#status));
  }

  /** COPY FROM STDIN: done, failed by the client, or failed by the server with copy data still under way. */
  #copyIn(): void {
    if (this.#status === 'E') return;
    const dice = this.#dice;
    this.#send('F', f(script.query('COPY t FROM STDIN')));
    this.#send('B', b(script.copyIn));
    const width = dice.chance(0.1) ? 30_000 : 8;
    const data = Array.from({ length: dice.below(5) }, () => script.data('y'.repeat(dice.below(width))));
    this.#send('F', f(...data));
    if (dice.chance(0.6)) {
      this.#send('F', f(script.done));
      this.#send('B', [...b(script.tag(`COPY ${data.length}`)), ...this.#ready()]);
    } else if (dice.chance(0.5)) {
      this.#send('F', f(script.copyFail));
      this.#send('B', [...this.#failed(), ...this.#ready()]);
    } else {
      this.#send('F', f(script.data('bad')));
      this.#send('B', [...this.#failed(), ...this.#ready()]);
      if (dice.chance(0.5)) this.#send('F', f(script.data('late'), script.done));
    }
  }
}

/** Every type byte of both directions: mutations draw from them. */
export const typeBytes: readonly number[] = [...Object.values(F), ...Object.values(B)];
