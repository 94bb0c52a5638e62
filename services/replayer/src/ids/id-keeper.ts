// What a replayer maps ids with: the map, and for each database what the mirror's catalog says, read on its first connection and again
// when the schema has changed.
import type { SessionContext } from '@mirrorstream/envelope';
import type { TargetConnection } from '@mirrorstream/pg-target';
import { IdMap, type IdMapping, type TextPlans } from '@mirrorstream/replay';
import type { ServiceKit } from '@mirrorstream/service-kit';
import { createKeyPlans, type KeyPlans, keyCatalog, lastValue } from '@mirrorstream/sql';
import { readCatalog } from './catalog-reader.ts';
import type { IdConfig } from './id-flags.ts';

export interface IdKeeperOptions {
  readonly config: IdConfig;
  readonly timeoutMs: number;
  readonly logger: ServiceKit['logger'];
}

/** A connection of its own, as this session has it; `prepare` is told of it as of any other. */
type Connect = (context: SessionContext) => Promise<TargetConnection>;

interface Database {
  /** The newest session's, to ask as. */
  context: SessionContext;
  readonly plans: TextPlans;
  current: KeyPlans | null;
  /** The catalog is not read yet, or is not what it was. */
  stale: boolean;
  reading: Promise<void> | null;
  reread: NodeJS.Timeout | null;
}

/** Of one mirror: more databases than that are not looked into. */
const MAX_DATABASES = 100;

export class IdKeeper {
  readonly map: IdMap;
  readonly mapping: IdMapping;
  readonly #options: IdKeeperOptions;
  readonly #open: Awaited<ReturnType<typeof createKeyPlans>>;
  readonly #databases = new Map<string, Database>();
  #connect: Connect | null = null;
  #stopped = false;

  private constructor(options: IdKeeperOptions, open: Awaited<ReturnType<typeof createKeyPlans>>) {
    this.#options = options;
    this.#open = open;
    this.map = new IdMap(options.config.limits);
    this.mapping = {
      map: this.map,
      scope: options.config.scope,
      plansOf: (database) => this.#databases.get(database)?.plans ?? null,
      onSchemaChange: (database) => this.#schemaChanged(database),
    };
  }

  /** Loads the parser. */
  static async create(options: IdKeeperOptions): Promise<IdKeeper> {
    const { maxPlans, maxPlanBytes } = options.config.limits;
    return new IdKeeper(options, await createKeyPlans({ maxEntries: maxPlans, maxBytes: maxPlanBytes }));
  }

  /** How to ask again while no session connects. */
  askBy(connect: Connect): void {
    this.#connect = connect;
  }

  /** Databases whose catalog is known. */
  get databases(): number {
    return [...this.#databases.values()].filter(({ current }) => current !== null).length;
  }

  /** Before a session's first statement on a connection, whose handlers have to be bound anew afterwards. Throws when it is lost. */
  readonly prepare = async (context: SessionContext, connection: TargetConnection): Promise<void> => {
    const database = this.#databaseOf(context);
    if (database === null) return;
    database.context = context;
    while (database.reading !== null) await database.reading.catch(() => {});
    if (!database.stale) return;
    database.stale = false;
    database.reading = this.#read(context.database, database, connection);
    try {
      await database.reading;
    } catch (error) {
      database.stale = true;
      throw error;
    } finally {
      database.reading = null;
    }
  };

  stop(): void {
    this.#stopped = true;
    for (const { reread } of this.#databases.values()) if (reread !== null) clearTimeout(reread);
  }

  #databaseOf(context: SessionContext): Database | null {
    const known = this.#databases.get(context.database);
    if (known !== undefined) return known;
    if (this.#databases.size >= MAX_DATABASES) return null;
    const database: Database = {
      context,
      plans: { lastValue, plan: (sql) => database.current?.plan(sql) ?? null },
      ...{ current: null, stale: true, reading: null, reread: null },
    };
    this.#databases.set(context.database, database);
    return database;
  }

  async #read(name: string, database: Database, connection: TargetConnection): Promise<void> {
    const { config, timeoutMs, logger } = this.#options;
    const facts = await readCatalog(connection, { timeoutMs, maxRows: config.limits.maxCatalogRows });
    if (facts === null) {
      logger.warn(
        { database: name, hint: 'The user needs to read pg_catalog; very large catalogs are not used.' },
        "the mirror's catalog is not available: ids of this database are not mapped",
      );
      return;
    }
    const catalog = keyCatalog(facts, config.references);
    database.current = this.#open(catalog);
    logger.info({ database: name, keySpaces: catalog.spaces }, 'ids are mapped by what the catalog says');
    for (const { from, to } of catalog.unknownReferences)
      logger.warn({ database: name, from, to }, 'map-ids-reference names what is not there, or several');
  }

  /** Many statements change a schema together: it is read once, shortly afterwards. */
  #schemaChanged(name: string): void {
    const database = this.#databases.get(name);
    if (database === undefined) return;
    database.stale = true;
    if (database.reread !== null || this.#stopped) return;
    database.reread = setTimeout(() => {
      database.reread = null;
      void this.#reread(name, database);
    }, this.#options.config.limits.rereadMs);
  }

  /** The next connection reads it where this fails. */
  async #reread(name: string, database: Database): Promise<void> {
    try {
      (await this.#connect?.(database.context))?.close();
    } catch (error) {
      this.#options.logger.debug({ database: name, reason: String(error) }, 'the catalog was not read again');
    }
  }
}
