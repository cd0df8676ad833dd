/**
 * Goal: a commit that was none is an error, and no reply is waited for without end.
 * Method: provoke each on a real Postgres, beside the plain client that passes over it.
 */
import { expect, test } from '@jest/globals';
import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { classify } from '../../src/db/faults.js';
import { Prisma, PrismaClient } from '../../src/generated/prisma/client.js';
import { useDatabase } from '../support/database.js';
import { openTestPool } from '../support/pool.js';

const database = useDatabase();

/** A transaction in which a statement fails and the failure is swallowed. */
function swallow(prisma: PrismaClient): Promise<string> {
  return prisma.$transaction(async (tx) => {
    await tx.$queryRaw`SELECT 1 / 0`.catch(() => undefined);
    return 'as if all were well';
  });
}

test('a COMMIT that Postgres answered with ROLLBACK is a fault, which a plain client takes for success', async () => {
  const plain = new pg.Pool({ connectionString: database.url });
  const prisma = new PrismaClient({ adapter: new PrismaPg(plain) });
  await expect(swallow(prisma)).resolves.toBe('as if all were well');
  await prisma.$disconnect();
  await plain.end();

  const pool = database.openPool();
  const fault = await swallow(pool.prisma).catch((error: unknown) => error);
  expect(classify(fault)).toEqual({ sqlState: undefined, name: 'CommitFault', transient: true, undone: false });
});

test('a wait for the standby that was cancelled is a fault, in a transaction and in a statement alone', async () => {
  // No standby ever comes, so every commit waits; each backend of the pool is cancelled as an operator would cancel it.
  const pool = database.closeLater(openTestPool(`${database.url}?options=-c%20synchronous_commit%3Don`));
  await database.sql.query(`ALTER SYSTEM SET synchronous_standby_names = 'nobody'`);
  await database.sql.query('SELECT pg_reload_conf()');
  const cancelling = setInterval(() => {
    const waiting = `SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'SyncRep'`;
    database.sql.query(waiting).catch(() => undefined);
  }, 20);
  const insert = `INSERT INTO events (id, name, total_quota, available, max_purchase_limit) VALUES (gen_random_uuid(), 'x', 1, 1, 1)`;
  try {
    const alone = await pool.prisma.$executeRaw(Prisma.sql([insert])).catch((error: unknown) => error);
    const inTransaction = await pool.prisma.$transaction((tx) => tx.$executeRaw(Prisma.sql([insert]))).catch((error: unknown) => error);
    expect([alone, inTransaction].map((fault) => classify(fault).name)).toEqual(['CommitFault', 'CommitFault']);
  } finally {
    clearInterval(cancelling);
    await database.sql.query('ALTER SYSTEM RESET synchronous_standby_names');
    await database.sql.query('SELECT pg_reload_conf()');
  }
});

test('a lock that does not come is given up by the server, as a fault worth trying again', async () => {
  const pool = database.openPool({ lockTimeoutMs: 50 });
  const holder = await database.sql.connect();
  await holder.query('BEGIN; LOCK TABLE events IN ACCESS EXCLUSIVE MODE');
  const fault = await pool.prisma.event.count().catch((error: unknown) => error);
  await holder.query('ROLLBACK');
  holder.release();
  expect(classify(fault)).toEqual({ sqlState: '55P03', name: 'lock_not_available', transient: true, undone: true });
});

test('a reply that does not come costs the connection, and the next query has another', async () => {
  const pool = database.openPool({ clientDeadlineMs: 200 });
  const fault = await pool.prisma.$queryRaw`SELECT pg_sleep(1)`.catch((error: unknown) => error);
  expect(classify(fault)).toMatchObject({ name: 'ClientDeadlineFault', transient: true, undone: false });
  await expect(pool.prisma.$queryRaw`SELECT 1 AS one`).resolves.toEqual([{ one: 1 }]);
});

test('a pool that is closed waits for no query of a minute', async () => {
  const pool = openTestPool(database.url, { statementTimeoutMs: 60_000, transactionTimeoutMs: 60_000, clientDeadlineMs: 60_000 });
  const asked = pool.prisma.$queryRaw`SELECT pg_sleep(60)`.catch((error: unknown) => error);
  const sleepers = `FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep' AND query = 'SELECT pg_sleep(60)'`;
  while ((await database.sql.query(`SELECT ${sleepers}`)).rowCount === 0);
  await pool.close();
  expect(classify(await asked).transient).toBe(true);
  // The server notices only at the end of the minute that nobody listens.
  const ended = await database.sql.query(`SELECT pg_terminate_backend(pid) ${sleepers}`);
  expect(ended.rowCount).toBe(1);
});

test('a wrong statement is a fault that is not worth another try', async () => {
  const pool = database.openPool();
  const fault = await pool.prisma.$queryRaw`SELECT no_such_column`.catch((error: unknown) => error);
  expect(classify(fault)).toMatchObject({ sqlState: '42703', transient: false });
});

test('a database that cannot be reached is a fault worth trying again', async () => {
  const pool = database.closeLater(openTestPool('postgresql://nobody@127.0.0.1:1/none'));
  const fault = await pool.prisma.$queryRaw`SELECT 1`.catch((error: unknown) => error);
  expect(classify(fault)).toMatchObject({ transient: true, undone: true });
});

test('the sessions have the limits of the configuration, enforced by the server', async () => {
  const pool = database.openPool();
  const [settings] = await pool.prisma.$queryRaw<Record<string, string>[]>`
    SELECT current_setting('lock_timeout') AS lock, current_setting('statement_timeout') AS statement,
           current_setting('transaction_timeout') AS transaction,
           current_setting('idle_in_transaction_session_timeout') AS idle`;
  expect(settings).toEqual({ lock: '1s', statement: '2s', transaction: '3s', idle: '3s' });
});
