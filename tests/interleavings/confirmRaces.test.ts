/**
 * Goal: whatever happens to a hold at the same moment (confirmed here and there, released, cancelled, expired), exactly one thing
 * happens, and everybody is answered which.
 * Method: a session locks the hold's row, the competitors queue up for it in a chosen order, and are seen there. The negative
 * controls confirm without a look at the clock, with a look before the wait, and read without the lock.
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import type { Pool } from '../../src/db/client.js';
import type { Outcome } from '../../src/sale/types.js';
import { readPurchase } from '../../src/sql/readPurchase.js';
import { useDatabase } from '../support/database.js';
import { openTestPool, patientLimits } from '../support/pool.js';
import { type AnySale, batchedSale, expectConserved, newEvent, request } from '../support/sales.js';
import { confirmUntilExpired, endHolds, hold, holdAll, inOrder, lockHolds, queueUp, waitAcross } from './holds.js';
import { type Session, withSessions } from './sessions.js';

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

/** An event of ten tickets, three of them held. */
async function oneHold(): Promise<{ eventId: string; purchaseId: string }> {
  const eventId = await newHolds(10);
  const [purchaseId] = await hold(one!, eventId, 3);
  return { eventId, purchaseId: purchaseId! };
}

type Action = 'confirm' | 'release' | 'cancel';

function act(sale: AnySale, kind: Action, eventId: string, purchaseId: string): Promise<Outcome> {
  return kind === 'confirm' ? sale.confirm({ kind, eventId, purchaseId }) : sale.sell(eventId, { kind, purchaseId, asBuyer: undefined });
}

describe.each<[first: Action, second: Action, status: string, answer: object]>([
  ['confirm', 'confirm', 'confirmed', { kind: 'settled', purchase: { status: 'confirmed' } }],
  ['confirm', 'release', 'confirmed', { kind: 'purchase-confirmed' }],
  ['confirm', 'cancel', 'confirmed', { kind: 'settled', purchase: { status: 'cancelled' } }],
  ['release', 'confirm', 'released', { kind: 'hold-released' }],
  ['release', 'release', 'released', { kind: 'settled', purchase: { status: 'released' } }],
  ['release', 'cancel', 'released', { kind: 'hold-released' }],
  ['cancel', 'confirm', 'cancelled', { kind: 'purchase-cancelled' }],
  ['cancel', 'release', 'cancelled', { kind: 'purchase-cancelled' }],
  ['cancel', 'cancel', 'cancelled', { kind: 'settled', purchase: { status: 'cancelled' } }],
])('%s before %s, on two replicas:', (first, second, status, answer) => {
  test(`the first finds the hold, the second what the first made of it`, async () => {
    const { eventId, purchaseId } = await oneHold();
    const race = [() => act(one!, first, eventId, purchaseId), () => act(other!, second, eventId, purchaseId)];
    const outcomes = await queueUp(database, (holder) => lockHolds(holder, [purchaseId]), race);
    expect(outcomes).toMatchObject([{ kind: 'settled', purchase: { id: purchaseId, status } }, answer]);
    if (second === 'confirm' && first === 'confirm') expect(outcomes[1]).toEqual(outcomes[0]);
    const isSold = first === 'confirm' && second !== 'cancel';
    await expectConserved(pool, eventId, isSold ? 3 : 0);
    // Asked again, the answer is the same.
    await expect(act(one!, second, eventId, purchaseId)).resolves.toEqual(outcomes[1]);
    await expectConserved(pool, eventId, isSold ? 3 : 0);
  });
});

/** The wrong variant: whether the hold has expired is judged as the statement begins. */
function confirmByStartOfStatement(session: Session, eventId: string, purchaseId: string): Promise<boolean> {
  return confirmWhere(session, eventId, purchaseId, 'AND expires_at > statement_timestamp()');
}

async function confirmWhere(session: Session, eventId: string, purchaseId: string, condition: string): Promise<boolean> {
  const { rowCount } = await session.query(
    `WITH confirmed AS (
       UPDATE purchases SET status = 'confirmed' WHERE event_id = $1 AND id = $2 AND status = 'held' ${condition} RETURNING *)
     INSERT INTO tickets (event_id, id, purchase_id)
     SELECT event_id, uuidv7(), id FROM confirmed, generate_series(1, quantity)`,
    [eventId, purchaseId],
  );
  return rowCount !== 0;
}

/** Confirms a hold that expires while the confirmation waits for its row, which nobody changes. */
async function confirmAcrossExpiry<T>(
  confirm: (eventId: string, purchaseId: string) => Promise<T>,
): Promise<{ eventId: string; answer: T }> {
  return waitAcross(database, async (holder, seconds) => {
    const { eventId, purchaseId } = await oneHold();
    const moment = await endHolds(database, [purchaseId], seconds);
    await lockHolds(holder, [purchaseId]);
    return { moment, work: async () => ({ eventId, answer: await confirm(eventId, purchaseId) }) };
  });
}

test.each([
  ['as it is planned', ''],
  ['with a plan that reads the purchases first', '?options=-c%20enable_nestloop=off%20-c%20enable_hashjoin=off'],
])('a confirmation that waits until the hold has expired does not confirm it (%s)', async (_how, options) => {
  const planned = database.closeLater(openTestPool(database.url + options, patientLimits));
  const sale = database.closeLater(batchedSale(planned, { deadlineMs: 20_000 }));
  const { eventId, answer } = await confirmAcrossExpiry((id, purchaseId) => act(sale, 'confirm', id, purchaseId));
  expect(answer).toEqual({ kind: 'hold-expired' });
  await expectConserved(pool, eventId, 0);
});

