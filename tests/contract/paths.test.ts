/**
 * Goal: whichever path a batch takes, the fast, the locked or the snapshot path, its answers are true; also after a fault.
 * Method: sequences that lead from one way to the other, and faults made on a real Postgres.
 */
import { beforeAll, expect, test } from '@jest/globals';
import type { Pool } from '../../src/db/client.js';
import { updateEvent } from '../../src/sql/updateEvent.js';
import { useDatabase } from '../support/database.js';
import { openTestPool } from '../support/pool.js';
import { untilWaiting } from '../interleavings/sessions.js';
import { expectConserved, batchedSale, newEvent, request, type AnySale } from '../support/sales.js';

const database = useDatabase();
let pool: Pool;
let sale: AnySale;

beforeAll(() => {
  pool = database.openPool();
  sale = database.closeLater(batchedSale(pool));
});

const kindsOf = async (eventId: string, ...requests: ReturnType<typeof request>[]) =>
  (await Promise.all(requests.map((each) => sale.sell(eventId, each)))).map((outcome) =>
    outcome.kind === 'granted' && outcome.replayed ? 'replayed' : outcome.kind,
  );

test('a sold-out event refuses by a snapshot, and still gives a key its purchase again', async () => {
  const eventId = await newEvent(pool, 2, 2);
  await expect(kindsOf(eventId, request(2, 'bought'))).resolves.toEqual(['granted']);
  await expect(kindsOf(eventId, request(1))).resolves.toEqual(['sold-out']);
  await expect(kindsOf(eventId, request(1, 'another'), request(3), request(1e18))).resolves.toEqual([
    'sold-out',
    'purchase-limit-exceeded',
    'purchase-limit-exceeded',
  ]);
  await expect(kindsOf(eventId, request(1), request(2, 'bought'), request(1, 'bought'), request(1))).resolves.toEqual([
    'sold-out',
    'replayed',
    'idempotency-key-reused',
    'sold-out',
  ]);
  await expect(kindsOf(eventId, request(1))).resolves.toEqual(['sold-out']);
  await expectConserved(pool, eventId, 2);
});

test('an event that was seen sold out sells again as soon as something is left', async () => {
  const eventId = await newEvent(pool, 1);
  await expect(kindsOf(eventId, request(1), request(1), request(1))).resolves.toEqual(['granted', 'sold-out', 'sold-out']);
  // Nothing in the API gives a ticket back; the memory of the sale must not depend on that.
  await database.sql.query('UPDATE events SET total_quota = 2, available = 1 WHERE id = $1', [eventId]);
  await expect(kindsOf(eventId, request(1))).resolves.toEqual(['granted']);
  await expectConserved(pool, eventId, 2);
});

test('a batch with a repeated key, a reused one, and one over the limit is sold request by request', async () => {
  const eventId = await newEvent(pool, 100, 5);
  const first = kindsOf(eventId, request(1));
  const rest = kindsOf(eventId, request(2, 'twice'), request(2, 'twice'), request(3, 'twice'), request(6), request(5));
  await expect(first).resolves.toEqual(['granted']);
  await expect(rest).resolves.toEqual(['granted', 'replayed', 'idempotency-key-reused', 'purchase-limit-exceeded', 'granted']);
  await expectConserved(pool, eventId, 8);
});

