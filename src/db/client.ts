/**
 * Connections. Three pools, so that buyers, readers and the admin cannot starve one another, each with time limits that
 * the server itself enforces (Prisma's own timeouts cancel nothing there).
 */
import { createHash } from 'node:crypto';
import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaClient } from '../generated/prisma/client.js';
import { UnusableDatabaseFault } from './faults.js';
import { SessionPool } from './pool.js';
import { ConnectionGroup, type ConnectionLimits, type SafeClient, safeClients } from './safeClient.js';

export { ConnectionGroup } from './safeClient.js';

export type { PrismaClient } from '../generated/prisma/client.js';
/** What a statement runs on: a client, or the transaction it is part of. */
export type Queryable = Pick<PrismaClient, '$queryRaw'>;

export interface PoolLimits extends ConnectionLimits {
  readonly connectionsMax: number;
  readonly connectTimeoutMs: number;
  readonly connectionAgeMaxMs: number;
  readonly lockTimeoutMs: number;
  readonly statementTimeoutMs: number;
  readonly transactionTimeoutMs: number;
}

export interface Pool {
  readonly prisma: PrismaClient;
  /** For Prisma's `$transaction`: both outlast what they wait for, so that the server's limits are the ones that act. */
  readonly transaction: { readonly maxWait: number; readonly timeout: number };
  readonly connectionsMax: number;
  readonly inUse: () => number;
  /** Gives up the idle connections of the whole group; the next query opens another, to whatever the address leads to by then. */
  readonly renew: () => void;
  /** How long a fence of the group has been waiting: the server may not be the primary any more. */
  readonly fenceWaitMs: () => number;
  /** Waits a moment for queries under way, and for none of which nobody waits any more: an audit may take half a minute. */
  close(): Promise<void>;
}

type Session = Pick<SafeClient, 'queryUnfenced'>;

const closePatienceMs = 1_000;
/** Prepared statements of one session; the program has about twenty. */
const statementsMax = 100;

/**
 * Opens nothing yet: connections come with the first query.
 *
 * @param applicationName shown in pg_stat_activity
 * @param group of the pools whose connections leave a server together
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
    // eslint-disable-next-line @typescript-eslint/no-misused-promises -- the pool waits for the promise; only its types do not say so
    onConnect: (client) => prepareSession(client as unknown as Session, limits),
  });
  pool.on('error', () => {
    // An idle connection was lost; the pool has already dropped it, and the next query opens another.
  });
  const prisma = new PrismaClient({ adapter: new PrismaPg(pool, { statementNameGenerator: nameStatements() }), errorFormat: 'minimal' });
  return {
    prisma,
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
 * Names for prepared statements, so that a session plans each once: for a small batch, planning is most of the work. All
 * statements of this program are fixed; the bound is for the day when one is not.
 */
function nameStatements(): (query: { sql: string }) => string {
  const names = new Map<string, string>();
  const unprepared = '';
  const transactionCommand = /^[A-Z]+$/; // BEGIN and its like need no plan
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
 * Refuses a database that takes no writes, a standby say; and sets the limits, and the time zone, without which the driver adapter takes
 * local times for UTC. Not as start-up parameters: poolers refuse or drop those, older versions do not know the last limit, and
 * a URL may set the time zone too.
 */
async function prepareSession(client: Session, limits: PoolLimits): Promise<void> {
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
  if (session?.readOnly !== false) throw new UnusableDatabaseFault('the database takes no writes: it can sell nothing');
}