test('one that reads the clock before it waits confirms an expired hold (negative control)', async () => {
  const { eventId, answer } = await withSessions(database.url, 1, (session) =>
    confirmAcrossExpiry((id, purchaseId) => confirmByStartOfStatement(session, id, purchaseId)),
  );
  expect(answer).toBe(true);
  await expectConserved(pool, eventId, 3);
});

describe.each<['COMMIT' | 'ROLLBACK', string, number]>([
  ['COMMIT', 'confirmed', 3],
  ['ROLLBACK', 'expired', 0],
])('while a confirmation that began in time is under way, and then ends with %s,', (how, status, sold) => {
  test(`a look-up, a confirmation, a release and a replay of the hold, which has expired by then, wait, and say ${status}`, async () => {
    const eventId = await newHolds(10);
    const wanted = request(3, 'the key');
    await holdAll(one!, eventId, [wanted]);
    const confirming = await confirmUntilExpired(pool, database, eventId, [wanted.purchaseId]);
    const questions = [
      () => readPurchase(pool.prisma, eventId, wanted.purchaseId),
      () => act(other!, 'confirm', eventId, wanted.purchaseId),
      () => act(other!, 'release', eventId, wanted.purchaseId),
      () => one!.sell(eventId, request(3, 'the key')),
    ];
    const answers = await inOrder<unknown>(database, confirming.pid, questions, () => confirming.end(how));
    const purchase = { id: wanted.purchaseId, status, ticketIds: { length: sold } };
    expect(answers).toMatchObject([
      purchase,
      sold > 0 ? { kind: 'settled', purchase } : { kind: 'hold-expired' },
      sold > 0 ? { kind: 'purchase-confirmed' } : { kind: 'settled', purchase },
      { kind: 'granted', replayed: true, purchase },
    ]);
    await expect(act(one!, 'confirm', eventId, wanted.purchaseId)).resolves.toEqual(answers[1]);
    await expectConserved(pool, eventId, sold);
  });
});

test('a look-up that does not wait says expired of a hold that is then confirmed (negative control)', async () => {
  const { eventId, purchaseId } = await oneHold();
  const confirming = await confirmUntilExpired(pool, database, eventId, [purchaseId]);
  const { rows } = await database.sql.query(`SELECT status, expires_at <= clock_timestamp() AS expired FROM purchases WHERE id = $1`, [
    purchaseId,
  ]);
  expect(rows).toEqual([{ status: 'held', expired: true }]);
  await confirming.end('COMMIT');
  await expectConserved(pool, eventId, 3);
});

test.each<[string, (session: Session, eventId: string, purchaseId: string) => Promise<boolean>, boolean]>([
  [
    'the confirmation refuses it',
    async (_session, eventId, purchaseId) => (await act(other!, 'confirm', eventId, purchaseId)).kind === 'settled',
    false,
  ],
  ['one that does not look at the clock confirms it (negative control)', (...hold) => confirmWhere(...hold, ''), true],
])('a hold that was reported as expired, and that nothing has swept: %s', async (_what, confirm, confirms) => {
  const { eventId, purchaseId } = await oneHold();
  await endHolds(database, [purchaseId]);
  await expect(readPurchase(pool.prisma, eventId, purchaseId)).resolves.toMatchObject({ status: 'expired' });
  await withSessions(database.url, 1, async (session) => {
    await expect(confirm(session, eventId, purchaseId)).resolves.toBe(confirms);
  });
  await expectConserved(pool, eventId, confirms ? 3 : 0);
});

test('a batch of confirmations and a batch of releases lock the same holds in one order', async () => {
  const faults: unknown[] = [];
  const observer = { fault: (...fault: unknown[]) => faults.push(fault) };
  const [confirming, releasing] = [0, 1].map(() =>
    database.closeLater(batchedSale(database.openPool(patientLimits), { deadlineMs: 20_000 }, observer)),
  );
  const eventId = await newHolds(10);
  const ids = (await hold(one!, eventId, 1, 1, 1, 1)).sort();
  const [first] = ids;
  const backwards = [...ids].reverse();
  const all = (sale: AnySale, kind: Action) => Promise.all(backwards.map((id) => act(sale, kind, eventId, id)));
  await withSessions(database.url, 2, async (holder, watcher) => {
    await lockHolds(holder, [first!]);
    const answers = inOrder(database, holder.pid, [() => all(confirming!, 'confirm'), () => all(releasing!, 'release')], async () => {
      // Both wait at the first hold, and have locked none of the others.
      await watcher.query('BEGIN');
      await watcher.query('SELECT FROM purchases WHERE id = ANY ($1) FOR NO KEY UPDATE NOWAIT', [ids.slice(1)]);
      await watcher.query('COMMIT');
      await holder.query('COMMIT');
    });
    const [confirmed, released] = await answers;
    expect(confirmed).toMatchObject(ids.map(() => ({ kind: 'settled' })));
    expect(released).toEqual(ids.map(() => ({ kind: 'purchase-confirmed' })));
  });
  expect(faults).toEqual([]);
  await expectConserved(pool, eventId, 4);
});
