/**
 * Goal: no buyer has more than `max_per_buyer` tickets at any moment, and none is refused what he may have, on however many replicas.
 * Method: two replicas wait for the event's row, which a session holds; rules are changed by another. The negative control is a
 * database without the constraint that guards the fast path.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Pool } from '../../src/db/client.js';
import type { Outcome, PurchaseRequest } from '../../src/sale/types.js';
import { updateEvent } from '../../src/sql/updateEvent.js';
import { createTestDatabase, type TestDatabase, useDatabase } from '../support/database.js';
import { openTestPool, patientLimits } from '../support/pool.js';
import { type AnySale, batchedSale, expectConserved, newEvent, request } from '../support/sales.js';
import { confirmUntilExpired, endHolds, inOrder, lockEventRow, queueUp } from './holds.js';
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

const ofAnna = (quantity: number, key?: string) => request(quantity, key, { buyerId: 'anna' });
const granted = { kind: 'granted', replayed: false };
const limited = (remaining: number): Outcome => ({ kind: 'buyer-limit-exceeded', remaining });

/** An event on which Anna has three tickets, and may have four. Both replicas have sold some of it, so they take the fast path. */
async function threeOfFour(holdSeconds: number | null = null): Promise<{ eventId: string; bought: PurchaseRequest }> {
  const eventId = await newEvent(pool, 100, 10, { maxPerBuyer: 4, holdSeconds });
  const bought = ofAnna(3, 'the first of anna');
  await expect(one!.sell(eventId, bought)).resolves.toMatchObject(granted);
  await expect(other!.sell(eventId, request(1, undefined, { buyerId: 'boris' }))).resolves.toMatchObject(granted);
  return { eventId, bought };
}

/** Both ask while another session holds the row, the one at the first replica first. */
const atBoth = (eventId: string, first: PurchaseRequest, second: PurchaseRequest) =>
  queueUp<Outcome>(database, (holder) => lockEventRow(holder, eventId), [
    () => one!.sell(eventId, first),
    () => other!.sell(eventId, second),
  ]);

test('two replicas that wait to sell one buyer the last ticket of the limit sell one', async () => {
  const { eventId } = await threeOfFour();
  await expect(atBoth(eventId, ofAnna(1), ofAnna(1))).resolves.toMatchObject([granted, limited(0)]);
  await expectConserved(pool, eventId, 5);
});

test('of several requests of one buyer in one batch, those that fit are granted, first come, first served', async () => {
  const { eventId } = await threeOfFour();
  const sellAll = () => Promise.all([ofAnna(2), ofAnna(1), ofAnna(1)].map((each) => one!.sell(eventId, each)));
  await expect(sellAll()).resolves.toMatchObject([limited(1), granted, limited(0)]);
  await expect(sellAll()).resolves.toEqual([limited(0), limited(0), limited(0)]);
  await expectConserved(pool, eventId, 5);
});

test('at the limit, a replay on another replica gives the first purchase again, and counts nothing', async () => {
  const { eventId, bought } = await threeOfFour();
  await expect(one!.sell(eventId, ofAnna(1))).resolves.toMatchObject(granted);
  await expect(other!.sell(eventId, ofAnna(1))).resolves.toEqual(limited(0));
  const again = ofAnna(3, 'the first of anna');
  await expect(other!.sell(eventId, again)).resolves.toMatchObject({
    kind: 'granted',
    replayed: true,
    purchase: { id: bought.purchaseId },
  });
  await expect(one!.sell(eventId, again)).resolves.toMatchObject({ kind: 'granted', replayed: true });
  await expectConserved(pool, eventId, 5);
});

test('the same key at two replicas at once is one purchase, counted once', async () => {
  const { eventId } = await threeOfFour();
  const outcomes = await atBoth(eventId, ofAnna(1, 'a key of anna'), ofAnna(1, 'a key of anna'));
  expect(outcomes).toMatchObject([granted, { kind: 'granted', replayed: true }]);
  await expect(other!.sell(eventId, ofAnna(1))).resolves.toEqual(limited(0));
  await expectConserved(pool, eventId, 5);
});

test.each(['release', 'cancel'] as const)('a purchase that waits behind a %s at another replica gets what it gives back', async (kind) => {
  const { eventId, bought } = await threeOfFour(600);
  const outcomes = await queueUp<Outcome>(database, (holder) => lockEventRow(holder, eventId), [
    () => one!.sell(eventId, { kind, purchaseId: bought.purchaseId, asBuyer: undefined }),
    () => other!.sell(eventId, ofAnna(4)),
  ]);
  expect(outcomes).toMatchObject([{ kind: 'settled' }, granted]);
  await expectConserved(pool, eventId, 0, 5);
});

test('what a buyer held and let expire is not counted, though nothing has swept it', async () => {
  const { eventId, bought } = await threeOfFour(600);
  await endHolds(database, [bought.purchaseId]);
  await expect(other!.sell(eventId, ofAnna(4))).resolves.toMatchObject(granted);
  await expect(other!.sell(eventId, ofAnna(1))).resolves.toEqual(limited(0));
  await expectConserved(pool, eventId, 0, 5);
});

