/**
 * Applies migrations with the WebAssembly build of Prisma's engine. It needs no download, and it maintains `_prisma_migrations`
 * as the Prisma CLI does, so that both can be used on the same database.
 */
import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PrismaPg } from '@prisma/adapter-pg';
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils';
import type { SchemaEngine } from '@prisma/schema-engine-wasm/schema_engine_bg';
import pg from 'pg';
import type { Queryable } from './client.js';
import { missingDefences } from './defences.js';

/** The part of the WebAssembly API that is used here; Node's types do not declare it. */
declare const WebAssembly: { instantiate(bytes: Uint8Array, imports: object): Promise<{ instance: { exports: unknown } }> };

const migrationsDir = fileURLToPath(new URL('../../prisma/migrations', import.meta.url));
/** Held while migrating, so that of several concurrent migrations one works and the others wait; an arbitrary constant. */
const migrationLock = 7_245_501;
const migrationLockWaitMs = 120_000;

/** The names of the migrations that this version was built with, in order. */
export async function knownMigrations(): Promise<string[]> {
  const entries = await readdir(migrationsDir, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}

/**
 * Applies the missing migrations. Safe to run concurrently, and when nothing is missing.
 *
 * @returns the names of the migrations that were applied
 */
export async function migrate(url: string): Promise<string[]> {
  const lock = new pg.Client({ connectionString: url, application_name: 'onsale migrate', connectionTimeoutMillis: 5_000 });
  lock.on('error', () => undefined); // if the server is lost, the statements of the migration fail
  await lock.connect();
  try {
    await lock.query(`SET lock_timeout = ${String(migrationLockWaitMs)}`);
    await lock.query('SELECT pg_advisory_lock($1)', [migrationLock]);
    return await applyMissing(url);
  } finally {
    await lock.end();
  }
}

async function applyMissing(url: string): Promise<string[]> {
  const { SchemaEngine } = await loadEngine();
  const pool = new pg.Pool({ connectionString: url, application_name: 'onsale migrate', max: 1 });
  pool.on('error', () => undefined);
  const scripts = new WholeScripts(pool);
  try {
    const ignoreLog = () => undefined;
    const engine = await SchemaEngine.new({ datamodels: undefined }, ignoreLog, bindMigrationAwareSqlAdapterFactory(scripts));
    await forgetFailures(pool, engine);
    const filters = { externalTables: [], externalEnums: [] };
    const { appliedMigrationNames } = await engine.applyMigrations({ migrationsList: await migrationsList(), filters });
    return appliedMigrationNames;
  } catch (error) {
    throw scripts.failure ?? error;
  } finally {
    await pool.end();
  }
}

/**
 * Sends a migration as one query, which Postgres runs as one transaction. The adapter itself would split it at every
 * semicolon, even inside quotes and comments, and keep the first part when a later part fails.
 */
class WholeScripts extends PrismaPg {
  /** The error from Postgres; the engine's own error contains only a code. */
  failure: unknown;

  override async connect(): ReturnType<PrismaPg['connect']> {
    const adapter = await super.connect();
    adapter.executeScript = async (script) => {
      try {
        await adapter.underlyingDriver().query(script);
      } catch (error) {
        this.failure = error;
        throw error;
      }
    };
    return adapter;
  }
}

async function migrationsList() {
  const lockfile = 'migration_lock.toml';
  return {
    baseDir: migrationsDir,
    lockfile: { path: lockfile, content: await readFile(join(migrationsDir, lockfile), 'utf8') },
    shadowDbInitScript: '',
    migrationDirectories: await Promise.all(
      (await knownMigrations()).map(async (name) => ({
        path: name,
        migrationFile: {
          path: 'migration.sql',
          content: { tag: 'ok' as const, value: await readFile(join(migrationsDir, name, 'migration.sql'), 'utf8') },
        },
      })),
    ),
  };
}

/**
 * Marks failed migrations as rolled back, so that they are tried again: each is one transaction, so a failed one changed nothing.
 * Migrations of other versions are left alone, because the readiness of those versions' replicas depends on them.
 */
async function forgetFailures(pool: pg.Pool, engine: SchemaEngine): Promise<void> {
  const table = await pool.query<{ present: boolean }>(`SELECT to_regclass('_prisma_migrations') IS NOT NULL AS present`);
  if (table.rows[0]?.present !== true) return;
  const failed = await pool.query<{ migration_name: string }>(
    'SELECT migration_name FROM _prisma_migrations WHERE finished_at IS NULL AND rolled_back_at IS NULL AND migration_name = ANY ($1)',
    [await knownMigrations()],
  );
  for (const { migration_name: migrationName } of failed.rows) await engine.markMigrationRolledBack({ migrationName });
}

let engineModule: ReturnType<typeof instantiateEngine> | undefined;

/** Once per process, because the package's JavaScript supports only one instance of its WebAssembly. */
function loadEngine(): ReturnType<typeof instantiateEngine> {
  engineModule ??= instantiateEngine();
  return engineModule;
}

/** The engine never clears the ten-second timer of its lock wait, which must not keep the process alive. */
const briefTimeout = (callback: () => void, ms: number) => setTimeout(callback, ms).unref();

/** Instantiates the WebAssembly, which the package leaves to a bundler. */
async function instantiateEngine() {
  const specifier = '@prisma/schema-engine-wasm/schema_engine_bg';
  const glue = await import('@prisma/schema-engine-wasm/schema_engine_bg');
  const wasmPath = join(dirname(createRequire(import.meta.url).resolve(specifier)), 'schema_engine_bg.wasm');
  const imports = Object.fromEntries(
    Object.entries(glue).map(([name, value]) => [name, name.startsWith('__wbg_setTimeout_') ? briefTimeout : (value as unknown)]),
  );
  const { instance } = await WebAssembly.instantiate(await readFile(wasmPath), { './schema_engine_bg.js': imports });
  const internals = glue as unknown as { __wbg_set_wasm(exports: unknown): void };
  internals.__wbg_set_wasm(instance.exports);
  (instance.exports as { __wbindgen_start(): void }).__wbindgen_start();
  return glue;
}

export interface SchemaState {
  /** Migrations of this version that the database lacks. */
  readonly missing: readonly string[];
  /** Migrations unknown to this version that removed something. */
  readonly breaking: readonly string[];
  /** Descriptions of the defences (defences.ts) that are missing or not in force. */
  readonly lacking: readonly string[];
  readonly readOnly: boolean;
}

/**
 * Whether a migration breaks a version that does not know it. That version sees only the migration's name, so the name must tell:
 * a name that ends in `_contract` means that something was removed, any other that something was only added. A version that knows
 * the `_expand` of the same subject does not use what was removed: `…_venue_contract` breaks versions without `…_venue_expand`.
 */
export function breaks(migration: string, known: readonly string[]): boolean {
  const [, subject] = /^\d*_?(.*)_contract$/.exec(migration) ?? [];
  if (subject === undefined || known.includes(migration)) return false;
  return !known.some((name) => name.replace(/^\d*_?/, '') === `${subject}_expand`);
}

/** Compares the database with the schema that this version needs. A database that was never migrated lacks every migration. */
export async function schemaState(db: Queryable): Promise<SchemaState> {
  const known = await knownMigrations();
  const table = await db.$queryRaw<{ present: boolean }[]>`SELECT to_regclass('_prisma_migrations') IS NOT NULL AS present`;
  if (table[0]?.present !== true) return { missing: known, breaking: [], lacking: [], readOnly: false };
  const finished = await db.$queryRaw<{ name: string }[]>`
    SELECT migration_name AS name FROM _prisma_migrations WHERE rolled_back_at IS NULL AND finished_at IS NOT NULL`;
  const missing = known.filter((name) => !finished.some((migration) => migration.name === name));
  return { ...(await recheckSchema(db)), missing };
}

/**
 * Checks in one query what can change after nothing was missing; applied migrations are never reverted. A migration in progress
 * counts, because it is committed a moment before it is marked as finished.
 */
export async function recheckSchema(db: Queryable): Promise<SchemaState> {
  const known = await knownMigrations();
  const [row] = await db.$queryRaw<{ readOnly: boolean; begun: string[]; lacking: string[] }[]>`
    SELECT current_setting('transaction_read_only')::boolean AS "readOnly",
           ARRAY (SELECT migration_name::text FROM _prisma_migrations WHERE rolled_back_at IS NULL) AS begun,
           ARRAY (${missingDefences}) AS lacking`;
  if (!row) throw new Error('a statement that always returns a row returned none');
  const { readOnly, begun, lacking } = row;
  return { missing: [], breaking: begun.filter((name) => breaks(name, known)), lacking, readOnly };
}
