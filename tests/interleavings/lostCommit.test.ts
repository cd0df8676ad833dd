/**
 * Goal: a transaction whose statement failed, and whose failure was swallowed, is never taken for committed.
 * Method: a basket of two events is bought in one transaction. Another session holds the second event's row; the wait for it is
 * cancelled, as by an operator, and the basket goes on without that event. The plain pool is the wrong variant.
 */
import { beforeAll, expect, test } from '@jest/globals';
import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import type { Pool } from '../../src/db/client.js';
import { classify } from '../../src/db/faults.js';
import { PrismaClient } from '../../src/generated/prisma/client.js';
import type { PurchaseRequest } from '../../src/sale/types.js';
import { toNewPurchases } from '../../src/sale/outcomes.js';
import { readPurchase } from '../../src/sql/readPurchase.js';
import { recordPurchases } from '../../src/sql/recordPurchases.js';
import { useDatabase } from '../support/database.js';
import { expectConserved, newEvent, noRules, request } from '../support/sales.js';
import { later, untilBlockedBy, withSessions } from './sessions.js';

const database = useDatabase();
let pool: Pool;
let plain: PrismaClient;
const rules = { ...noRules, revision: 1, maxPurchaseLimit: 10 };

beforeAll(() => {
  pool = database.openPool({ lockTimeoutMs: 15_000, statementTimeoutMs: 16_000, transactionTimeoutMs: 17_000 });
  const plainPool = new pg.Pool({ connectionString: database.url });
  plain = new PrismaClient({ adapter: new PrismaPg(plainPool) });
  database.closeLater({
    close: async () => {
      await plain.$disconnect();
      await plainPool.end();
    },
  });
});

type Basket = readonly (readonly [eventId: string, request: PurchaseRequest])[];

/** What fails is left out of the basket: the mistake that this file is about. @returns the ids of what was bought */
function buyBasket(prisma: PrismaClient, basket: Basket): Promise<string[]> {
  return prisma.$transaction(
    async (tx) => {
      const bought: string[] = [];
      for (const [eventId, wanted] of basket) {
        const recorded = await recordPurchases(tx, eventId, rules.revision, toNewPurchases([wanted], [{ kind: 'grant' }], rules)).catch(
          () => undefined,
        );
        if (recorded) bought.push(wanted.purchaseId);
      }
      return bought;
    },
    { timeout: 20_000 },
  );
}

/** Buys a basket while a session holds the row of its second event, until the wait for it is seen and cancelled. */
async function buyWithCancelledWait(prisma: PrismaClient, basket: Basket): Promise<string[]> {
  return withSessions(database.url, 1, async (holder) => {
    await holder.query('BEGIN');
    await holder.query('SELECT FROM events WHERE id = $1 FOR UPDATE', [basket[1]![0]]);
    const buying = later(buyBasket(prisma, basket));
    const buyer = await untilBlockedBy(database.sql, holder.pid);
    await holder.query('SELECT pg_cancel_backend($1)', [buyer]);
    const outcome = await buying;
    await holder.query('ROLLBACK');
    return outcome;
  });
}

const newBasket = async (): Promise<Basket> => [
  [await newEvent(pool, 5), request(2)],
  [await newEvent(pool, 5), request(1)],
];

test('the plain pool says that the first purchase was made, and nothing was', async () => {
  const basket = await newBasket();
  const [[eventId, first]] = basket as [Basket[0], Basket[1]];
  await expect(buyWithCancelledWait(plain, basket)).resolves.toEqual([first.purchaseId]);
  await expect(readPurchase(pool.prisma, eventId, first.purchaseId)).resolves.toBeUndefined();
  for (const [event] of basket) await expectConserved(pool, event, 0);
});

test('the pool of the sale says that nothing was committed, and the same basket can be bought again', async () => {
  const basket = await newBasket();
  const fault: unknown = await buyWithCancelledWait(pool.prisma, basket).catch((error: unknown) => error);
  expect(classify(fault)).toMatchObject({ name: 'CommitFault', transient: true, undone: false });
  for (const [event] of basket) await expectConserved(pool, event, 0);

  await expect(buyBasket(pool.prisma, basket)).resolves.toEqual(basket.map(([, { purchaseId }]) => purchaseId));
  for (const [event, { quantity }] of basket) await expectConserved(pool, event, quantity);
});

test('without Prisma too: COMMIT succeeds, and only its tag says that it was a ROLLBACK', async () => {
  const eventId = await newEvent(pool, 5);
  await withSessions(database.url, 2, async (holder, buyer) => {
    await holder.query('BEGIN');
    await holder.query('LOCK TABLE tickets IN ACCESS EXCLUSIVE MODE');
    await buyer.query('BEGIN');
    await buyer.query('UPDATE events SET available = available - 1 WHERE id = $1', [eventId]);
    const failing = later(buyer.query('SELECT FROM tickets'));
    await untilBlockedBy(database.sql, holder.pid);
    await holder.query('SELECT pg_cancel_backend($1)', [buyer.pid]);
    await expect(failing).rejects.toMatchObject({ code: '57014' });
    await expect(buyer.query('COMMIT')).resolves.toMatchObject({ command: 'ROLLBACK' });
    await holder.query('ROLLBACK');
  });
  await expectConserved(pool, eventId, 0);
});
