/**
 * Goal: two requests with one key at the same moment are one purchase, and both answers say which.
 * Method: a session inserts the key and stays open; a second one waits at the unique index, and is seen there. To insert
 * and look in one statement is the wrong variant: its look is as old as its wait.
 */
import { beforeAll, expect, test } from '@jest/globals';
import type { Pool } from '../../src/db/client.js';
import type { PurchaseRequest } from '../../src/sale/types.js';
import { useDatabase } from '../support/database.js';
import { patientLimits } from '../support/pool.js';
import { expectConserved, batchedSale, newEvent, request, type AnySale } from '../support/sales.js';
import { insertPurchase, later, type Session, take, untilBlockedBy, withSessions } from './sessions.js';

const database = useDatabase();
let pool: Pool;
let sale: AnySale;

beforeAll(() => {
  pool = database.openPool(patientLimits);
  sale = database.closeLater(batchedSale(pool, { deadlineMs: 20_000 }));
});

/** The wrong variant. @returns the ids that came back */
async function insertOrSelect(session: Session, eventId: string, { purchaseId, idempotency }: PurchaseRequest): Promise<string[]> {
  const { rows } = await session.query<{ id: string }>(
    `WITH inserted AS (
       INSERT INTO purchases (event_id, id, quantity, idempotency_key, request_fingerprint, created_at)
       VALUES ($1, $2, 1, $3, $4, now())
       ON CONFLICT (event_id, idempotency_key) DO NOTHING
       RETURNING id
     )
     SELECT id FROM inserted
      UNION
     SELECT id FROM purchases WHERE event_id = $1 AND idempotency_key = $3`,
    [eventId, purchaseId, idempotency!.key, idempotency!.fingerprint],
  );
  return rows.map((row) => row.id);
}

async function select(session: Session, eventId: string, { idempotency }: PurchaseRequest): Promise<string[]> {
  const byKey = 'SELECT id FROM purchases WHERE event_id = $1 AND idempotency_key = $2';
  const { rows } = await session.query<{ id: string }>(byKey, [eventId, idempotency!.key]);
  return rows.map((row) => row.id);
}

test('one statement that inserts or selects finds neither row when it had to wait; the next statement finds it', async () => {
  const eventId = await newEvent(pool, 5);
  const [bought, again] = [request(1, 'key'), request(1, 'key')];
  await withSessions(database.url, 2, async (first, second) => {
    await first.query('BEGIN');
    await take(first, eventId, 1);
    await insertPurchase(first, eventId, bought);
    const waiting = later(insertOrSelect(second, eventId, again));
    await untilBlockedBy(database.sql, first.pid);
    await first.query('COMMIT');
    await expect(waiting).resolves.toEqual([]);
    await expect(select(second, eventId, again)).resolves.toEqual([bought.purchaseId]);
    // Without a wait it does what it seems to do, which is why the mistake is not seen.
    await expect(insertOrSelect(second, eventId, again)).resolves.toEqual([bought.purchaseId]);
  });
  await expectConserved(pool, eventId, 1);
});

/**
 * The sale buys with the key of a purchase that another session has inserted, but not ended. What that one takes is taken
 * off beforehand, so that it does not hold the event's row and the sale gets as far as the unique index.
 */
async function sellWhileKeyIsTaken(
  eventId: string,
  bought: PurchaseRequest,
  wanted: readonly PurchaseRequest[],
  end: 'COMMIT' | 'ROLLBACK',
) {
  return withSessions(database.url, 1, async (other) => {
    await take(other, eventId, bought.quantity);
    await other.query('BEGIN');
    await insertPurchase(other, eventId, bought);
    const selling = later(Promise.all(wanted.map((each) => sale.sell(eventId, each))));
    await untilBlockedBy(database.sql, other.pid);
    await other.query(end);
    const outcomes = await selling;
    if (end === 'ROLLBACK') await take(other, eventId, -bought.quantity);
    return outcomes;
  });
}

test('the sale, having waited at the key, gives the purchase of the one who was first', async () => {
  const eventId = await newEvent(pool, 5);
  const bought = request(2, 'key');
  const outcomes = await sellWhileKeyIsTaken(eventId, bought, [request(2, 'key'), request(1), request(1, 'key')], 'COMMIT');
  expect(outcomes).toMatchObject([
    { kind: 'granted', replayed: true, purchase: { id: bought.purchaseId, quantity: 2 } },
    { kind: 'granted', replayed: false },
    { kind: 'idempotency-key-reused' },
  ]);
  await expectConserved(pool, eventId, 3);
});

test('the sale, having waited at the key, sells if the one who was first gave up', async () => {
  const eventId = await newEvent(pool, 5);
  const wanted = request(2, 'key');
  const outcomes = await sellWhileKeyIsTaken(eventId, request(2, 'key'), [wanted], 'ROLLBACK');
  expect(outcomes).toMatchObject([{ kind: 'granted', replayed: false, purchase: { id: wanted.purchaseId } }]);
  await expectConserved(pool, eventId, 2);
});

test.each([
  ['an attempt on the fast path and one on the locked path', 'locked'],
  ['two attempts on the fast path', 'fast'],
])('%s of one key at two replicas both wait for the event, never at the key, and one repeats the other', async (_name, path) => {
  const eventId = await newEvent(pool, 10);
  const another = batchedSale(pool, { deadlineMs: 20_000 });
  // A batch that cannot be granted whole sends the next one of its replica down the locked path.
  if (path === 'locked') await another.sell(eventId, request(11));
  const wanted = [request(2, 'key'), request(2, 'key')] as const;
  const outcomes = await withSessions(database.url, 1, async (holder) => {
    await holder.query('BEGIN');
    await take(holder, eventId, 0);
    const first = later(another.sell(eventId, wanted[0]));
    const blocked = await untilBlockedBy(database.sql, holder.pid);
    const second = later(sale.sell(eventId, wanted[1]));
    await untilBlockedBy(database.sql, blocked);
    await holder.query('COMMIT');
    return Promise.all([first, second]);
  });
  // Which of the two comes first is not promised: after an update, those who waited run for the new version of the row.
  const answers = outcomes.map((outcome) => outcome.kind === 'granted' && { replayed: outcome.replayed, id: outcome.purchase.id });
  const first = answers.findIndex((one) => one && !one.replayed);
  const { purchaseId: id } = wanted[first === 0 ? 0 : 1];
  expect(answers).toEqual([0, 1].map((index) => ({ replayed: index !== first, id })));
  await another.close();
  await expectConserved(pool, eventId, 2);
});
