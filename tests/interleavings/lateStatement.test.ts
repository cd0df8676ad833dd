/**
 * Goal: a refusal stays true when a fast statement arrives after it that was given up before it; and nobody is sold to by an
 * attempt that the answers of another rest on.
 * Method: the backend is stopped (SIGSTOP) before it reads the statement, the client's deadline ends the attempt, and the next
 * attempt answers. Then the backend runs on, and executes what it was sent. Without the fence it sells to a refused buyer.
 */
import { beforeAll, expect, test } from '@jest/globals';
import type { Pool } from '../../src/db/client.js';
import { sellLocked } from '../../src/sale/lockedPath.js';
import type { Outcome, PurchaseRequest } from '../../src/sale/types.js';
import { updateEvent } from '../../src/sql/updateEvent.js';
import { useDatabase } from '../support/database.js';
import { openTestPool } from '../support/pool.js';
import { attemptFast, expectConserved, batchedSale, newEvent, request, type AnySale } from '../support/sales.js';
import { later, untilGone } from './sessions.js';

const database = useDatabase();
/** Another replica: its connections are not stopped. */
let elsewhere: Pool;

beforeAll(() => {
  elsewhere = database.openPool();
});

/** Stops the backend of a pool's idle connection. @returns what lets it run on, until it has noticed that its client is gone */
async function stopIdleBackend(applicationName: string): Promise<() => Promise<void>> {
  const { rows } = await database.sql.query<{ pid: number }>(
    `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1 AND state = 'idle'`,
    [applicationName],
  );
  expect(rows).toHaveLength(1);
  const { pid } = rows[0]!;
  process.kill(pid, 'SIGSTOP');
  return async () => {
    process.kill(pid, 'SIGCONT');
    await untilGone(database.sql, pid);
  };
}

/** A pool that gives up soon, named so that its backend is found. */
function openHasty(name: string): Pool {
  return openTestPool(`${database.url}?application_name=${name}`, { clientDeadlineMs: 400 });
}

const limitTo = (eventId: string, maxPurchaseLimit: number) => updateEvent(elsewhere.prisma, eventId, { maxPurchaseLimit });

test.each([
  ['sells nothing', true, 0],
  ['sells to the buyer who was refused, where the refusal did not fence it (negative control)', false, 3],
])('a fast statement that arrives after a refusal %s', async (_what, fence, sold) => {
  const pool = openHasty('late-step');
  const eventId = await newEvent(elsewhere, 10, 5);
  await pool.prisma.$queryRaw`SELECT 1`;
  const goOn = await stopIdleBackend('late-step');
  const wanted = request(3);
  const attempt = attemptFast(pool, eventId, [wanted]);
  await expect(attempt).rejects.toMatchObject({ name: 'AttemptFault', doubt: 'in doubt and unfenced' });

  // Something is in the way at this moment, and it is not a rule: a hold, say, that will come back.
  await database.sql.query('UPDATE events SET available = 0 WHERE id = $1', [eventId]);
  const { outcomes } = await sellLocked(elsewhere, eventId, [wanted], fence);
  expect(outcomes).toEqual([{ kind: 'sold-out', held: 0 }]);
  await database.sql.query('UPDATE events SET available = total_quota WHERE id = $1', [eventId]);
  await goOn();
  await expectConserved(elsewhere, eventId, sold);
  await pool.close();
});

/** Sells while the backend is stopped; the limit is lowered meanwhile, and raised again before the backend runs on. */
async function sellWhileStopped(name: string, eventId: string, sell: (sale: AnySale) => readonly Promise<Outcome>[]): Promise<Outcome[]> {
  const pool = openHasty(name);
  const sale = batchedSale(pool, { deadlineMs: 8_000 });
  await expect(sale.sell(eventId, request(1))).resolves.toMatchObject({ kind: 'granted' });
  const goOn = await stopIdleBackend(name);
  const selling = later(Promise.all(sell(sale)));
  await limitTo(eventId, 2);
  const outcomes = await selling;
  await limitTo(eventId, 5);
  await goOn();
  await sale.close();
  await pool.close();
  return outcomes;
}

const soldIn = (outcomes: readonly Outcome[]) =>
  outcomes.reduce((sum, outcome) => sum + (outcome.kind === 'granted' ? outcome.purchase.quantity : 0), 0);

test('a buyer who was refused for the limit is not sold to after it was raised', async () => {
  const eventId = await newEvent(elsewhere, 100, 5);
  const outcomes = await sellWhileStopped('late-refusal', eventId, (sale) => [sale.sell(eventId, request(5, 'patient'))]);
  // Unknown would be true as well; a refusal must stay one.
  expect(['purchase-limit-exceeded', 'outcome-unknown']).toContain(outcomes[0]!.kind);
  await expectConserved(elsewhere, eventId, 1 + (outcomes[0]!.kind === 'outcome-unknown' ? 5 : 0));
});

test('a request that the attempt in doubt did not carry joins no later one, so that no refusal rests on its sale', async () => {
  const eventId = await newEvent(elsewhere, 100, 5);
  // Asked as it leaves the queue, and again as an attempt begins: this one hangs up between the two.
  let asked = 0;
  const hungUp: PurchaseRequest = request(1);
  const outcomes = await sellWhileStopped('late-joining', eventId, (sale) => [
    sale.sell(eventId, request(5)),
    sale.sell(eventId, hungUp, () => (asked += 1) > 1),
  ]);
  expect(outcomes[1]).toMatchObject({ kind: 'overloaded', reason: 'client gone' });
  await expectConserved(elsewhere, eventId, 1 + soldIn(outcomes) + (outcomes[0]!.kind === 'outcome-unknown' ? 5 : 0));
});
