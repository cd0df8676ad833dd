/**
 * Goal: what an expired hold held comes back exactly once, at the moment a batch needs it, whoever else is at it: other batches,
 * sweepers, a confirmation that began in time.
 * Method: sessions hold the locks that all of them need, and let go when everybody waits. The negative control expires what it has
 * read without a lock.
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import type { Pool } from '../../src/db/client.js';
import { sweep } from '../../src/sale/expiry.js';
import type { Outcome } from '../../src/sale/types.js';
import { auditEvent } from '../../src/sql/auditEvent.js';
import { readEvents } from '../../src/sql/readEvents.js';
import { useDatabase } from '../support/database.js';
import { patientLimits } from '../support/pool.js';
import { type AnySale, batchedSale, expectConserved, newEvent, request, ticketsOf } from '../support/sales.js';
import { confirmUntilExpired, endHolds, hold, inOrder, lockEventRow, lockHolds, queueUp } from './holds.js';
import { withSessions } from './sessions.js';

const database = useDatabase();
let pool: Pool;
/** Two replicas. */
let [one, other]: AnySale[] = [];

beforeAll(() => {
  pool = database.openPool(patientLimits);
  one = database.closeLater(batchedSale(pool, { deadlineMs: 20_000 }));
  other = database.closeLater(batchedSale(database.openPool(patientLimits), { deadlineMs: 20_000 }));
});

const newHolds = (quota: number) => newEvent(pool, quota, 10, { holdSeconds: 600 });
const sellAll = (sale: AnySale, eventId: string, quantities: readonly number[]) =>
  Promise.all(quantities.map((quantity) => sale.sell(eventId, request(quantity))));
const ones = (count: number) => new Array<number>(count).fill(1);

/** One round of a sweeper. @returns the holds that it has expired */
async function sweepOnce(of: Pool): Promise<number> {
  let swept = 0;
  await sweep(of, ({ holds }) => {
    swept += holds;
    return Promise.resolve(true);
  });
  return swept;
}

async function available(eventId: string): Promise<{ shown: number; inRow: number }> {
  const [event] = await readEvents(pool.prisma, [eventId]);
  const { rows } = await database.sql.query<{ available: number }>('SELECT available FROM events WHERE id = $1', [eventId]);
  return { shown: event!.available, inRow: rows[0]!.available };
}

test('an expired hold counts as available before anything has swept it, and a batch that needs it gets it', async () => {
  const eventId = await newHolds(5);
  const ids = await hold(one!, eventId, 2, 3);
  await expect(one!.sell(eventId, request(1))).resolves.toEqual({ kind: 'sold-out', held: 5 });
  await endHolds(database, ids.slice(0, 1));
  await expect(available(eventId)).resolves.toEqual({ shown: 2, inRow: 0 });
  await expect(one!.sell(eventId, request(3))).resolves.toEqual({ kind: 'insufficient-availability', available: 2, held: 3 });
  await expect(other!.sell(eventId, request(2))).resolves.toMatchObject({ kind: 'granted' });
  await expect(one!.sell(eventId, request(1))).resolves.toEqual({ kind: 'sold-out', held: 5 });
  await expectConserved(pool, eventId, 0, 5);
});

test('two sweepers and two batches at once bring each hold back exactly once', async () => {
  const eventId = await newHolds(300);
  await endHolds(database, await hold(one!, eventId, ...ones(300)));
  const [, , ...sold] = await queueUp<number | Outcome[]>(database, (holder) => lockEventRow(holder, eventId), [
    () => sweepOnce(pool),
    () => sellAll(one!, eventId, ones(250)),
    () => sweepOnce(database.openPool(patientLimits)),
    () => sellAll(other!, eventId, ones(100)),
  ]).then(([swept, first, sweptToo, second]) => [swept, sweptToo, first, second]);
  const outcomes = sold.flat() as Outcome[];
  expect(ticketsOf(outcomes)).toBe(300);
  expect(outcomes.filter(({ kind }) => kind !== 'granted')).toEqual(new Array(50).fill({ kind: 'sold-out', held: 300 }));
  await expectConserved(pool, eventId, 0, 300);
  await expect(available(eventId)).resolves.toEqual({ shown: 0, inRow: 0 });
});

