import { randomUUID } from 'node:crypto';
import pg from 'pg';

/** A database of one test file's own, copied from the migrated template. */
export interface TestDatabase {
  readonly url: string;
  /** For looking at rows past the API. */
  readonly sql: pg.Pool;
  /** Fails if a connection of the code under test is still open. */
  drop(): Promise<void>;
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

/** @param options `empty`: without a schema, to be migrated by the test; `icuLocale`: of an empty one, whose texts sort by it unless told otherwise */
export async function createTestDatabase({
  empty = false,
  icuLocale,
}: { empty?: boolean; icuLocale?: string } = {}): Promise<TestDatabase> {
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
