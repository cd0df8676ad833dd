/**
 * Goal: group commit answers exactly as selling one request at a time would, only faster.
 * Method: one battery of behaviour for both; then random histories sold by both, outcome by outcome.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { v7 as uuidv7 } from 'uuid';
import type { Pool } from '../../src/db/client.js';
import type { Outcome } from '../../src/sale/types.js';
import { useDatabase } from '../support/database.js';
import { expectConserved, batchedSale, newEvent, request, type AnySale, ticketsOf } from '../support/sales.js';
import { plainSale } from './plainSale.js';
import { unlockedSale } from './unlockedSale.js';

const database = useDatabase();
let pool: Pool;

beforeAll(() => {
  pool = database.openPool();
});

const sales: [string, (pool: Pool) => AnySale][] = [
  ['the plain sale', plainSale],
  ['group commit', batchedSale],
  ['group commit in batches of two', (given) => batchedSale(given, { batchRequestsMax: 2 })],
];

describe.each(sales)('%s', (_name, open) => {
  let sale: AnySale;
  beforeAll(() => {
    sale = open(pool);
  });
  afterAll(async () => {
    await sale.close();
  });

  test('sells with as many tickets as asked for, in the order of their ids', async () => {
    const eventId = await newEvent(pool, 10);
    const bought = request(3);
    const outcome = await sale.sell(eventId, bought);
    expect(outcome).toMatchObject({ kind: 'granted', replayed: false, purchase: { id: bought.purchaseId, eventId, quantity: 3 } });
    const { ticketIds } = (outcome as Extract<Outcome, { kind: 'granted' }>).purchase;
    expect(ticketIds).toHaveLength(3);
    expect([...ticketIds].sort()).toEqual(ticketIds);
    await expectConserved(pool, eventId, 3);
  });

  test('sells exactly what remains: a smaller request after a larger one that did not fit', async () => {
    const eventId = await newEvent(pool, 5);
    const outcomes = await Promise.all([4, 2, 1, 1].map((quantity) => sale.sell(eventId, request(quantity))));
    expect(outcomes.map((outcome) => outcome.kind)).toEqual(['granted', 'insufficient-availability', 'granted', 'sold-out']);
    expect(outcomes[1]).toMatchObject({ available: 1 });
    await expectConserved(pool, eventId, 5);
  });

  test('knows no event that was never made', async () => {
    await expect(sale.sell(uuidv7(), request(1))).resolves.toEqual({ kind: 'event-not-found' });
  });

  test('refuses more than the limit, and quantities beyond any integer of the database', async () => {
    const eventId = await newEvent(pool, 10, 2);
    for (const quantity of [3, 2 ** 31, 1e18]) {
      await expect(sale.sell(eventId, request(quantity))).resolves.toEqual({ kind: 'purchase-limit-exceeded', maxPurchaseLimit: 2 });
    }
    await expectConserved(pool, eventId, 0);
  });

  test('gives the first purchase again for its key, tickets and time included, also when sold out', async () => {
    const eventId = await newEvent(pool, 2);
    const first = await sale.sell(eventId, request(2, 'key'));
    const second = await sale.sell(eventId, request(2, 'key'));
    expect(first).toMatchObject({ kind: 'granted', replayed: false });
    const { id, ticketIds } = (first as Extract<Outcome, { kind: 'granted' }>).purchase;
    expect(second).toMatchObject({ kind: 'granted', replayed: true, purchase: { id, ticketIds } });
    await expectConserved(pool, eventId, 2);
  });

  test('refuses a key that stands for another request', async () => {
    const eventId = await newEvent(pool, 9);
    await sale.sell(eventId, request(2, 'key'));
    await expect(sale.sell(eventId, request(1, 'key'))).resolves.toEqual({ kind: 'idempotency-key-reused' });
    await expectConserved(pool, eventId, 2);
  });

  test('keeps the keys of two events apart', async () => {
    const [one, other] = [await newEvent(pool, 5), await newEvent(pool, 5)];
    const outcomes = await Promise.all([one, other].map((eventId) => sale.sell(eventId, request(1, 'key'))));
    expect(outcomes).toMatchObject([{ replayed: false }, { replayed: false }]);
    await expectConserved(pool, one, 1);
    await expectConserved(pool, other, 1);
  });

  test('remembers no refusal', async () => {
    const eventId = await newEvent(pool, 1);
    await expect(sale.sell(eventId, request(2, 'key'))).resolves.toMatchObject({ kind: 'insufficient-availability' });
    await expect(sale.sell(eventId, request(1, 'key'))).resolves.toMatchObject({ kind: 'granted', replayed: false });
    await expectConserved(pool, eventId, 1);
  });

  test('sells to a crowd that comes at once no more and no less than there is', async () => {
    const eventId = await newEvent(pool, 50);
    const outcomes = await Promise.all(Array.from({ length: 120 }, (_, index) => sale.sell(eventId, request(1 + (index % 3)))));
    expect(ticketsOf(outcomes)).toBe(50);
    await expectConserved(pool, eventId, 50);
  });
});

/** An outcome without what differs between two sales of the same history: ids and times. */
function shape(outcome: Outcome): unknown {
  if (outcome.kind !== 'granted') return outcome;
  const { quantity, ticketIds } = outcome.purchase;
  return { kind: 'granted', replayed: outcome.replayed, quantity, tickets: ticketIds.length };
}

test('for any history, group commit gives each request the outcome that the plain sale gives it', async () => {
  const history = fc.array(fc.tuple(fc.integer({ min: 1, max: 5 }), fc.option(fc.constantFrom('a', 'b', 'c', 'd'), { nil: undefined })), {
    minLength: 1,
    maxLength: 25,
  });
  const [plain, grouped] = [plainSale(pool), batchedSale(pool, { batchRequestsMax: 7 })];
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 30 }), history, async (quota, asked) => {
      const [reference, subject] = [await newEvent(pool, quota, 4), await newEvent(pool, quota, 4)];
      const sellAll = (sale: AnySale, eventId: string) =>
        Promise.all(asked.map(([quantity, key]) => sale.sell(eventId, request(quantity, key))));
      const [expected, actual] = [await sellAll(plain, reference), await sellAll(grouped, subject)];
      expect(actual.map(shape)).toEqual(expected.map(shape));
      await expectConserved(pool, subject, ticketsOf(expected));
    }),
    { numRuns: 40 },
  );
});

test('the negative control: the same crowd oversells a sale without lock and condition', async () => {
  const sale = unlockedSale(pool);
  const eventId = await newEvent(pool, 50);
  const outcomes = await Promise.allSettled(Array.from({ length: 120 }, () => sale.sell(eventId, request(1))));
  const sold = ticketsOf(outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : [])));
  await expect(expectConserved(pool, eventId, sold)).rejects.toThrow();
  const [{ tickets } = { tickets: 0 }] = (
    await database.sql.query<{ tickets: number }>(
      'SELECT e.available + count(t.id)::int AS tickets FROM events e JOIN tickets t ON t.event_id = e.id WHERE e.id = $1 GROUP BY e.id',
      [eventId],
    )
  ).rows;
  expect(tickets).toBeGreaterThan(50);
});
