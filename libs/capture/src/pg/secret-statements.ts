// Which prepared statements take a secret as a parameter, as the client sent them: what it binds to them is redacted as it goes by.
import { bindPortal, bindStatement, executePortal, F, parseStatementName } from '@mirrorstream/pg-wire';
import { bindValues } from './session-calls.ts';

/** Beyond this many, every statement counts as secret: never the other way round. */
const MAX_NAMES = 256;
const X = 0x78;

export class SecretStatements {
  readonly #names = new Set<string>();
  readonly #portals = new Set<string>();

  /** The SQL command PREPARE, or a Parse of this name. Statements are read in the order sent, so the newest counts. */
  add(name: string): void {
    if (this.#names.size < MAX_NAMES) this.#names.add(name);
  }

  has(name: string): boolean {
    return this.#names.has(name) || this.#names.size >= MAX_NAMES;
  }

  /** A Parse that holds no secret takes the place of the unnamed statement. One of a name may fail, so that stays. */
  parsed(buffer: Uint8Array, start: number, end: number): void {
    if (this.#names.has('') && parseStatementName(buffer, start, end) === '') this.#names.delete('');
  }

  /** True: the frame belongs to a secret statement, and `redacted` is how many of its parameters were blanked. */
  look(type: number, frame: Uint8Array): { readonly secret: boolean; readonly redacted: number } {
    if (type === F.Execute) return { secret: this.#portals.has(executePortal(frame, 0, frame.length)), redacted: 0 };
    if (type !== F.Bind) return { secret: false, redacted: 0 };
    const portal = bindPortal(frame, 0, frame.length);
    const secret = this.has(bindStatement(frame, 0, frame.length));
    if (!secret) {
      this.#portals.delete(portal);
      return { secret, redacted: 0 };
    }
    if (this.#portals.size < MAX_NAMES) this.#portals.add(portal);
    return { secret, redacted: blankValues(frame) };
  }
}

function blankValues(frame: Uint8Array): number {
  let blanked = 0;
  for (const { start, end } of bindValues(frame)) {
    if (start < 0 || start === end) continue;
    frame.fill(X, start, end);
    blanked += 1;
  }
  return blanked;
}
