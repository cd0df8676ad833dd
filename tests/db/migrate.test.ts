/**
 * Goal: any number of migrations at once leave one schema, a failed one leaves nothing, and the schema holds what it says.
 * Method: empty databases, migrated by the code that `npm run db:migrate` runs.
 */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createReadiness, type Readiness } from '../../src/db/readiness.js';
import { breaks, knownMigrations, migrate, schemaState } from '../../src/db/migrate.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { openTestPool } from '../support/pool.js';
import { settledState, untilReady } from '../support/readiness.js';

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

const present = { missing: [], breaking: [], lacking: [], readOnly: false };

/** As the migration of another version would be recorded. */
async function record(name: string, finished = true): Promise<void> {
  await database.sql.query(
    `INSERT INTO _prisma_migrations (id, checksum, migration_name, finished_at)
     VALUES (gen_random_uuid(), '', $1, CASE WHEN $2 THEN now() END)`,
    [name, finished],
  );
}

const forget = (name: string) => database.sql.query('DELETE FROM _prisma_migrations WHERE migration_name = $1', [name]);

/** A replica's view of the database, from its start on. */
async function withReadiness(work: (readiness: Readiness) => Promise<void>): Promise<void> {
  const pool = openTestPool(database.url);
  try {
    await work(createReadiness(pool));
  } finally {
    await pool.close();
  }
}

test('a replica is ready when nothing is missing that it needs, and not before', async () => {
  const pool = openTestPool(database.url);
  const readiness = createReadiness(pool);
  const known = await knownMigrations();
  await expect(schemaState(pool.prisma)).resolves.toEqual({ ...present, missing: known });
  await expect(settledState(readiness)).resolves.toMatchObject({ ready: false, reason: expect.stringContaining(known.at(-1)!) });
  expect(readiness.schemaKnown()).toBe(false);
  await migrate(database.url);
  await expect(schemaState(pool.prisma)).resolves.toEqual(present);
  await untilReady(readiness);
  expect(readiness.schemaKnown()).toBe(true);
  await pool.close();
});

test('a later migration that only adds leaves an older version ready, whether it starts before or after', async () => {
  await migrate(database.url);
  await withReadiness(async (readiness) => {
    await expect(settledState(readiness)).resolves.toEqual({ ready: true });
    await record('29990101000000_venue_expand');
    await record('29990102000000_failed_on_the_way', false);
    await expect(settledState(readiness)).resolves.toEqual({ ready: true });
  });
  await withReadiness(async (readiness) => {
    await expect(settledState(readiness)).resolves.toEqual({ ready: true });
  });
});

test.each([
  ['29990103000000_venue_contract', [], true],
  ['29990103000000_venue_contract', ['29990101000000_venue_expand'], false],
  ['29990103000000_venue_contract', ['29990101000000_other_venue_expand', '29990102000000_venue_backfill'], true],
  ['29990103000000_venue_contract', ['29990103000000_venue_contract'], false],
  ['29990101000000_venue_expand', [], false],
  ['29990101000000_contracts', [], false],
])('%s breaks a version that knows %j: %j', (migration, known, broken) => {
  expect(breaks(migration, known)).toBe(broken);
});

test.each([true, false])('a contract that a version does not know takes its readiness, finished: %j', async (finished) => {
  const contract = '29990103000000_venue_contract';
  await migrate(database.url);
  await withReadiness(async (readiness) => {
    await expect(settledState(readiness)).resolves.toEqual({ ready: true });
    await record(contract, finished);
    await expect(untilReady(readiness, false)).resolves.toMatchObject({ reason: expect.stringContaining(contract) });
    expect(readiness.schemaKnown()).toBe(false);
  });
  await withReadiness(async (readiness) => {
    await expect(settledState(readiness)).resolves.toMatchObject({ ready: false });
    await forget(contract);
    await untilReady(readiness);
    expect(readiness.schemaKnown()).toBe(true);
  });
});

test('to migrate with an older version changes nothing, so that a roll-back may run it', async () => {
  await migrate(database.url);
  await record('29990101000000_venue_expand');
  await expect(migrate(database.url)).resolves.toEqual([]);
  await record('29990103000000_venue_contract');
  await expect(migrate(database.url)).resolves.toEqual([]);
});

test("an unfinished migration of another version is not this version's to judge", async () => {
  await migrate(database.url);
  await record('29990103000000_venue_contract', false);
  await expect(migrate(database.url)).rejects.toThrow();
  const { rows } = await database.sql.query('SELECT FROM _prisma_migrations WHERE rolled_back_at IS NOT NULL');
  expect(rows).toEqual([]);
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