test('replays, reused keys and requests over the limit are answered on the fast path, beside purchases', async () => {
  const paths: string[] = [];
  const watched = batchedSale(pool, {}, { ended: (path) => paths.push(path) });
  const eventId = await newEvent(pool, 100, 5);
  await watched.sell(eventId, request(3, 'over today'));
  await updateEvent(pool.prisma, eventId, { maxPurchaseLimit: 2 });
  await watched.sell(eventId, request(2, 'bought before')); // learns of the change, behind the lock
  paths.length = 0;
  const wanted = [
    request(1),
    request(2, 'bought before'),
    request(1, 'bought before'),
    request(3, 'over today'),
    request(3, 'over and unknown'),
    request(2, 'twice'),
    request(2, 'twice'),
    request(3),
  ];
  const outcomes = await Promise.all(wanted.map((each) => watched.sell(eventId, each)));
  expect(outcomes.map((outcome) => (outcome.kind === 'granted' && outcome.replayed ? 'replayed' : outcome.kind))).toEqual([
    'granted',
    'replayed',
    'idempotency-key-reused',
    'replayed',
    'purchase-limit-exceeded',
    'granted',
    'replayed',
    'purchase-limit-exceeded',
  ]);
  await expect(watched.sell(eventId, request(2, 'bought before'))).resolves.toMatchObject({ kind: 'granted', replayed: true });
  expect(paths).toEqual(['fast', 'fast']);
  await watched.close();
  await expectConserved(pool, eventId, 8);
});

test('keys may have every visible character that arrays and strings are written with', async () => {
  const eventId = await newEvent(pool, 100);
  const keys = ['{"quoted","list"}', 'back\\slash\\\\es', 'NULL............', "it's,(a)';--$1$2", '!"#$%&()*+,-./:;<=>?@[]^_`{|}~'];
  await expect(kindsOf(eventId, ...keys.map((key) => request(1, key)))).resolves.toEqual(keys.map(() => 'granted'));
  await expect(kindsOf(eventId, ...keys.map((key) => request(1, key)))).resolves.toEqual(keys.map(() => 'replayed'));
  const { rows } = await database.sql.query<{ key: string }>('SELECT idempotency_key AS key FROM purchases WHERE event_id = $1', [eventId]);
  expect(rows.map((row) => row.key).sort()).toEqual(keys.map((key) => key.padEnd(16, '.')).sort());
});

test('a fault that is a bug in this service is thrown at once, and the event sells when it is fixed', async () => {
  const eventId = await newEvent(pool, 10);
  await database.sql.query('ALTER TABLE tickets RENAME TO mislaid');
  await expect(sale.sell(eventId, request(1))).rejects.toThrow('an attempt at a batch failed');
  await database.sql.query('ALTER TABLE mislaid RENAME TO tickets');
  await expect(kindsOf(eventId, request(1))).resolves.toEqual(['granted']);
  await expectConserved(pool, eventId, 1);
});

test('times are the same moment whatever the time zone of the database', async () => {
  await database.sql.query(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = %L', current_database(), 'Asia/Kolkata'); END $$`);
  const abroad = openTestPool(database.url);
  const sale = batchedSale(abroad);
  const eventId = await newEvent(abroad, 10);
  const before = Date.now();
  const outcomes = [await sale.sell(eventId, request(1, 'key')), await sale.sell(eventId, request(1, 'key'))];
  const times = outcomes.map((outcome) => (outcome.kind === 'granted' ? outcome.purchase.createdAt.getTime() : NaN));
  expect(times[0]).toBe(times[1]);
  expect(Math.abs(times[0]! - before)).toBeLessThan(60_000);
  await sale.close();
  await abroad.close();
});

test('a request that waited until little time was left is refused, not sold to and answered too late', async () => {
  const patient = openTestPool(database.url, { lockTimeoutMs: 2_500, statementTimeoutMs: 3_000 });
  const sale = batchedSale(patient, { deadlineMs: 2_000 });
  const eventId = await newEvent(patient, 10);
  const holder = await database.sql.connect();
  await holder.query('BEGIN');
  await holder.query('SELECT FROM events WHERE id = $1 FOR UPDATE', [eventId]);
  const carried = sale.sell(eventId, request(1)); // waits for the row
  await untilWaiting(database.sql);
  const inLine = sale.sell(eventId, request(1)); // waits for the first
  await new Promise((resolve) => setTimeout(resolve, 1_750));
  await holder.query('COMMIT');
  holder.release();
  await expect(inLine).resolves.toMatchObject({ kind: 'overloaded' });
  await carried;
  await sale.close();
  await expectConserved(patient, eventId, 1);
  await patient.close();
});
