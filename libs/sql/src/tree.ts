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
