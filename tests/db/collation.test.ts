/**
 * Goal: a key buys once, whatever the server's libraries think of the order of texts; and running replicas survive the migration
 * that sees to it.
 * Method: a database with a locale, which then sorts otherwise, as after an upgrade of the library; and a session that
 * prepared its statements before the migration.
 */
import { randomBytes } from 'node:crypto';
import { afterEach, expect, test } from '@jest/globals';
import { migrate } from '../../src/db/migrate.js';
import { openPool } from '../../src/db/client.js';
import { sellLocked } from '../../src/sale/lockedPath.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { defaultLimits, openTestPool } from '../support/pool.js';
import { expectConserved, batchedSale, newEvent, request, ticketsOf } from '../support/sales.js';

let database: TestDatabase;
afterEach(() => database.drop());

test('the key and its unique index compare bytes, in a database with a locale of its own', async () => {
  database = await createTestDatabase({ empty: true, icuLocale: 'en-US' });
  await migrate(database.url);
  const { rows } = await database.sql.query(`
    SELECT (SELECT collname FROM pg_collation WHERE oid = a.attcollation) AS "column",
           (SELECT collname FROM pg_collation WHERE oid = i.indcollation[1]) AS "index"
      FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[1]
     WHERE i.indexrelid = 'purchases_event_id_idempotency_key_key'::regclass AND a.attname = 'idempotency_key'`);
  expect(rows).toEqual([{ column: 'C', index: 'C' }]);
});

test('after the locale began to sort otherwise, each key is answered with its purchase', async () => {
  database = await createTestDatabase({ empty: true, icuLocale: 'en-US' });
  await migrate(database.url);
  const keys = Array.from({ length: 300 }, () => randomBytes(16).toString('hex'));
  const before = openTestPool(database.url);
  const eventId = await newEvent(before, 1_000);
  const sale = batchedSale(before);
  const first = await Promise.all(keys.map((key) => sale.sell(eventId, request(1, key))));
  expect(ticketsOf(first)).toBe(300);
  await sale.close();
  await before.close();

  // Digits by their value as numbers from here on; sessions learn of it when they begin.
  await database.sql.query(`UPDATE pg_database SET datlocale = 'en-US-u-kn-true' WHERE datname = current_database()`);
  const after = openTestPool(database.url);
  const later = batchedSale(after);
  const again = []; // one by one: in one batch, a single key that is found would lead to all the others
  for (const key of keys) again.push(await later.sell(eventId, request(1, key)));
  expect(ticketsOf(again)).toBe(0);
  await later.close();
  await expectConserved(after, eventId, 300);
  await after.close();
});

test('a replica that runs through the migration sells on, although it had prepared statements on the column', async () => {
  database = await createTestDatabase({ empty: true, icuLocale: 'en-US' });
  await migrate(database.url);
  const migration = '20261124090000_idempotency_key_collate_c';
  await database.sql.query('ALTER TABLE purchases ALTER COLUMN idempotency_key TYPE text COLLATE "default"');
  await database.sql.query('DELETE FROM _prisma_migrations WHERE migration_name = $1', [migration]);
  const pool = openPool(database.url, 'onsale sale', { ...defaultLimits, connectionsMax: 1 });
  const eventId = await newEvent(pool, 10);
  await sellLocked(pool, eventId, [request(1)], false);
  await expect(migrate(database.url)).resolves.toEqual([migration]);
  const sale = batchedSale(pool);
  const wanted = request(2, 'key');
  await expect(sale.sell(eventId, wanted)).resolves.toMatchObject({ kind: 'granted', replayed: false });
  await expect(sale.sell(eventId, request(2, 'key'))).resolves.toMatchObject({ kind: 'granted', replayed: true });
  await sale.close();
  await expectConserved(pool, eventId, 3);
  await pool.close();
});
