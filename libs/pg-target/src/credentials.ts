// Who logs in for a captured user, and with which password: from the URL, from a variable, or from a file that may change meanwhile.
import { readFile } from 'node:fs/promises';
import { MirrorstreamError } from '@mirrorstream/domain';
import type { TargetAddress, TargetSource } from './target-address.ts';

export interface UserMapping {
  /** The captured session's user. */
  readonly captured: string;
  /** The mirror's. */
  readonly user: string;
}

export interface CredentialOptions {
  /** Wins over the URL's user. */
  readonly mappings: readonly UserMapping[];
  /** Of the mirror's users; wins over `password`. */
  readonly userPasswords: ReadonlyMap<string, TargetSource>;
  /** Of everybody else; wins over the URL's. */
  readonly password: TargetSource | null;
}

export interface Login {
  readonly user: string;
  readonly password: string | undefined;
}

export const noCredentials: CredentialOptions = { mappings: [], userPasswords: new Map(), password: null };

export class Credentials {
  readonly #options: CredentialOptions;
  readonly #env: Readonly<Record<string, string | undefined>>;
  readonly #users: ReadonlyMap<string, string>;
  /** What each file held when it could be read last. */
  readonly #lastRead = new Map<string, string>();

  constructor(options: CredentialOptions, env: Readonly<Record<string, string | undefined>>) {
    this.#options = options;
    this.#env = env;
    this.#users = new Map(options.mappings.map(({ captured, user }) => [captured, user]));
  }

  /** Throws `badInput` when a variable or file that was named has nothing; names the place, never the value. */
  async check(): Promise<void> {
    const { userPasswords, password } = this.#options;
    for (const source of [...userPasswords.values(), ...(password === null ? [] : [password])])
      await this.#read(source);
  }

  /** The user this captured user is on the mirror. */
  userOf(address: Pick<TargetAddress, 'user'>, captured: string): string {
    return this.#users.get(captured) ?? address.user ?? captured;
  }

  /** A file is read anew each time, so that a password can be changed while running. */
  async loginOf(address: TargetAddress, captured: string): Promise<Login> {
    const user = this.userOf(address, captured);
    const source = this.#options.userPasswords.get(user) ?? this.#options.password;
    return { user, password: source === null ? address.password : await this.#read(source) };
  }

  async #read(source: TargetSource): Promise<string> {
    if ('env' in source) {
      const value = this.#env[source.env];
      if (value !== undefined && value !== '') return value;
      throw missing(`environment variable ${source.env} holds no password`);
    }
    const { file } = source;
    const text = await readFile(file, 'utf8').then(
      (value) => value.replace(/\r?\n$/, ''),
      () => this.#lastRead.get(file) ?? '',
    );
    if (text === '') throw missing(`file ${file} holds no password, or cannot be read`);
    this.#lastRead.set(file, text);
    return text;
  }
}

function missing(message: string): MirrorstreamError {
  return new MirrorstreamError('badInput', message, {
    stage: 'target',
    hint: "It was named as the place of a password of the mirror's users.",
  });
}