test('a sweeper passes over a hold that is being confirmed, and over an event whose holds are not due', async () => {
  const [eventId, later] = [await newHolds(5), await newHolds(5)];
  const [confirmed, due] = await hold(one!, eventId, 2, 3);
  await hold(one!, later, 1);
  const confirming = await confirmUntilExpired(pool, database, eventId, [confirmed!]);
  await endHolds(database, [due!]);
  await expect(sweepOnce(pool)).resolves.toBe(1);
  await confirming.end('COMMIT');
  await expect(sweepOnce(pool)).resolves.toBe(0);
  await expectConserved(pool, eventId, 2);
  await expectConserved(pool, later, 0, 1);
});

describe.each<['COMMIT' | 'ROLLBACK', number]>([
  ['COMMIT', 2],
  ['ROLLBACK', 0],
])('a batch that needs the tickets of an expired hold whose confirmation is under way waits for it; after %s', (how, confirmed) => {
  test('it sells what is free, no more and no less', async () => {
    const eventId = await newHolds(6);
    const [first, second] = await hold(one!, eventId, 2, 3);
    const confirming = await confirmUntilExpired(pool, database, eventId, [first!]);
    await endHolds(database, [second!]);
    const buying = [() => sellAll(other!, eventId, [...ones(6), 1])];
    const [outcomes] = await inOrder(database, confirming.pid, buying, () => confirming.end(how));
    expect(ticketsOf(outcomes!)).toBe(6 - confirmed);
    const refused = outcomes!.filter(({ kind }) => kind !== 'granted');
    expect(refused).toEqual(ones(1 + confirmed).map(() => ({ kind: 'sold-out', held: 6 - confirmed })));
    await expectConserved(pool, eventId, confirmed, 6 - confirmed);
  });

  test('others that are due come back in its place, however many were looked at first', async () => {
    // As many as a batch expires at least, and one more.
    const eventId = await newHolds(201);
    const ids = await hold(one!, eventId, ...ones(201));
    const confirming = await confirmUntilExpired(pool, database, eventId, ids.slice(0, 1));
    await endHolds(database, ids.slice(1));
    const buying = [() => sellAll(other!, eventId, ones(200))];
    const [outcomes] = await inOrder(database, confirming.pid, buying, () => confirming.end(how));
    expect(ticketsOf(outcomes!)).toBe(200);
    await expectConserved(pool, eventId, confirmed / 2, 200);
  });
});

test('to expire what was read without a lock sells the tickets of a hold that is then confirmed (negative control)', async () => {
  const eventId = await newHolds(2);
  const [purchaseId] = await hold(one!, eventId, 2);
  const confirming = await confirmUntilExpired(pool, database, eventId, [purchaseId!]);
  await withSessions(database.url, 1, async (session) => {
    await lockEventRow(session, eventId);
    const due = await session.query<{ quantity: number }>(
      `SELECT quantity FROM purchases WHERE event_id = $1 AND status = 'held' AND expires_at <= clock_timestamp()`,
      [eventId],
    );
    await session.query('UPDATE events SET available = available + $2 WHERE id = $1', [eventId, due.rows[0]!.quantity]);
    await session.query('COMMIT');
  });
  await confirming.end('COMMIT');
  await expect(other!.sell(eventId, request(2))).resolves.toMatchObject({ kind: 'granted' });
  await expect(auditEvent(pool.prisma, eventId)).resolves.toMatchObject({ totalQuota: 2, sold: 2, held: 2 });
});

test('a confirmation, having waited for the batch that expired its hold, is refused, and the tickets are the next buyer’s', async () => {
  const eventId = await newHolds(2);
  const [purchaseId] = await hold(one!, eventId, 2);
  await endHolds(database, [purchaseId!]);
  const outcomes = await queueUp<Outcome>(database, (holder) => lockHolds(holder, [purchaseId!]), [
    () => one!.sell(eventId, request(2)),
    () => other!.confirm({ kind: 'confirm', eventId, purchaseId: purchaseId! }),
  ]);
  expect(outcomes).toMatchObject([{ kind: 'granted' }, { kind: 'hold-expired' }]);
  await expectConserved(pool, eventId, 0, 2);
});
