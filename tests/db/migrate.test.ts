/**
 * Goal: any number of migrations at once leave one schema, a failed one leaves nothing, and the schema holds what it says.
 * Method: empty databases, migrated by the code that `npm run db:migrate` runs.
 */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createReadiness } from '../../src/db/readiness.js';
import { knownMigrations, migrate, schemaState } from '../../src/db/migrate.js';
import { createTestDatabase, type TestDatabase } from '../helpers/database.js';
import { openTestPool } from '../helpers/pool.js';

let database: TestDatabase;

beforeEach(async () => {
  database = await createTestDatabase({ empty: true });
});
afterEach(async () => {
  await database.drop();
});

test('of three that migrate at once, one does and two find nothing to do', async () => {
  const applied = await Promise.all([1, 2, 3].map(() => migrate(database.url)));
  expect(applied.flat()).toEqual(await knownMigrations());
  await expect(migrate(database.url)).resolves.toEqual([]);
});

test('a migration that fails changes nothing, says what Postgres said, and may be tried again', async () => {
  await database.sql.query('CREATE DOMAIN tickets AS integer');
  await expect(migrate(database.url)).rejects.toThrow('type "tickets" already exists');
  const { rows } = await database.sql.query(`SELECT to_regclass('events') AS events`);
  expect(rows).toEqual([{ events: null }]);
  await database.sql.query('DROP DOMAIN tickets');
  await expect(migrate(database.url)).resolves.toEqual(await knownMigrations());
});

test('a replica is ready on the schema it knows, and on no other', async () => {
  const pool = openTestPool(database.url);
  const state = () => schemaState(pool.prisma);
  await expect(state()).resolves.toEqual({ missing: await knownMigrations(), foreign: [] });
  await migrate(database.url);
  await expect(state()).resolves.toEqual({ missing: [], foreign: [] });

  await database.sql.query(
    `INSERT INTO _prisma_migrations (id, checksum, migration_name, finished_at) VALUES ('1', '', 'from the future', now())`,
  );
  const readiness = createReadiness(pool);
  await expect(readiness.check()).resolves.toMatchObject({ ready: false, reason: expect.stringContaining('from the future') });
  expect(readiness.schemaKnown()).toBe(false);

  await database.sql.query(`DELETE FROM _prisma_migrations WHERE id = '1'`);
  await expect(readiness.check()).resolves.toEqual({ ready: true });
  expect(readiness.schemaKnown()).toBe(true);
  await pool.close();
});

const event = `INSERT INTO events (id, name, total_quota, available, max_purchase_limit) VALUES (gen_random_uuid(), 'x', 10, 10, 4)`;

test.each([
  ['events_available_within_quota', `${event}; UPDATE events SET available = available - 11`],
  ['events_available_within_quota', `${event}; UPDATE events SET available = available + 1`],
  ['events_name_length', event.replace(`'x'`, `''`)],
  ['events_total_quota_range', event.replace('10, 10', '0, 0')],
  ['events_max_purchase_limit_range', event.replace('4)', '1001)')],
  ['purchases_quantity_range', `${event}; INSERT INTO purchases SELECT id, id, 0, NULL, NULL, now() FROM events`],
  ['purchases_key_has_fingerprint', `${event}; INSERT INTO purchases SELECT id, id, 1, repeat('k', 16), NULL, now() FROM events`],
  ['purchases_idempotency_key_length', `${event}; INSERT INTO purchases SELECT id, id, 1, 'short', '{}', now() FROM events`],
  [
    'purchases_event_id_idempotency_key_key',
    `${event}; INSERT INTO purchases SELECT id, gen_random_uuid(), 1, repeat('k', 16), '{}', now() FROM events, generate_series(1, 2)`,
  ],
])('the schema itself refuses what %s forbids', async (constraint, statements) => {
  await migrate(database.url);
  await expect(database.sql.query(statements)).rejects.toMatchObject({ constraint });
});
