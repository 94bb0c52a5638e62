// Reads the little XML that a JUnit report is, strictly: every element is closed, every attribute quoted, nothing unescaped.

export interface ReadCase {
  readonly name: string;
  readonly kind: 'passed' | 'failure' | 'skipped';
}

export const XMLParser = {
  /** Throws where it is not well-formed. */
  read(text: string): { readonly cases: readonly ReadCase[]; readonly failures: number } {
    const open: string[] = [];
    const cases: { name: string; kind: ReadCase['kind'] }[] = [];
    let failures = 0;
    let at = text.indexOf('?>') + 2;
    const token =
      /([^<&]|&(?:amp|lt|gt|quot|apos);)*(?:<(\/?)([a-z-]+)((?:\s+[a-z]+="(?:[^"<&]|&(?:amp|lt|gt|quot|apos);)*")*)\s*(\/?)>)?/gy;
    while (at < text.length) {
      token.lastIndex = at;
      const found = token.exec(text);
      if (found === null || found[0] === '') throw new Error(`not well-formed at ${at}: ${text.slice(at, at + 60)}`);
      at = token.lastIndex;
      const [, , closes, name = '', attributes = '', empty] = found;
      if (name === '') continue;
      if (closes === '/') {
        if (open.pop() !== name) throw new Error(`${name} is closed and was not open`);
        continue;
      }
      const value = (key: string): string => new RegExp(`\\s${key}="([^"]*)"`).exec(attributes)?.[1] ?? '';
      if (name === 'testsuite') failures = Number(value('failures'));
      if (name === 'testcase') cases.push({ name: value('name'), kind: 'passed' });
      const last = cases.at(-1);
      if (last !== undefined && (name === 'failure' || name === 'skipped')) last.kind = name;
      if (empty !== '/') open.push(name);
    }
    if (open.length > 0) throw new Error(`${open.join(', ')} not closed`);
    return { cases, failures };
  },
};
