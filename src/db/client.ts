/**
 * Connection pools. There are four, so that sales, reads, the admin and downloads cannot starve one another. Each has time limits that
 * Postgres itself enforces, because Prisma's own timeouts cancel nothing on the server.
 */
import { createHash } from 'node:crypto';
import { PrismaPg } from '@prisma/adapter-pg';
import { type Prisma, PrismaClient } from '../generated/prisma/client.js';
import { UnusableDatabaseFault } from './faults.js';
import { SessionPool } from './pool.js';
import { ConnectionGroup, type ConnectionLimits, type SafeClient, safeClients } from './safeClient.js';

export { ConnectionGroup } from './safeClient.js';

export type { PrismaClient } from '../generated/prisma/client.js';
/** Runs statements: a client, or a transaction. */
export type Queryable = Pick<PrismaClient, '$queryRaw'>;

export interface PoolLimits extends ConnectionLimits {
  readonly connectionsMax: number;
  readonly connectTimeoutMs: number;
  readonly connectionAgeMaxMs: number;
  readonly lockTimeoutMs: number;
  readonly statementTimeoutMs: number;
  readonly transactionTimeoutMs: number;
}

/** One session, for statements that belong together and are no transaction, such as those of a cursor. */
export interface Session {
  /** @returns the rows, each an array of its columns, as text where the statement makes them text */
  query<R extends readonly unknown[]>(statement: Prisma.Sql): Promise<R[]>;
}

export interface Pool {
  readonly prisma: PrismaClient;
  /** Runs work on a session that nothing else uses meanwhile. If the work fails, the session is closed, with everything that it kept. */
  readonly withSession: <T>(work: (session: Session) => Promise<T>) => Promise<T>;
  /** For Prisma's `$transaction`. Both are longer than the server's limits, so that those take effect first. */
  readonly transaction: { readonly maxWait: number; readonly timeout: number };
  readonly connectionsMax: number;
  readonly inUse: () => number;
  /** Closes the idle connections of the whole group; the next query reconnects, to whichever server the address then points to. */
  readonly renew: () => void;
  /** How long the oldest fence of the group has been waiting. If it is long, the server may no longer be the primary. */
  readonly fenceWaitMs: () => number;
  /** Waits briefly for running queries and then abandons them, because an audit may take half a minute. */
  close(): Promise<void>;
}

const closePatienceMs = 1_000;
/** Prepared statements per session; the program has about twenty. */
const statementsMax = 100;

/**
 * Opens no connection; the first query does.
 *
 * @param applicationName shown in pg_stat_activity
 * @param group shared by the pools whose connections are closed together when a server is lost
 */
export function openPool(url: string, applicationName: string, limits: PoolLimits, group = new ConnectionGroup()): Pool {
  const clients = safeClients(group, limits);
  const pool = new SessionPool({
    connectionString: url,
    application_name: applicationName,
    Client: clients.Client,
    max: limits.connectionsMax,
    connectionTimeoutMillis: limits.connectTimeoutMs,
    idleTimeoutMillis: 60_000,
    maxLifetimeSeconds: limits.connectionAgeMaxMs / 1_000,
    keepAlive: true,
    // eslint-disable-next-line @typescript-eslint/no-misused-promises -- the pool awaits the promise, but its types do not declare it
    onConnect: (client) => prepareSession(client as unknown as SafeClient, limits),
  });
  pool.on('error', () => {
    // An idle connection was lost. The pool has already removed it, and the next query opens another.
  });
  const prisma = new PrismaClient({ adapter: new PrismaPg(pool, { statementNameGenerator: nameStatements() }), errorFormat: 'minimal' });
  return {
    prisma,
    withSession: (work) =>
      pool.lend((client) =>
        work({
          query: async <R extends readonly unknown[]>({ text, values }: Prisma.Sql) =>
            ((await client.query({ text, values, rowMode: 'array' })) as { rows: R[] }).rows,
        }),
      ),
    transaction: { maxWait: limits.connectTimeoutMs + 500, timeout: limits.clientDeadlineMs + limits.transactionTimeoutMs },
    connectionsMax: limits.connectionsMax,
    inUse: () => pool.totalCount - pool.idleCount,
    renew: () => {
      group.renew();
    },
    fenceWaitMs: () => group.fenceWaitMs(),
    close: async () => {
      const timer = setTimeout(clients.abandon, closePatienceMs);
      await prisma.$disconnect();
      await pool.end();
      clearTimeout(timer);
    },
  };
}

/**
 * Names prepared statements, so that a session plans each only once: for a small batch, planning is most of the work. All
 * statements of this program are constant; the bound protects against one that is not.
 */
function nameStatements(): (query: { sql: string }) => string {
  const names = new Map<string, string>();
  const unprepared = '';
  const transactionCommand = /^[A-Z]+$/; // BEGIN, COMMIT and ROLLBACK need no plan
  return ({ sql }) => {
    const known = names.get(sql);
    if (known !== undefined) return known;
    if (names.size >= statementsMax || transactionCommand.test(sql)) return unprepared;
    const name = `onsale_${createHash('sha256').update(sql).digest('hex').slice(0, 16)}`;
    names.set(sql, name);
    return name;
  };
}

/**
 * Rejects a read-only database, such as a standby, and sets the time limits and the time zone (the driver adapter reads all times
 * as UTC). These are not start-up parameters, because poolers reject or drop those, older versions do not know the last limit,
 * and a URL may set the time zone too.
 */
async function prepareSession(client: Pick<SafeClient, 'queryUnfenced'>, limits: PoolLimits): Promise<void> {
  const [session] = await client.queryUnfenced<{ readOnly: boolean }>(
    `SELECT current_setting('transaction_read_only')::boolean AS "readOnly",
            set_config('TimeZone', 'UTC', false),
            set_config('lock_timeout', $1, false),
            set_config('statement_timeout', $2, false),
            set_config('idle_in_transaction_session_timeout', $3, false),
            CASE WHEN current_setting('server_version_num')::int >= 170000
                 THEN set_config('transaction_timeout', $3, false) END`,
    [limits.lockTimeoutMs, limits.statementTimeoutMs, limits.transactionTimeoutMs].map(String),
  );
  if (session?.readOnly !== false) throw new UnusableDatabaseFault('the database is read-only');
}
