// What a client asked for, out of the frames of its requests: the text and the parameters of each statement, in the order of the answers.
import type { SessionContext } from '@mirrorstream/envelope';
import { decodeFrontend, frameEndAt } from '@mirrorstream/pg-wire';

export interface SentParameter {
  /** 0: the client left the type to the server. */
  readonly typeOid: number;
  /** 0 text, 1 binary. */
  readonly format: number;
  /** null is SQL NULL. */
  readonly value: Uint8Array | null;
}

export interface SentStatement {
  /** `query`: a text of one statement or several, whose answers all belong to it. `parse`: prepared and not executed. */
  readonly kind: 'query' | 'execute' | 'functionCall' | 'parse';
  /** '' where its Parse was never seen. */
  readonly sql: string;
  readonly parameterTypes: readonly number[];
  readonly parameters: readonly SentParameter[];
}

interface Prepared {
  readonly sql: string;
  readonly parameterTypes: readonly number[];
}

const unknown: Prepared = { sql: '', parameterTypes: [] };

/** Follows a session's prepared statements and portals from one request to the next. Never throws, on any bytes. */
export class RequestReader {
  readonly #statements = new Map<string, Prepared>();
  readonly #portals = new Map<string, SentStatement>();

  constructor(context?: Pick<SessionContext, 'statements'>) {
    for (const { parseFrame } of context?.statements ?? []) this.read(parseFrame);
  }

  /** Whole frames of one exchange; what follows bytes that are no frame is not read. */
  read(request: Uint8Array): readonly SentStatement[] {
    const found: SentStatement[] = [];
    let parsed: SentStatement | null = null;
    for (let start = 0; start < request.length; ) {
      const end = frameEndAt(request, start, request.length);
      if (end < 0) break;
      const statement = this.#take(request, start, end);
      if (statement?.kind === 'parse') parsed = statement;
      else if (statement !== null) found.push(statement);
      start = end;
    }
    return found.length === 0 && parsed !== null ? [parsed] : found;
  }

  #take(request: Uint8Array, start: number, end: number): SentStatement | null {
    const message = decodeFrontend(request[start] as number, request, start, end);
    switch (message.kind) {
      case 'query':
        return { kind: 'query', sql: message.query.toWellFormed(), parameterTypes: [], parameters: [] };
      case 'parse': {
        const prepared = { sql: message.query.toWellFormed(), parameterTypes: message.parameterTypes };
        this.#statements.set(message.statement, prepared);
        return { kind: 'parse', ...prepared, parameters: [] };
      }
      case 'bind': {
        const { sql, parameterTypes } = this.#statements.get(message.statement) ?? unknown;
        const { parameters, parameterFormats } = message;
        const bound = parameters.map((value, i) => ({
          typeOid: parameterTypes[i] ?? 0,
          format: (parameterFormats.length === 1 ? parameterFormats[0] : parameterFormats[i]) ?? 0,
          value,
        }));
        this.#portals.set(message.portal, { kind: 'execute', sql, parameterTypes, parameters: bound });
        return null;
      }
      case 'execute':
        return this.#portals.get(message.portal) ?? { kind: 'execute', ...unknown, parameters: [] };
      case 'functionCall':
        return { kind: 'functionCall', ...unknown, parameters: [] };
      case 'close':
        if (message.target === 'S') this.#statements.delete(message.name);
        else this.#portals.delete(message.name);
        return null;
      default:
        return null;
    }
  }
}

/** The one that the n-th answer of the exchange belongs to. */
export function statementOfAnswer(sent: readonly SentStatement[], answer: number): SentStatement | null {
  return sent[Math.min(answer, sent.length - 1)] ?? null;
}
