/**
 * Goal: what is held is confirmed, given back or expires, exactly once; what was bought can be cancelled, exactly once; a retry shows
 * what became of it.
 * Method: one battery for the plain sale and for group commit. A hold is made to expire by moving its time into the past.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { v7 as uuidv7 } from 'uuid';
import type { Pool } from '../../src/db/client.js';
import { sweep } from '../../src/sale/expiry.js';
import type { EventRequest, Outcome, Purchase, PurchaseRequest } from '../../src/sale/types.js';
import { readPurchase } from '../../src/sql/readPurchase.js';
import { useDatabase } from '../support/database.js';
import { type AnySale, batchedSale, expectConserved, newEvent, request } from '../support/sales.js';
import { plainSale } from './plainSale.js';

const database = useDatabase();
let pool: Pool;

beforeAll(() => {
  pool = database.openPool();
});

const patient = { queueWaitMs: 20_000, deadlineMs: 20_000 };
const sales: [string, (pool: Pool) => AnySale][] = [
  ['the plain sale', plainSale],
  ['group commit', (given) => batchedSale(given, patient)],
  ['group commit in batches of two', (given) => batchedSale(given, { ...patient, batchRequestsMax: 2 })],
];

const expire = (...ids: string[]) =>
  database.sql.query(`UPDATE purchases SET expires_at = now() - interval '1 second' WHERE id = ANY ($1) AND status = 'held'`, [ids]);
const ofAnn = { buyerId: 'ann' };

describe.each(sales)('%s', (_name, open) => {
  let sale: AnySale;
  beforeAll(() => {
    sale = open(pool);
  });
  afterAll(async () => {
    await sale.close();
  });

  const newHolds = (quota: number, rules = {}) => newEvent(pool, quota, 5, { holdSeconds: 600, ...rules });
  const hold = async (eventId: string, wanted: PurchaseRequest): Promise<Purchase> => {
    const outcome = await sale.sell(eventId, wanted);
    if (outcome.kind !== 'granted') throw new Error(`not held: ${JSON.stringify(outcome)}`);
    return outcome.purchase;
  };
  const confirm = (eventId: string, { id: purchaseId }: Purchase) => sale.confirm({ kind: 'confirm', eventId, purchaseId });
  const back = (kind: 'release' | 'cancel', { id: purchaseId }: Purchase): EventRequest => ({ kind, purchaseId, asBuyer: undefined });
  const release = (eventId: string, held: Purchase) => sale.sell(eventId, back('release', held));
  const cancel = (eventId: string, held: Purchase) => sale.sell(eventId, back('cancel', held));
  const settled = (purchase: Purchase, status: string, tickets = 0) => ({
    kind: 'settled',
    purchase: {
      id: purchase.id,
      quantity: purchase.quantity,
      status,
      ticketIds: Array.from({ length: tickets }, () => expect.any(String)),
    },
  });

  test('a hold takes what it asks for, has no tickets, and ends when the event says', async () => {
    const eventId = await newHolds(5);
    const held = await hold(eventId, request(3, undefined, { buyerId: 'ann', reference: 'order 1' }));
    expect(held).toMatchObject({ status: 'held', quantity: 3, buyerId: 'ann', reference: 'order 1', ticketIds: [] });
    expect(held.expiresAt!.getTime() - held.createdAt.getTime()).toBe(600_000);
    await expect(readPurchase(pool.prisma, eventId, held.id)).resolves.toEqual(held);
    await expect(sale.sell(eventId, request(3))).resolves.toEqual({ kind: 'insufficient-availability', available: 2, held: 3 });
    await expectConserved(pool, eventId, 0, 3);
  });

  test('confirmed, it has its tickets, and the same ones however often it is confirmed', async () => {
    const eventId = await newHolds(5);
    const held = await hold(eventId, request(3));
    const outcomes = await Promise.all([confirm(eventId, held), confirm(eventId, held)]);
    for (const outcome of outcomes) expect(outcome).toMatchObject(settled(held, 'confirmed', 3));
    await expect(confirm(eventId, held)).resolves.toEqual(outcomes[0]);
    expect(outcomes[1]).toEqual(outcomes[0]);
    await expect(release(eventId, held)).resolves.toEqual({ kind: 'purchase-confirmed' });
    await expectConserved(pool, eventId, 3);
  });

  test('released or cancelled, it gives back what it took, once, and can never be confirmed', async () => {
    const eventId = await newHolds(5);
    const [one, two] = [await hold(eventId, request(2)), await hold(eventId, request(3))];
    const outcomes = await Promise.all([release(eventId, one), release(eventId, one), cancel(eventId, two), cancel(eventId, two)]);
    expect(outcomes).toMatchObject([
      settled(one, 'released'),
      settled(one, 'released'),
      settled(two, 'cancelled'),
      settled(two, 'cancelled'),
    ]);
    await expect(confirm(eventId, one)).resolves.toEqual({ kind: 'hold-released' });
    await expect(confirm(eventId, two)).resolves.toEqual({ kind: 'purchase-cancelled' });
    await expectConserved(pool, eventId, 0);
    await expect(sale.sell(eventId, request(5))).resolves.toMatchObject({ kind: 'granted' });
    await expectConserved(pool, eventId, 0, 5);
  });

  test('whose time is over is sellable at once and can never be confirmed, though nothing has swept it', async () => {
    const eventId = await newHolds(5);
    const held = await hold(eventId, request(5));
    await expect(sale.sell(eventId, request(1))).resolves.toEqual({ kind: 'sold-out', held: 5 });
    await expire(held.id);
    await expect(confirm(eventId, held)).resolves.toEqual({ kind: 'hold-expired' });
    await expect(cancel(eventId, held)).resolves.toEqual({ kind: 'hold-expired' });
    await expect(release(eventId, held)).resolves.toMatchObject(settled(held, 'expired'));
    await expect(sale.sell(eventId, request(5))).resolves.toMatchObject({ kind: 'granted' });
    await expect(confirm(eventId, held)).resolves.toEqual({ kind: 'hold-expired' });
    await expectConserved(pool, eventId, 0, 5);
  });

  test('a confirmed purchase that is cancelled keeps its tickets, which are void, and gives back its quantity, once', async () => {
    const eventId = await newEvent(pool, 4);
    const bought = await hold(eventId, request(4, undefined, ofAnn));
    const outcomes = await Promise.all([cancel(eventId, bought), cancel(eventId, bought), release(eventId, bought)]);
    expect(outcomes).toMatchObject([settled(bought, 'cancelled', 4), settled(bought, 'cancelled', 4), { kind: 'purchase-cancelled' }]);
    expect((outcomes[0] as Outcome & { kind: 'settled' }).purchase.ticketIds).toEqual(bought.ticketIds);
    await expectConserved(pool, eventId, 0);
    await expect(sale.sell(eventId, request(4))).resolves.toMatchObject({ kind: 'granted' });
    await expectConserved(pool, eventId, 4);
  });

  test.each([
    ['released', release],
    ['cancelled', cancel],
    ['expired', (_eventId: string, { id }: Purchase) => expire(id)],
    ['confirmed', confirm],
  ])('a retry of a purchase that is %s shows it as it is, and takes nothing', async (status, end) => {
    const eventId = await newHolds(4);
    const held = await hold(eventId, request(2, 'key'));
    await hold(eventId, request(1)); // with which the event does not sell out
    await end(eventId, held);
    const replays = await Promise.all([sale.sell(eventId, request(2, 'key')), sale.sell(eventId, request(2, 'key'))]);
    for (const replay of replays) expect(replay).toMatchObject({ kind: 'granted', replayed: true, purchase: { id: held.id, status } });
    await expect(sale.sell(eventId, request(1, 'key'))).resolves.toEqual({ kind: 'idempotency-key-reused' });
    await expectConserved(pool, eventId, status === 'confirmed' ? 2 : 0, 1);
  });

  test("a buyer's limit counts what is held and what is confirmed, also of requests at once, and what comes back does not count", async () => {
    const eventId = await newHolds(20, { maxPerBuyer: 4 });
    const first = await hold(eventId, request(2, undefined, ofAnn));
    const outcomes = await Promise.all([2, 1, 1].map((quantity) => sale.sell(eventId, request(quantity, undefined, ofAnn))));
    const over = { kind: 'buyer-limit-exceeded', remaining: 0 };
    expect(outcomes).toEqual([expect.objectContaining({ kind: 'granted' }), over, over]);
    await confirm(eventId, first);
    await expect(sale.sell(eventId, request(1, undefined, ofAnn))).resolves.toEqual(over);
    await expire((outcomes[0] as Outcome & { kind: 'granted' }).purchase.id);
    const third = await hold(eventId, request(2, undefined, ofAnn));
    await expect(sale.sell(eventId, request(1, undefined, ofAnn))).resolves.toEqual(over);
    await release(eventId, third);
    await cancel(eventId, first);
    await expect(sale.sell(eventId, request(4, undefined, ofAnn))).resolves.toMatchObject({ kind: 'granted' });
    await expectConserved(pool, eventId, 0, 4);
  });

  test('of a purchase that there is not, nothing is confirmed, released or cancelled', async () => {
    const [eventId, other] = [await newHolds(5), await newHolds(5)];
    const held = await hold(eventId, request(1));
    for (const act of [confirm, release, cancel]) {
      await expect(act(other, held)).resolves.toEqual({ kind: 'purchase-not-found' });
      await expect(act(eventId, { ...held, id: uuidv7() })).resolves.toEqual({ kind: 'purchase-not-found' });
    }
    await expect(release(uuidv7(), held)).resolves.toEqual({ kind: 'event-not-found' });
    await expectConserved(pool, eventId, 0, 1);
  });

  test('many confirmations at once, of several events, each have an answer of their own', async () => {
    const events = await Promise.all([newHolds(30), newHolds(30)]);
    const holds = await Promise.all(events.flatMap((eventId) => [1, 2, 3, 4, 5].map((quantity) => hold(eventId, request(quantity)))));
    await expire(holds[1]!.id, holds[7]!.id);
    const outcomes = await Promise.all([...holds, ...holds].map((held) => confirm(held.eventId, held)));
    outcomes.forEach((outcome, index) => {
      const held = holds[index % 10]!;
      if (index % 10 === 1 || index % 10 === 7) expect(outcome).toEqual({ kind: 'hold-expired' });
      else expect(outcome).toMatchObject(settled(held, 'confirmed', held.quantity));
    });
    for (const [index, eventId] of events.entries()) await expectConserved(pool, eventId, index === 0 ? 13 : 12);
  });

  test('a sale that is not open sells nothing, and still confirms and takes back', async () => {
    const eventId = await newHolds(9);
    const [one, two] = [await hold(eventId, request(2)), await hold(eventId, request(3))];
    await database.sql.query(`UPDATE events SET sale_ends_at = now() - interval '1 hour', revision = revision + 1 WHERE id = $1`, [
      eventId,
    ]);
    await expect(sale.sell(eventId, request(1))).resolves.toEqual({ kind: 'sale-ended' });
    await expect(confirm(eventId, one)).resolves.toMatchObject({ kind: 'settled' });
    await expect(release(eventId, two)).resolves.toMatchObject({ kind: 'settled' });
    await expectConserved(pool, eventId, 2);
  });
});

test('a sweep of expired holds changes nothing that anybody sees, and sales go on the fast path afterwards', async () => {
  const paths: string[] = [];
  const sale = batchedSale(pool, patient, { ended: (path) => paths.push(path) });
  const eventId = await newEvent(pool, 6, 5, { holdSeconds: 600, maxPerBuyer: 4 });
  const outcomes = await Promise.all([2, 2].map((quantity) => sale.sell(eventId, request(quantity, undefined, ofAnn))));
  const holds = outcomes.map((outcome) => (outcome as Outcome & { kind: 'granted' }).purchase.id);
  await expire(...holds);
  await expectConserved(pool, eventId, 0);
  const swept: number[] = [];
  while (swept.reduce((sum, each) => sum + each, 0) < 2) {
    await sweep(pool, ({ holds: count }) => {
      swept.push(count);
      return Promise.resolve(true);
    });
  }
  await expectConserved(pool, eventId, 0);
  paths.length = 0;
  await expect(sale.sell(eventId, request(4, undefined, ofAnn))).resolves.toMatchObject({ kind: 'granted' });
  expect(paths).toEqual(['fast']);
  await sale.close();
  await expectConserved(pool, eventId, 0, 4);
});
