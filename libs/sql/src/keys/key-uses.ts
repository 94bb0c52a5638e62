// Where a text names values that may be ids: parameters and constants, each with the key space it turned out to belong to.

/** One place of the text. */
export interface Use {
  readonly location: number;
  /** 0: a constant. */
  readonly parameter: number;
  /** Of a constant: what it says. */
  readonly text: string;
  readonly quoted: boolean;
  /** It holds an array of them. */
  list: boolean;
  space: string | null;
  /** It was matched with two spaces. */
  torn: boolean;
  /** It says nothing of the value: `$1 IS NULL`. */
  neutral: boolean;
}

export interface ParameterKey {
  readonly space: string;
  readonly list: boolean;
}

/** Bytes [from, to) of the text in UTF-8. */
export interface LiteralKey extends ParameterKey {
  readonly from: number;
  readonly to: number;
  readonly text: string;
  readonly quoted: boolean;
}

export class KeyUses {
  readonly #byLocation = new Map<number, Use>();

  note(location: number, parameter: number, text = '', quoted = false): Use {
    const known = this.#byLocation.get(location);
    if (known !== undefined) return known;
    const use = { location, parameter, text, quoted, list: false, space: null, torn: false, neutral: false };
    this.#byLocation.set(location, use);
    return use;
  }

  /** It is compared with, or put into, what is of this space. */
  mark(uses: readonly Use[], space: string): void {
    for (const use of uses) {
      if (use.space !== null && use.space !== space) use.torn = true;
      use.space = space;
    }
  }

  /** A parameter is one only where every use of it is of the same space. */
  parameters(): ReadonlyMap<number, ParameterKey> {
    const found = new Map<number, ParameterKey>();
    const others = new Set<number>();
    for (const { parameter, space, torn, neutral, list } of this.#byLocation.values()) {
      if (parameter === 0 || neutral) continue;
      const known = found.get(parameter);
      const agrees = known === undefined || (known.space === space && known.list === list);
      if (space === null || torn || !agrees) others.add(parameter);
      else found.set(parameter, { space, list });
    }
    for (const parameter of others) found.delete(parameter);
    return found;
  }

  /** In the order of the text; constants that are written in an unusual way are left out. */
  literals(sql: string): readonly LiteralKey[] {
    const marked = [...this.#byLocation.values()].filter(
      (use) => use.parameter === 0 && use.space !== null && !use.torn,
    );
    if (marked.length === 0) return [];
    const bytes = Buffer.from(sql, 'utf8');
    return marked
      .sort((a, b) => a.location - b.location)
      .flatMap(({ location, text, quoted, space, list }) => {
        const token = quoted ? `'${text}'` : text;
        const to = location + token.length;
        const written = bytes.toString('latin1', location, to);
        const after = String.fromCharCode(bytes[to] ?? 0x20);
        if (written !== token || /[\w'.]/.test(after)) return [];
        return [{ from: location, to, text, quoted, space: space as string, list }];
      });
  }
}
