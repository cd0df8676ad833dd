/**
 * Connections. Three pools, so that buyers, readers and the admin cannot starve one another, each with time limits that
 * the server itself enforces (Prisma's own timeouts cancel nothing there).
 */
import { createHash } from 'node:crypto';
import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { PrismaClient } from '../generated/prisma/client.js';
import { ClientDeadlineFault, CommitFault, UnusableDatabaseFault } from './faults.js';

export type { PrismaClient } from '../generated/prisma/client.js';
/** What a statement runs on: a client, or the transaction it is part of. */
export type Queryable = Pick<PrismaClient, '$queryRaw'>;

export interface PoolLimits {
  readonly connectionsMax: number;
  readonly connectTimeoutMs: number;
  readonly lockTimeoutMs: number;
  readonly statementTimeoutMs: number;
  readonly transactionTimeoutMs: number;
  readonly clientDeadlineMs: number;
}

export interface Pool {
  readonly prisma: PrismaClient;
  /** For Prisma's `$transaction`: both outlast what they wait for, so that the server's limits are the ones that act. */
  readonly transaction: { readonly maxWait: number; readonly timeout: number };
  readonly inUse: () => number;
  close(): Promise<void>;
}

/** Prepared statements of one session; the program has about twenty. */
const statementsMax = 100;

/**
 * Opens nothing yet: connections come with the first query.
 *
 * @param applicationName shown in pg_stat_activity
 */
export function openPool(url: string, applicationName: string, limits: PoolLimits): Pool {
  const pool = new pg.Pool({
    connectionString: url,
    application_name: applicationName,
    Client: safeClient(limits.clientDeadlineMs),
    max: limits.connectionsMax,
    connectionTimeoutMillis: limits.connectTimeoutMs,
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    lock_timeout: limits.lockTimeoutMs,
    statement_timeout: limits.statementTimeoutMs,
    idle_in_transaction_session_timeout: limits.transactionTimeoutMs,
    // eslint-disable-next-line @typescript-eslint/no-misused-promises -- the pool waits for the promise; only its types do not say so
    onConnect: (client) => prepareSession(client, limits.transactionTimeoutMs),
  });
  pool.on('error', () => {
    // An idle connection was lost; the pool has already dropped it, and the next query opens another.
  });
  const prisma = new PrismaClient({ adapter: new PrismaPg(pool, { statementNameGenerator: nameStatements() }), errorFormat: 'minimal' });
  return {
    prisma,
    transaction: { maxWait: limits.connectTimeoutMs + 500, timeout: limits.clientDeadlineMs + limits.transactionTimeoutMs },
    inUse: () => pool.totalCount - pool.idleCount,
    close: async () => {
      await prisma.$disconnect();
      await pool.end();
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
 * Refuses a standby, and sets what cannot be a start-up parameter: the limit that older versions do not know; and the time
 * zone, which a URL may set too, and without which the driver adapter takes local times for UTC.
 */
async function prepareSession(client: pg.ClientBase, transactionTimeoutMs: number): Promise<void> {
  const { rows } = await client.query<{ standby: boolean }>(
    `SELECT pg_is_in_recovery() AS standby,
            set_config('TimeZone', 'UTC', false),
            CASE WHEN current_setting('server_version_num')::int >= 170000
                 THEN set_config('transaction_timeout', $1, false) END`,
    [String(transactionTimeoutMs)],
  );
  if (rows[0]?.standby !== false) throw new UnusableDatabaseFault('the database is a standby: it can sell nothing');
}

/**
 * A pg.Client whose COMMIT is a COMMIT or an error, and that waits for no reply longer than `deadlineMs`.
 *
 * If a statement of a transaction failed and the failure was swallowed, Postgres answers COMMIT with the tag ROLLBACK,
 * without an error. If a wait for the synchronous standby was cancelled, it answers with a mere warning, although the
 * standby may not have what was committed. pg passes over both.
 */
function safeClient(deadlineMs: number): new (config?: pg.ClientConfig) => pg.Client {
  return class SafeClient extends pg.Client {
    #cancelledStandbyWaits = 0;

    constructor(config?: pg.ClientConfig) {
      super(config);
      this.on('notice', (notice) => {
        if (/synchronous replication/i.test(String(notice.message))) this.#cancelledStandbyWaits += 1;
      });
    }

    // pg's own declaration has a dozen overloads; here a text or a config comes first, and perhaps a callback last.
    override query(...args: unknown[]): never {
      const faultOf = this.#watch(textOf(args[0]));
      const callback = args.at(-1);
      if (typeof callback === 'function') {
        args[args.length - 1] = (error: unknown, result: unknown) => {
          Reflect.apply(callback, undefined, [error ?? faultOf(result), result]);
        };
        return this.#send(args) as never;
      }
      const reply = this.#send(args) as Promise<unknown>;
      return reply.then(
        (result) => {
          const fault = faultOf(result);
          if (fault) throw fault;
          return result;
        },
        (error: unknown) => {
          faultOf(undefined);
          throw error;
        },
      ) as never;
    }

    /** Begins the wait for a reply. @returns to be called with the reply: ends the wait, and says what is wrong with it */
    #watch(text: string | undefined): (result: unknown) => CommitFault | undefined {
      const cancelledBefore = this.#cancelledStandbyWaits;
      // Destroying the socket is the only safe end of a wait: the connection is in an unknown state and must not be reused.
      // pg then fails what is under way with the same fault.
      const timer = setTimeout(() => {
        this.connection.stream.destroy(new ClientDeadlineFault(`no reply from the database within ${String(deadlineMs)} ms`));
      }, deadlineMs);
      return (result) => {
        clearTimeout(timer);
        if (result === undefined) return undefined;
        const { command } = result as pg.QueryResult;
        if (text === 'COMMIT' && command !== 'COMMIT') {
          return new CommitFault(`COMMIT was answered with ${command}: nothing was committed`);
        }
        if (this.#cancelledStandbyWaits > cancelledBefore) return new CommitFault('the wait for the synchronous standby was cancelled');
        return undefined;
      };
    }

    #send(args: unknown[]): unknown {
      // eslint-disable-next-line @typescript-eslint/unbound-method -- bound by Reflect.apply
      return Reflect.apply(pg.Client.prototype.query, this, args);
    }
  };
}

function textOf(query: unknown): string | undefined {
  return typeof query === 'string' ? query : (query as { text?: string }).text;
}
