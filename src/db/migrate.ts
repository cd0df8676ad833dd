/**
 * Migrations, by Prisma's own engine in its WebAssembly form: it needs no download, and it keeps `_prisma_migrations` as
 * the command line does, so that either can be used on one database.
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

/** The part of the standard that is used here; Node's types leave it to the browser's. */
declare const WebAssembly: { instantiate(bytes: Uint8Array, imports: object): Promise<{ instance: { exports: unknown } }> };

const migrationsDir = fileURLToPath(new URL('../../prisma/migrations', import.meta.url));
/** Any constant; held while migrating, so that of several that start at once one works and the others wait. */
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
 * Applies what is missing. Safe when several run at once, and when there is nothing to do.
 *
 * @returns the names of the migrations that were applied
 */
export async function migrate(url: string): Promise<string[]> {
  const lock = new pg.Client({ connectionString: url, application_name: 'onsale migrate', connectionTimeoutMillis: 5_000 });
  lock.on('error', () => undefined); // a server that goes away fails the statements of the migration
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
 * Sends a migration as one query, which Postgres runs as one transaction: all of it or nothing. The adapter's own way is
 * to split it at every semicolon, also inside quotes and comments, and to leave the first half standing when the second fails.
 */
class WholeScripts extends PrismaPg {
  /** What Postgres said; the engine's own error would only give it a number. */
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
 * A migration that failed changed nothing, being one transaction, so it may be tried again without anybody's say. Those of
 * another version are that version's to judge: its replicas' readiness hangs on them.
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

/** Once per process: the package's JavaScript can talk to one instance of its WebAssembly only. */
function loadEngine(): ReturnType<typeof instantiateEngine> {
  engineModule ??= instantiateEngine();
  return engineModule;
}

/** The engine never clears the timer of its own lock wait, ten seconds; the process must not stay for it. */
const briefTimeout = (callback: () => void, ms: number) => setTimeout(callback, ms).unref();

/** The package expects a bundler to instantiate its WebAssembly; this does it by hand. */
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
  /** Migrations of ours that the database lacks. */
  readonly missing: readonly string[];
  /** Migrations unknown to this version that took something away. */
  readonly breaking: readonly string[];
  /** Constraints and indexes that the promises rest on, and that are not there or not in force; in words. */
  readonly lacking: readonly string[];
  readonly readOnly: boolean;
}

/**
 * What a migration does to versions that do not know it is told by its name, which is all that they see of it. One that ends
 * in `_contract` took something away, any other only adds. What it took is not missed by a version that knows the
 * `_expand` of the same subject, with which its replacement came: `…_venue_contract` breaks whoever has no `…_venue_expand`.
 */
export function breaks(migration: string, known: readonly string[]): boolean {
  const [, subject] = /^\d*_?(.*)_contract$/.exec(migration) ?? [];
  if (subject === undefined || known.includes(migration)) return false;
  return !known.some((name) => name.replace(/^\d*_?/, '') === `${subject}_expand`);
}

/** Compares the database with what this version was built for. A database that was never migrated lacks everything. */
export async function schemaState(db: Queryable): Promise<SchemaState> {
  const known = await knownMigrations();
  const table = await db.$queryRaw<{ present: boolean }[]>`SELECT to_regclass('_prisma_migrations') IS NOT NULL AS present`;
  if (table[0]?.present !== true) return { missing: known, breaking: [], lacking: [], readOnly: false };
  const finished = await db.$queryRaw<{ name: string }[]>`
    SELECT migration_name AS name FROM _prisma_migrations WHERE rolled_back_at IS NULL AND finished_at IS NOT NULL`;
  const missing = known.filter((name) => !finished.some((migration) => migration.name === name));
  return { ...(await lookAgain(db)), missing };
}

/**
 * What may have changed since nothing was missing, in one query: nobody takes a migration back. One that is under way
 * counts, because it is committed a moment before it is marked as finished.
 */
export async function lookAgain(db: Queryable): Promise<SchemaState> {
  const known = await knownMigrations();
  const [row] = await db.$queryRaw<{ readOnly: boolean; begun: string[]; lacking: string[] }[]>`
    SELECT current_setting('transaction_read_only')::boolean AS "readOnly",
           ARRAY (SELECT migration_name::text FROM _prisma_migrations WHERE rolled_back_at IS NULL) AS begun,
           ARRAY (${missingDefences}) AS lacking`;
  if (!row) throw new Error('a SELECT without FROM gave no row');
  const { readOnly, begun, lacking } = row;
  return { missing: [], breaking: begun.filter((name) => breaks(name, known)), lacking, readOnly };
}
