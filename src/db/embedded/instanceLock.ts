/**
 * The instance that uses a data directory holds an advisory lock in its database. A second instance finds the lock taken. After
 * a crash of the API its Postgres keeps running, and the next start finds the lock free and takes over the data directory.
 */
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { EmbeddedError } from './account.js';
import { superuser } from './initdb.js';

/** The advisory lock of the instance; an arbitrary constant. */
const instanceLock = 7_245_502;
const relockEveryMs = 100;
const connectTimeoutMs = 5_000;
/** The longest query creates the database, which copies and syncs some files. */
const queryTimeoutMs = 60_000;

export function urlOf(port: number, password: string, database: string): string {
  return `postgresql://${superuser}:${encodeURIComponent(password)}@127.0.0.1:${String(port)}/${database}`;
}

export function inUse(dataDir: string): EmbeddedError {
  return new EmbeddedError(`Another onsale is running on ${dataDir}; stop it, or choose another directory with EMBEDDED_DATA_DIR.`);
}

export async function connect(url: string, answerTimeoutMs = queryTimeoutMs): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'onsale keeper',
    connectionTimeoutMillis: connectTimeoutMs,
    query_timeout: answerTimeoutMs, // safe here: this session has no transactions and is not reused
  });
  client.on('error', () => undefined); // the server was lost; the users of the database notice it themselves
  await client.connect();
  return client;
}

export async function takeInstanceLock(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ taken: boolean }>('SELECT pg_try_advisory_lock($1) AS taken', [instanceLock]);
  return rows[0]?.taken === true;
}

/**
 * Keeps the lock. If one of its processes is killed, Postgres ends all sessions and restarts by itself; then the lock is taken again.
 *
 * @param keeper the session that holds the lock
 * @returns a function that releases it
 */
export function keepInstanceLock(keeper: pg.Client, url: string): () => Promise<void> {
  let current = keeper;
  let released = false;
  const relock = async () => {
    while (!released) {
      await pause(relockEveryMs);
      const client = await connect(url).catch(() => undefined);
      if (client) {
        watch(client);
        await takeInstanceLock(client).catch(() => undefined);
        return;
      }
    }
  };
  const watch = (client: pg.Client) => {
    current = client;
    client.once('end', () => void relock());
  };
  watch(keeper);
  return async () => {
    released = true;
    await current.end().catch(() => undefined);
  };
}
