// Looking into parse trees as libpg_query gives them: one object per node, keyed by the node's type.

export function fieldOf(node: unknown, key: string): unknown {
  return typeof node === 'object' && node !== null ? (node as Record<string, unknown>)[key] : undefined;
}

export function textOf(node: unknown, key: string): string {
  const value = fieldOf(node, key);
  return typeof value === 'string' ? value : '';
}

/** A qualified name's parts, the last one being the object's own; empty where there is none. */
export function nameParts(node: unknown, key: string): readonly string[] {
  const names = fieldOf(node, key);
  return Array.isArray(names) ? names.map((name) => textOf(fieldOf(name, 'String'), 'sval')) : [];
}

/** Whether two nodes are the same, wherever in the text they stand. */
export function sameNode(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  const keys = Object.keys(a).filter((key) => key !== 'location');
  if (keys.length !== Object.keys(b).filter((key) => key !== 'location').length) return false;
  return keys.every((key) => key in b && sameNode(fieldOf(a, key), fieldOf(b, key)));
}
