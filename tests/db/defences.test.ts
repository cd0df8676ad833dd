/**
 * Goal: nothing is sold while a constraint or index is missing on which a promise rests, as in the middle of a restore.
 * Method: each is taken away, weakened, and made again, under the eyes of a replica that runs and of one that starts.
 */
import { beforeEach, expect, test } from '@jest/globals';
import type { Pool } from '../../src/db/client.js';
import { createReadiness, type Readiness } from '../../src/db/readiness.js';
import { useDatabase } from '../support/database.js';
import { untilReady } from '../support/readiness.js';

const database = useDatabase();
let pool: Pool;
let running: Readiness;

beforeEach(async () => {
  pool = database.openPool();
  running = createReadiness(pool);
  await untilReady(running);
});

const check = 'the check events_available_within_quota';
const keyIndex = 'the unique index on purchases (event_id, idempotency_key)';
const dropCheck = 'ALTER TABLE events DROP CONSTRAINT events_available_within_quota';
const addCheck = 'ALTER TABLE events ADD CONSTRAINT events_available_within_quota CHECK (available >= 0 AND available <= total_quota)';
const totalCheck = 'the check buyer_totals_within_limit';
const dropTotalCheck = 'ALTER TABLE buyer_totals DROP CONSTRAINT buyer_totals_within_limit';
const addTotalCheck =
  'ALTER TABLE buyer_totals ADD CONSTRAINT buyer_totals_within_limit CHECK (quantity >= 0 AND quantity <= quantity_max)';
const dropIndex = 'DROP INDEX purchases_event_id_idempotency_key_key';
const createIndex = 'CREATE UNIQUE INDEX purchases_event_id_idempotency_key_key ON purchases (event_id, idempotency_key)';
const invalid = (isValid: boolean) =>
  `UPDATE pg_index SET indisvalid = ${String(isValid)} WHERE indexrelid = 'purchases_event_id_idempotency_key_key'::regclass`;
const primaryKey = (table: string, columns: string): [string, string, string, string] => [
  `a ${table} table without its primary key`,
  `the unique index on ${table} (${columns})`,
  `ALTER TABLE ${table} DROP CONSTRAINT ${table}_pkey`,
  `ALTER TABLE ${table} ADD CONSTRAINT ${table}_pkey PRIMARY KEY (${columns})`,
];

test.each([
  ['a missing check', check, dropCheck, addCheck],
  ['a check that was not validated', check, `${dropCheck}; ${addCheck} NOT VALID`, `${dropCheck}; ${addCheck}`],
  ['a check that is not enforced', check, `${dropCheck}; ${addCheck} NOT ENFORCED`, `${dropCheck}; ${addCheck}`],
  ["a missing check of buyers' totals", totalCheck, dropTotalCheck, addTotalCheck],
  [
    "a check of buyers' totals that was not validated",
    totalCheck,
    `${dropTotalCheck}; ${addTotalCheck} NOT VALID`,
    `${dropTotalCheck}; ${addTotalCheck}`,
  ],
  primaryKey('events', 'id'),
  primaryKey('purchases', 'event_id, id'),
  primaryKey('tickets', 'event_id, purchase_id, id'),
  primaryKey('buyer_totals', 'event_id, buyer_id'),
  ['a missing index of keys', keyIndex, dropIndex, createIndex],
  ['an index of keys that is not unique', keyIndex, `${dropIndex}; ${createIndex.replace('UNIQUE ', '')}`, `${dropIndex}; ${createIndex}`],
  ['a partial index of keys', keyIndex, `${dropIndex}; ${createIndex} WHERE quantity > 1`, `${dropIndex}; ${createIndex}`],
  [
    'an index of keys and more',
    keyIndex,
    `${dropIndex}; ${createIndex.replace('idempotency_key)', 'idempotency_key, id)')}`,
    `${dropIndex}; ${createIndex}`,
  ],
  ['an index of keys that is not valid', keyIndex, invalid(false), invalid(true)],
  [
    'a constraint on keys that looks only at the end of a transaction',
    keyIndex,
    `${dropIndex}; ALTER TABLE purchases ADD CONSTRAINT late UNIQUE (event_id, idempotency_key) DEFERRABLE`,
    `ALTER TABLE purchases DROP CONSTRAINT late; ${createIndex}`,
  ],
])('%s takes the readiness of every replica, and buyers are kept off until it is made again', async (_what, named, harm, repair) => {
  await database.sql.query(harm);
  const starting = createReadiness(pool);
  for (const readiness of [running, starting]) {
    const reason = expect.stringContaining(`The database lacks ${named}: `);
    await expect(untilReady(readiness, false)).resolves.toEqual({ ready: false, reason });
    expect(readiness.schemaKnown()).toBe(false);
  }
  await database.sql.query(repair);
  for (const readiness of [running, starting]) {
    await untilReady(readiness);
    expect(readiness.schemaKnown()).toBe(true);
  }
});

test('a replica that nobody probes finds out by itself that buyers may come again', async () => {
  await database.sql.query(dropIndex);
  await untilReady(running, false);
  await database.sql.query(createIndex);
  while (!running.schemaKnown()) await new Promise((resolve) => setTimeout(resolve, 20));
  await untilReady(running);
});

test('a table that is gone keeps buyers off', async () => {
  await database.sql.query('ALTER TABLE _prisma_migrations RENAME TO restored_later');
  await untilReady(running, false);
  expect(running.schemaKnown()).toBe(false);
  await database.sql.query('ALTER TABLE restored_later RENAME TO _prisma_migrations');
  await untilReady(running);
});
