// The conversation from StartupMessage to the first ReadyForQuery, without a socket: backend messages in, frames or an outcome out.
import { createHash, randomBytes } from 'node:crypto';
import { MirrorstreamError } from '@mirrorstream/domain';
import {
  type BackendMessage,
  encodeFrontend,
  type FrontendMessage,
  PROTOCOL_3_0,
  WireWriter,
} from '@mirrorstream/pg-wire';
import { beginScram, type ScramExchange } from './scram.ts';

export interface StartupParameter {
  readonly name: string;
  readonly value: string;
}

export interface StartUpOptions {
  readonly user: string;
  readonly database: string;
  readonly password: string | undefined;
  readonly parameters: readonly StartupParameter[];
}

/** What the server said about itself and this session. */
export interface SessionFacts {
  readonly processId: number;
  readonly secretKey: Uint8Array;
  readonly parameters: ReadonlyMap<string, string>;
}

export type StartUpStep =
  | { readonly kind: 'wait' }
  | { readonly kind: 'send'; readonly bytes: Uint8Array }
  | { readonly kind: 'ready'; readonly facts: SessionFacts }
  | { readonly kind: 'failed'; readonly error: MirrorstreamError; readonly sqlState: string };

const wait: StartUpStep = { kind: 'wait' };
const stage = 'target';
const TOO_MANY_CONNECTIONS = '53300';
/** Servers that start, stop or recover: trying again can help. */
const passingStates: ReadonlySet<string> = new Set(['57P01', '57P02', '57P03', '55000', '53200']);

/** The StartupMessage, protocol 3.0. */
export function startupPacket(options: StartUpOptions): Uint8Array {
  const parameters = [
    { name: 'user', value: options.user },
    { name: 'database', value: options.database },
    ...options.parameters,
  ];
  return encoded({ kind: 'startupMessage', protocolVersion: PROTOCOL_3_0, parameters });
}

export class StartUp {
  readonly #options: StartUpOptions;
  readonly #parameters = new Map<string, string>();
  #scram: ScramExchange | null = null;
  #scramVerified = false;
  #processId = 0;
  #secretKey: Uint8Array = new Uint8Array(0);

  constructor(options: StartUpOptions) {
    this.#options = options;
  }

  step(message: BackendMessage): StartUpStep {
    switch (message.kind) {
      case 'authenticationCleartextPassword':
        return this.#withPassword((password) => ({ kind: 'passwordMessage', password }));
      case 'authenticationMD5Password':
        return this.#withPassword((password) => ({
          kind: 'passwordMessage',
          password: md5Answer(this.#options.user, password, message.salt),
        }));
      case 'authenticationSASL':
        return this.#beginSasl(message.mechanisms);
      case 'authenticationSASLContinue':
        return this.#continueSasl(message.data);
      case 'authenticationSASLFinal':
        return this.#finishSasl(message.data);
      case 'authenticationOk':
        // A server that skips its signature has not shown that it knows the password.
        return this.#scram !== null && !this.#scramVerified ? refused('it skipped its SCRAM signature') : wait;
      case 'authenticationGSS':
      case 'authenticationGSSContinue':
      case 'authenticationSSPI':
      case 'authenticationKerberosV5':
        return refused('it wants GSSAPI, SSPI or Kerberos, which is not supported');
      case 'parameterStatus':
        this.#parameters.set(message.name, message.value);
        return wait;
      case 'backendKeyData':
        this.#processId = message.processId;
        this.#secretKey = Uint8Array.from(message.secretKey);
        return wait;
      case 'errorResponse':
        return failedWith(message.fields['C'] ?? '');
      case 'readyForQuery':
        return { kind: 'ready', facts: this.#facts() };
      default:
        return wait;
    }
  }

  #facts(): SessionFacts {
    return { processId: this.#processId, secretKey: this.#secretKey, parameters: this.#parameters };
  }

  #withPassword(answer: (password: string) => FrontendMessage): StartUpStep {
    const { password } = this.#options;
    return password === undefined ? noPassword() : send(answer(password));
  }

  #beginSasl(mechanisms: readonly string[]): StartUpStep {
    const { password } = this.#options;
    if (!mechanisms.includes('SCRAM-SHA-256')) return refused('it offers no SASL mechanism that is supported');
    if (password === undefined) return noPassword();
    this.#scram = beginScram(password, randomBytes(18).toString('base64'));
    return send({ kind: 'saslInitialResponse', mechanism: 'SCRAM-SHA-256', data: this.#scram.clientFirst });
  }

  #continueSasl(data: Uint8Array): StartUpStep {
    const answer = this.#scram?.continue(data) ?? 'malformed';
    return typeof answer === 'string' ? refused(`SCRAM: ${answer}`) : send({ kind: 'saslResponse', data: answer });
  }

  #finishSasl(data: Uint8Array): StartUpStep {
    const outcome = this.#scram?.finish(data) ?? 'malformed';
    if (outcome !== 'ok') return refused(`SCRAM: ${outcome}`);
    this.#scramVerified = true;
    return wait;
  }
}

/** `md5` + md5(md5(password + user) + salt), as the manual's message flow has it. */
function md5Answer(user: string, password: string, salt: Uint8Array): string {
  const inner = createHash('md5').update(password).update(user).digest('hex');
  return `md5${createHash('md5').update(inner).update(salt).digest('hex')}`;
}

/** One frontend message as bytes of its own. */
export function encoded(message: FrontendMessage): Uint8Array {
  const writer = new WireWriter();
  encodeFrontend(message, writer);
  return writer.take();
}

const send = (message: FrontendMessage): StartUpStep => ({ kind: 'send', bytes: encoded(message) });

function noPassword(): StartUpStep {
  return authenticationFailed("the mirror's server asks for a password and its URL has none", 'Put it into the URL.');
}

function refused(why: string): StartUpStep {
  return authenticationFailed(`cannot log in to the mirror's server: ${why}`, 'See pg_hba.conf of the mirror.');
}

function authenticationFailed(message: string, hint: string): StartUpStep {
  return {
    kind: 'failed',
    error: new MirrorstreamError('authenticationFailed', message, { stage, hint }),
    sqlState: '',
  };
}

/** The server's own words stay out: they name users and databases. */
function failedWith(sqlState: string): StartUpStep {
  const message = `the mirror's server refused the connection with SQLSTATE ${sqlState}`;
  if (sqlState.startsWith('28')) {
    const hint = 'Check user and password of the mirror, and its pg_hba.conf.';
    return { kind: 'failed', sqlState, error: new MirrorstreamError('authenticationFailed', message, { stage, hint }) };
  }
  if (sqlState === TOO_MANY_CONNECTIONS) {
    const hint = 'Replay goes on with the connections it has. Raise max_connections there, or lower --max-connections.';
    const error = new MirrorstreamError('targetFull', message, { stage, hint, retryable: true });
    return { kind: 'failed', sqlState, error };
  }
  if (passingStates.has(sqlState)) {
    const hint = 'The server is starting, stopping or recovering; replay tries again.';
    const error = new MirrorstreamError('targetUnreachable', message, { stage, hint, retryable: true });
    return { kind: 'failed', sqlState, error };
  }
  const hint = "Does the session's database exist on the mirror, and does it know its start-up parameters?";
  return { kind: 'failed', sqlState, error: new MirrorstreamError('targetRefused', message, { stage, hint }) };
}