test.each<['COMMIT' | 'ROLLBACK', number]>([
  ['COMMIT', 3],
  ['ROLLBACK', 0],
])('a buyer whose expired hold is being confirmed waits to learn what counts; after %s', async (how, confirmed) => {
  const { eventId, bought } = await threeOfFour(600);
  const confirming = await confirmUntilExpired(pool, database, eventId, [bought.purchaseId]);
  const [outcome] = await inOrder(database, confirming.pid, [() => other!.sell(eventId, ofAnna(2))], () => confirming.end(how));
  expect(outcome).toMatchObject(confirmed > 0 ? limited(1) : granted);
  await expectConserved(pool, eventId, confirmed, confirmed > 0 ? 1 : 3);
});

/** Changes the limit, as another replica would, while what the sale sent waits for the row. */
async function changeMeanwhile(eventId: string, maxPerBuyer: number | null, wanted: readonly PurchaseRequest[]): Promise<Outcome[]> {
  return withSessions(database.url, 1, async (session) => {
    await lockEventRow(session, eventId);
    const [outcomes] = await inOrder(
      database,
      session.pid,
      [() => Promise.all(wanted.map((each) => one!.sell(eventId, each)))],
      async () => {
        await session.query('UPDATE events SET max_per_buyer = $2, revision = revision + 1 WHERE id = $1', [eventId, maxPerBuyer]);
        await session.query('COMMIT');
      },
    );
    return outcomes!;
  });
}

describe('max_per_buyer that is changed at another replica while a batch waits', () => {
  test.each<[string, number | null, readonly object[], number]>([
    ['lowered below what the buyer has: nothing more', 2, [limited(0), limited(0)], 4],
    ['raised: as much as it then allows', 6, [granted, granted], 7],
    ['raised by less than is wanted', 5, [granted, limited(1)], 5],
    ['taken away: all', null, [granted, granted], 7],
  ])('%s', async (_name, maxPerBuyer, answers, sold) => {
    const { eventId } = await threeOfFour();
    // The second asks for two; where only one of them fits, the order of arrival decides.
    await expect(changeMeanwhile(eventId, maxPerBuyer, [ofAnna(1), ofAnna(2)])).resolves.toMatchObject(answers);
    await expectConserved(pool, eventId, sold);
  });

  test('given to a sale that had none, it counts what was bought before, and refuses who names nobody', async () => {
    const eventId = await newEvent(pool, 100);
    await expect(one!.sell(eventId, ofAnna(3))).resolves.toMatchObject(granted);
    const outcomes = await changeMeanwhile(eventId, 4, [ofAnna(2), ofAnna(1), request(1)]);
    expect(outcomes).toMatchObject([limited(1), granted, { kind: 'buyer-required' }]);
    await expect(other!.sell(eventId, ofAnna(1))).resolves.toEqual(limited(0));
    await expectConserved(pool, eventId, 4);
  });

  test('lowered, it takes nothing from who has more, and what is given back under it counts', async () => {
    const { eventId, bought } = await threeOfFour(600);
    await updateEvent(pool.prisma, eventId, { maxPerBuyer: 1 });
    await expect(one!.sell(eventId, ofAnna(1))).resolves.toEqual(limited(0));
    await expect(one!.confirm({ kind: 'confirm', eventId, purchaseId: bought.purchaseId })).resolves.toMatchObject({ kind: 'settled' });
    await expect(one!.sell(eventId, { kind: 'cancel', purchaseId: bought.purchaseId, asBuyer: undefined })).resolves.toMatchObject({
      kind: 'settled',
    });
    await expect(one!.sell(eventId, ofAnna(1))).resolves.toMatchObject(granted);
    await expectConserved(pool, eventId, 0, 2);
  });
});

describe('in a database without the constraint (negative control)', () => {
  let unguarded: TestDatabase;
  let unguardedPool: Pool;

  beforeAll(async () => {
    unguarded = await createTestDatabase();
    await unguarded.sql.query('ALTER TABLE buyer_totals DROP CONSTRAINT buyer_totals_within_limit');
    unguardedPool = openTestPool(unguarded.url, patientLimits);
  });
  afterAll(async () => {
    await unguardedPool.close();
    await unguarded.drop();
  });

  test('the fast path sells a buyer more than the limit', async () => {
    const sale = batchedSale(unguardedPool, { deadlineMs: 20_000 });
    const eventId = await newEvent(unguardedPool, 100, 10, { maxPerBuyer: 4 });
    await expect(sale.sell(eventId, ofAnna(3))).resolves.toMatchObject(granted);
    await expect(sale.sell(eventId, ofAnna(3))).resolves.toMatchObject(granted);
    await sale.close();
    await expectConserved(unguardedPool, eventId, 6);
  });
});
