/**
 * Goal: who waited for the event's row sees everything that the one before him did.
 * Method: two buyers of the last ticket, the second waiting for the first. A statement that locks and looks at once has the
 * snapshot from before its wait, and is the wrong variant; locking first and looking in a second statement is the right one.
 */
import { beforeAll, expect, test } from '@jest/globals';
import type { Pool } from '../../src/db/client.js';
import type { PurchaseRequest } from '../../src/sale/types.js';
import { sellLocked } from '../../src/sale/lockedPath.js';
import { lockEvent } from '../../src/sql/lockEvent.js';
import { lockPurchases } from '../../src/sql/lockPurchases.js';
import { useDatabase } from '../support/database.js';
import { patientLimits } from '../support/pool.js';
import { expectConserved, batchedSale, newEvent, request } from '../support/sales.js';
import { insertPurchase, later, type Session, take, untilBlockedBy, withSessions } from './sessions.js';

const database = useDatabase();
let pool: Pool;

beforeAll(() => {
  pool = database.openPool(patientLimits);
});

interface Books {
  readonly quota: number;
  readonly sold: number;
}

/** The wrong variant. */
async function lockAndCount(session: Session, eventId: string): Promise<Books> {
  const { rows } = await session.query<Books>(
    `WITH locked AS (SELECT total_quota AS quota FROM events WHERE id = $1 FOR UPDATE),
          counted AS (SELECT count(*)::int AS sold FROM tickets WHERE event_id = $1)
     SELECT quota, sold FROM locked, counted`,
    [eventId],
  );
  return rows[0]!;
}

async function lockThenCount(session: Session, eventId: string): Promise<Books> {
  const locked = await session.query<{ quota: number }>('SELECT total_quota AS quota FROM events WHERE id = $1 FOR UPDATE', [eventId]);
  const counted = await session.query<{ sold: number }>('SELECT count(*)::int AS sold FROM tickets WHERE event_id = $1', [eventId]);
  return { ...locked.rows[0]!, ...counted.rows[0]! };
}

/** Sells one ticket by counting, in a transaction that stays open. */
async function sellByCounting(session: Session, eventId: string, read: typeof lockAndCount): Promise<'granted' | 'sold-out'> {
  await session.query('BEGIN');
  const { quota, sold } = await read(session, eventId);
  if (sold >= quota) return 'sold-out';
  await session.query('UPDATE events SET available = $2 WHERE id = $1', [eventId, quota - sold - 1]);
  await insertPurchase(session, eventId, request(1));
  return 'granted';
}

/** @returns what the second of two buyers was answered, after a wait for the first */
async function sellTheLastTwice(eventId: string, read: typeof lockAndCount): Promise<string> {
  return withSessions(database.url, 2, async (first, second) => {
    await expect(sellByCounting(first, eventId, read)).resolves.toBe('granted');
    const waiting = later(sellByCounting(second, eventId, read));
    await untilBlockedBy(database.sql, first.pid);
    await first.query('COMMIT');
    const answered = await waiting;
    await second.query('COMMIT');
    return answered;
  });
}

test('one statement that locks and counts sells the last ticket twice, and keeps every CHECK', async () => {
  const eventId = await newEvent(pool, 1);
  await expect(sellTheLastTwice(eventId, lockAndCount)).resolves.toBe('granted');
  await expect(expectConserved(pool, eventId, 1)).rejects.toThrow();
  const { rows } = await database.sql.query('SELECT available FROM events WHERE id = $1', [eventId]);
  expect(rows).toEqual([{ available: 0 }]);
});

test('a second statement after the lock counts what was sold meanwhile', async () => {
  const eventId = await newEvent(pool, 1);
  await expect(sellTheLastTwice(eventId, lockThenCount)).resolves.toBe('sold-out');
  await expectConserved(pool, eventId, 1);
});

/** Another session buys, and commits when somebody is seen to wait for it. @returns what the waiting request was answered */
async function whileAnotherBuys<T>(eventId: string, bought: PurchaseRequest, work: () => Promise<T>): Promise<T> {
  return withSessions(database.url, 1, async (other) => {
    await other.query('BEGIN');
    await take(other, eventId, bought.quantity);
    await insertPurchase(other, eventId, bought);
    const waiting = later(work());
    await untilBlockedBy(database.sql, other.pid);
    await other.query('COMMIT');
    return waiting;
  });
}

test.each([
  ['the locked path', async (eventId: string, wanted: PurchaseRequest) => (await sellLocked(pool, eventId, [wanted], false)).outcomes],
  ['the sale', async (eventId: string, wanted: PurchaseRequest) => [await batchedSale(pool).sell(eventId, wanted)]],
])('%s, having waited for the last ticket, refuses', async (_name, sell) => {
  const eventId = await newEvent(pool, 1);
  await expect(whileAnotherBuys(eventId, request(1), () => sell(eventId, request(1)))).resolves.toEqual([{ kind: 'sold-out', held: 0 }]);
  await expectConserved(pool, eventId, 1);
});

test('having waited, a batch sells exactly what was left over', async () => {
  const eventId = await newEvent(pool, 5);
  const requests = [request(3), request(2), request(1)];
  const { outcomes } = await whileAnotherBuys(eventId, request(3), () => sellLocked(pool, eventId, requests, false));
  expect(outcomes).toMatchObject([{ kind: 'insufficient-availability', available: 2 }, { kind: 'granted' }, { kind: 'sold-out' }]);
  await expectConserved(pool, eventId, 5);
});

/** The wrong way to find existing purchases: the lock and the look for the key in one statement. */
async function lockAndRecall(session: Session, eventId: string, key: string): Promise<{ available: number; id: string | null }> {
  const { rows } = await session.query<{ available: number; id: string | null }>(
    `WITH locked AS (SELECT available FROM events WHERE id = $1 FOR NO KEY UPDATE),
          recalled AS (SELECT id FROM purchases WHERE event_id = $1 AND idempotency_key = $2)
     SELECT available, (SELECT id FROM recalled) AS id FROM locked`,
    [eventId, key],
  );
  return rows[0]!;
}

test('one statement that locks and looks for existing purchases has the new row of the event, and misses the purchase that changed it', async () => {
  const eventId = await newEvent(pool, 5);
  const bought = request(2, 'key');
  const answered = await withSessions(database.url, 1, (session) =>
    whileAnotherBuys(eventId, bought, () => lockAndRecall(session, eventId, bought.idempotency!.key)),
  );
  expect(answered).toEqual({ available: 3, id: null });
  await expectConserved(pool, eventId, 2);
});

test('lock and then look: existing purchases are found', async () => {
  const eventId = await newEvent(pool, 5);
  const bought = request(2, 'key');
  const answered = await whileAnotherBuys(eventId, bought, () =>
    pool.prisma.$transaction(async (tx) => {
      const locked = await lockEvent(tx, eventId);
      return [locked?.available, await lockPurchases(tx, eventId, { keys: [bought.idempotency!.key] })];
    }, pool.transaction),
  );
  expect(answered).toMatchObject([3, { purchases: [{ purchase: { id: bought.purchaseId } }] }]);
  await expectConserved(pool, eventId, 2);
});
