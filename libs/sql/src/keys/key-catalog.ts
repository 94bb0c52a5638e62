// Which columns of a database hold generated ids, and which others hold the same ids: by defaults, sequences and foreign keys.
//
// Columns and sequences whose values are the same ids are one key space: `customers.id`, its sequence, `orders.customer_id`. A space
// counts only where something generates its values: a sequence, an identity, a default that draws a uuid. Other columns have none.

/** Schema, table, column. */
export type ColumnName = readonly [schema: string, table: string, column: string];
/** Schema, sequence. */
export type SequenceName = readonly [schema: string, sequence: string];

/** What a database says of itself. */
export interface CatalogFacts {
  /** In the order that a table has them. */
  readonly columns: readonly { readonly name: ColumnName; readonly typeOid: number; readonly generated: boolean }[];
  readonly sequences: readonly SequenceName[];
  /** The sequence that feeds a column. */
  readonly feeds: readonly { readonly sequence: SequenceName; readonly column: ColumnName }[];
  readonly references: readonly { readonly from: ColumnName; readonly to: ColumnName }[];
}

/** Configured: `table.column` or `schema.table.column`, and for what is referred to a sequence as well. */
export interface NamedReference {
  readonly from: string;
  readonly to: string;
}

export interface KeyColumn {
  readonly name: string;
  readonly typeOid: number;
  /** The key space of its values; null: they are no ids. */
  readonly space: string | null;
  /** The database makes its values unless told. */
  readonly generated: boolean;
}

export interface KeyTable {
  readonly columns: readonly KeyColumn[];
}

export interface KeyCatalog {
  /** `schema` may be ''. Null: unknown, or several tables of this name in different schemas. */
  table(schema: string, name: string): KeyTable | null;
  /** The space that it feeds. */
  sequence(schema: string, name: string): string | null;
  /** The space of the column that pg_get_serial_sequence is asked about. */
  column(table: string, column: string): string | null;
  /** Configured references that name nothing here. */
  readonly unknownReferences: readonly NamedReference[];
  readonly spaces: number;
}

/** int8, int2, int4, uuid: what ids are mapped of. */
const keyTypes: ReadonlySet<number> = new Set([20, 21, 23, 2950]);

const columnNode = (name: ColumnName): string => name.join('\u0001');
const sequenceNode = (name: SequenceName): string => `\u0002${name.join('\u0001')}`;

export function keyCatalog(facts: CatalogFacts, configured: readonly NamedReference[] = []): KeyCatalog {
  return new Catalog(facts, configured);
}

class Catalog implements KeyCatalog {
  readonly unknownReferences: readonly NamedReference[];
  readonly spaces: number;
  readonly #tables = new Map<string, KeyTable | null>();
  readonly #sequences = new Map<string, string | null>();

  constructor(facts: CatalogFacts, configured: readonly NamedReference[]) {
    const sets = new DisjointSets();
    const typed = new Set<string>();
    const makers = new Map<string, string>();
    for (const { name, typeOid, generated } of facts.columns) {
      if (!keyTypes.has(typeOid)) continue;
      typed.add(columnNode(name));
      if (generated) makers.set(columnNode(name), name.join('.'));
    }
    for (const name of facts.sequences) makers.set(sequenceNode(name), name.join('.'));
    for (const { sequence, column } of facts.feeds)
      if (typed.has(columnNode(column))) sets.join(sequenceNode(sequence), columnNode(column));
    for (const { from, to } of facts.references)
      if (typed.has(columnNode(from)) && typed.has(columnNode(to))) sets.join(columnNode(from), columnNode(to));
    this.unknownReferences = configured.filter(({ from, to }) => {
      const [column] = nodesOf(from, typed, null);
      const [target] = nodesOf(to, typed, facts.sequences);
      if (column === undefined || target === undefined) return true;
      sets.join(column, target);
      return false;
    });
    const spaceOf = spaceNames(sets, makers);
    this.spaces = spaceOf.size;
    const tables = new Map<string, KeyColumn[]>();
    for (const { name, typeOid, generated } of facts.columns) {
      const key = `${name[0]}\u0001${name[1]}`;
      const columns = tables.get(key) ?? [];
      const node = columnNode(name);
      const space = typed.has(node) ? (spaceOf.get(sets.root(node)) ?? null) : null;
      columns.push({ name: name[2], typeOid, space, generated: generated && space !== null });
      tables.set(key, columns);
    }
    for (const [key, columns] of tables) this.#put(this.#tables, key, { columns });
    for (const name of facts.sequences)
      this.#put(this.#sequences, name.join('\u0001'), spaceOf.get(sets.root(sequenceNode(name))) ?? null);
  }

  table(schema: string, name: string): KeyTable | null {
    return this.#tables.get(`${schema}\u0001${name}`) ?? null;
  }

  sequence(schema: string, name: string): string | null {
    return this.#sequences.get(`${schema}\u0001${name}`) ?? null;
  }

  column(table: string, column: string): string | null {
    const parts = partsOf(table);
    const found = this.table(parts.length > 1 ? (parts[0] as string) : '', parts.at(-1) as string);
    return found?.columns.find(({ name }) => name === column)?.space ?? null;
  }

  /** By its full name, and by its bare one where that is not another's, too. */
  #put<T>(map: Map<string, T | null>, key: string, value: T | null): void {
    map.set(key, value);
    const bare = `\u0001${key.slice(key.indexOf('\u0001') + 1)}`;
    map.set(bare, map.has(bare) ? null : value);
  }
}

/** Of a name as one writes it: lower case unless quoted. */
export function partsOf(name: string): string[] {
  return [...name.matchAll(/"((?:[^"]|"")*)"|[^."]+/g)].map(([part, quoted]) =>
    quoted === undefined ? part.trim().toLowerCase() : quoted.replaceAll('""', '"'),
  );
}

/** What a configured name stands for: nothing where it fits several. */
function nodesOf(name: string, columns: ReadonlySet<string>, sequences: readonly SequenceName[] | null): string[] {
  const tail = partsOf(name).join('\u0001');
  const fits = (node: string): boolean => node === tail || node.endsWith(`\u0001${tail}`);
  const found = [...columns].filter((node) => tail.includes('\u0001') && fits(node));
  for (const sequence of sequences ?? []) if (fits(sequence.join('\u0001'))) found.push(sequenceNode(sequence));
  return found.length === 1 ? found : [];
}

/** Of each set that something generates: called after the first that does. */
function spaceNames(sets: DisjointSets, makers: ReadonlyMap<string, string>): Map<string, string> {
  const names = new Map<string, string>();
  for (const [node, label] of makers) {
    const root = sets.root(node);
    if (!names.has(root)) names.set(root, label);
  }
  return names;
}

class DisjointSets {
  readonly #parents = new Map<string, string>();

  root(node: string): string {
    let at = node;
    for (let up = this.#parents.get(at); up !== undefined; up = this.#parents.get(at)) at = up;
    if (at !== node) this.#parents.set(node, at);
    return at;
  }

  join(a: string, b: string): void {
    const [from, to] = [this.root(a), this.root(b)];
    if (from !== to) this.#parents.set(from, to);
  }
}
