import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach } from '@jest/globals';
import pg from 'pg';
import type { ConnectionGroup, Pool, PoolLimits } from '../../src/db/client.js';
import { openTestPool } from './pool.js';
import { type Replica, startReplica } from './replica.js';

/** A database of one test file's own, copied from the migrated template. */
export interface TestDatabase {
  readonly url: string;
  /** For looking at rows past the API. */
  readonly sql: pg.Pool;
  /** Fails if a connection of the code under test is still open. */
  drop(): Promise<void>;
}

export interface DatabaseOptions {
  /** Without a schema: the test migrates it. */
  readonly empty?: boolean;
  /** Of an empty one: its texts sort by this locale unless a column has a collation of its own. */
  readonly icuLocale?: string;
}

interface Closable {
  close(): Promise<void>;
}

/** The database of a test file. What is opened in a test is closed after that test, everything else at the end of the file. */
export interface FileDatabase extends Pick<TestDatabase, 'url' | 'sql'> {
  openPool(limits?: Partial<PoolLimits>, group?: ConnectionGroup): Pool;
  /** @param env settings beside the address of the database */
  startReplica(env?: Record<string, string>): Promise<Replica>;
  /** Closes it later, the last opened first, also when the test fails: a connection that is left open keeps the worker alive. */
  closeLater<T extends Closable>(resource: T): T;
}

/** To be called at the top of a test file, before its own hooks: creates its database before the first test and drops it after the last. */
export function useDatabase(options: DatabaseOptions = {}): FileDatabase {
  let created: TestDatabase | undefined;
  const ofFile: Closable[] = [];
  const ofTest: Closable[] = [];
  let inTest = false;
  beforeAll(async () => {
    created = await createTestDatabase(options);
  });
  beforeEach(() => {
    inTest = true;
  });
  afterEach(async () => {
    inTest = false;
    await closeAll(ofTest);
  });
  afterAll(async () => {
    try {
      await closeAll(ofFile);
    } finally {
      await created?.drop();
    }
  });

  const database = () => {
    if (created === undefined) throw new Error('the database is created before the first test of the file, not while it is loaded');
    return created;
  };
  const closeLater = <T extends Closable>(resource: T): T => {
    (inTest ? ofTest : ofFile).push(resource);
    return resource;
  };
  return {
    get url() {
      return database().url;
    },
    get sql() {
      return database().sql;
    },
    openPool: (limits, group) => closeLater(openTestPool(database().url, limits, group)),
    startReplica: async (env) => closeLater(await startReplica(database().url, env)),
    closeLater,
  };
}

/** A sale is closed before the pool that it was opened with. */
async function closeAll(resources: Closable[]): Promise<void> {
  for (const resource of resources.splice(0).reverse()) await resource.close();
}

function templateUrl(): URL {
  const url = process.env['TEST_TEMPLATE_URL'];
  if (url === undefined) throw new Error('tests run by way of "npm test", which starts their Postgres');
  return new URL(url);
}

async function onServer<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
  const url = templateUrl();
  url.pathname = '/postgres';
  const client = new pg.Client({ connectionString: url.href });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** For a test that needs a database beside that of its file, and drops it itself. */
export async function createTestDatabase({ empty = false, icuLocale }: DatabaseOptions = {}): Promise<TestDatabase> {
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  const template = empty ? 'template0' : templateUrl().pathname.slice(1);
  const locale = icuLocale === undefined ? '' : `LOCALE_PROVIDER icu ICU_LOCALE '${icuLocale}'`;
  await onServer((client) => client.query(`CREATE DATABASE ${name} TEMPLATE ${template} STRATEGY file_copy ${locale}`));
  const url = templateUrl();
  url.pathname = `/${name}`;
  const sql = new pg.Pool({ connectionString: url.href, max: 10, application_name: 'test' });
  return {
    url: url.href,
    sql,
    drop: async () => {
      await sql.end();
      await onServer(async (client) => {
        const open = await untilClosed(client, name);
        await client.query(`DROP DATABASE ${name} WITH (FORCE)`);
        if (open.length > 0) throw new Error(`connections were left open: ${JSON.stringify(open)}`);
      });
    },
  };
}

/** The server takes a moment to notice a closed connection, and longer while it works for it. @returns the connections still open after five seconds */
async function untilClosed(client: pg.Client, database: string): Promise<unknown[]> {
  for (let attempt = 0; ; attempt += 1) {
    const { rows } = await client.query<Record<string, unknown>>(
      `SELECT application_name, state, query FROM pg_stat_activity WHERE datname = $1`,
      [database],
    );
    if (rows.length === 0 || attempt === 50) return rows;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
