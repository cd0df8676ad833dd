/**
 * Goal: only a database that takes writes is used, and a pool finds its way back to one by itself.
 * Method: a database that becomes read-only under open connections, and a forwarder that goes silent or leads elsewhere.
 */
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';
import { beforeEach, expect, test } from '@jest/globals';
import type { Pool } from '../../src/db/client.js';
import { classify } from '../../src/db/faults.js';
import { createReadiness } from '../../src/db/readiness.js';
import { useDatabase } from '../support/database.js';
import { openTestPool } from '../support/pool.js';
import { untilReady } from '../support/readiness.js';
import { expectConserved, batchedSale, newEvent, request } from '../support/sales.js';

const database = useDatabase();
let pool: Pool;

beforeEach(() => {
  pool = database.openPool({ clientDeadlineMs: 300 });
});

async function setReadOnly(readOnly: boolean): Promise<void> {
  await database.sql.query(
    `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = ${readOnly ? 'on' : 'off'}', current_database()); END $$`,
  );
}

/** What existing sessions of the pool see when their primary is demoted without ending them. */
async function demoteOpenSessions(of: Pool, sessions: number): Promise<void> {
  await Promise.all(
    Array.from(
      { length: sessions },
      () => of.prisma.$queryRaw`SELECT set_config('default_transaction_read_only', 'on', false), pg_sleep(0.05)::text`,
    ),
  );
}

test('no connection is made to a database that takes no writes', async () => {
  await database.sql.query('SELECT 1'); // a session from before, to switch it back with
  await setReadOnly(true);
  const fault = await pool.prisma.$queryRaw`SELECT 1`.catch((error: unknown) => error);
  expect(classify(fault)).toMatchObject({ name: 'UnusableDatabaseFault', transient: true, undone: true });
  await database.sql.query('SET default_transaction_read_only = off');
  const admin = await database.sql.connect();
  await admin.query('SET default_transaction_read_only = off');
  await admin.query(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET default_transaction_read_only', current_database()); END $$`);
  admin.release(true);
  await expect(pool.prisma.$queryRaw`SELECT 1 AS one`).resolves.toEqual([{ one: 1 }]);
});

test('a sale on connections that became read-only goes on over others', async () => {
  const sale = batchedSale(pool);
  const eventId = await newEvent(pool, 10);
  await demoteOpenSessions(pool, 4);
  await expect(sale.sell(eventId, request(1))).resolves.toMatchObject({ kind: 'granted' });
  await sale.close();
  await expectConserved(pool, eventId, 1);
});

test('a replica whose connections became read-only is not ready, and ready again over others', async () => {
  const readiness = createReadiness(pool);
  await untilReady(readiness);
  await demoteOpenSessions(pool, 1);
  await expect(untilReady(readiness, false)).resolves.toEqual({ ready: false, reason: 'The database is read-only.' });
  await untilReady(readiness);
});

test('when one connection falls silent the idle ones go with it, and the sale goes on where the address leads', async () => {
  const forwarder = await startForwarder(database.url);
  const through = openTestPool(forwarder.url, { clientDeadlineMs: 300 });
  const sale = batchedSale(through);
  const eventId = await newEvent(through, 10);
  await Promise.all(Array.from({ length: 4 }, () => through.prisma.$queryRaw`SELECT pg_sleep(0.05)::text`));
  const before = forwarder.connections();
  forwarder.silence();
  const outcome = await sale.sell(eventId, request(1, 'a silent one'));
  expect(outcome).toMatchObject({ kind: 'granted' });
  expect(forwarder.connections()).toBeGreaterThan(before);
  expect(forwarder.silent()).toBe(0);
  await sale.close();
  await expectConserved(through, eventId, 1);
  await through.close();
  await forwarder.stop();
});

interface Forwarder {
  readonly url: string;
  /** From here on nothing passes over the connections that are open; new ones work. */
  silence(): void;
  /** Silenced connections that the client still holds. */
  silent(): number;
  /** Ever made. */
  connections(): number;
  stop(): Promise<void>;
}

async function startForwarder(databaseUrl: string): Promise<Forwarder> {
  const target = new URL(databaseUrl);
  const open = new Set<Socket>();
  const silenced = new Set<Socket>();
  let made = 0;
  const server: Server = createServer((client) => {
    made += 1;
    open.add(client);
    const upstream = connect(Number(target.port), target.hostname);
    client.on('data', (bytes) => !silenced.has(client) && upstream.write(bytes));
    upstream.on('data', (bytes) => !silenced.has(client) && client.write(bytes));
    const end = () => {
      open.delete(client);
      silenced.delete(client);
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) socket.on('close', end).on('error', end);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(databaseUrl);
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    silence: () => {
      for (const client of open) silenced.add(client);
    },
    silent: () => silenced.size,
    connections: () => made,
    stop: async () => {
      for (const client of open) client.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
