/**
 * Goal: a replica that has cached an event's rules lets through or refuses no request by rules that have changed meanwhile.
 * Method: a session changes the limit, as another replica would, while the statement of this one waits for the event's row.
 * The negative control names the revision of today with the rules of yesterday, as if the statement did not look at it.
 */
import { beforeAll, expect, test } from '@jest/globals';
import type { Pool } from '../../src/db/client.js';
import { sellFast } from '../../src/sale/fastPath.js';
import type { Outcome } from '../../src/sale/types.js';
import { updateEvent } from '../../src/sql/updateEvent.js';
import { useDatabase } from '../support/database.js';
import { patientLimits } from '../support/pool.js';
import { expectConserved, batchedSale, newEvent, noRules, request, type AnySale } from '../support/sales.js';
import { later, take, untilBlockedBy, withSessions } from './sessions.js';

const database = useDatabase();
let pool: Pool;
let sale: AnySale;

beforeAll(() => {
  pool = database.openPool(patientLimits);
  sale = database.closeLater(batchedSale(pool, { deadlineMs: 20_000 }));
});

const sellAll = (eventId: string, quantities: readonly number[]) =>
  Promise.all(quantities.map((quantity) => sale.sell(eventId, request(quantity))));

/** Changes the limit while what the sale sent waits for the row. */
async function changeLimitMeanwhile<T>(eventId: string, limit: number, work: () => Promise<T>): Promise<T> {
  return withSessions(database.url, 1, async (other) => {
    await other.query('BEGIN');
    await take(other, eventId, 0);
    const working = later(work());
    await untilBlockedBy(database.sql, other.pid);
    await other.query('UPDATE events SET max_purchase_limit = $2, revision = revision + 1 WHERE id = $1', [eventId, limit]);
    await other.query('COMMIT');
    return working;
  });
}

const limited = (maxPurchaseLimit: number): Outcome => ({ kind: 'purchase-limit-exceeded', maxPurchaseLimit });

test('a limit that is lowered while a batch waits for the row binds that batch', async () => {
  const eventId = await newEvent(pool, 100, 5);
  await sellAll(eventId, [1]);
  const outcomes = await changeLimitMeanwhile(eventId, 2, () => sellAll(eventId, [5, 2, 6]));
  expect(outcomes).toMatchObject([limited(2), { kind: 'granted' }, limited(2)]);
  await expectConserved(pool, eventId, 3);
});

test('a limit that is raised while a batch waits for the row refuses nobody in it', async () => {
  const eventId = await newEvent(pool, 100, 2);
  await sellAll(eventId, [1]);
  const outcomes = await changeLimitMeanwhile(eventId, 5, () => sellAll(eventId, [5, 2, 6]));
  expect(outcomes).toMatchObject([{ kind: 'granted' }, { kind: 'granted' }, limited(5)]);
  await expectConserved(pool, eventId, 8);
});

test('a batch that the cached rules refuse whole is refused by the rules of the moment', async () => {
  const eventId = await newEvent(pool, 100, 2);
  await sellAll(eventId, [1]);
  await updateEvent(pool.prisma, eventId, { maxPurchaseLimit: 5 });
  await expect(sellAll(eventId, [5, 6])).resolves.toMatchObject([{ kind: 'granted' }, limited(5)]);
  await updateEvent(pool.prisma, eventId, { maxPurchaseLimit: 1 });
  await expect(sellAll(eventId, [2, 1])).resolves.toMatchObject([limited(1), { kind: 'granted' }]);
  await expectConserved(pool, eventId, 7);
});

test('a change of the name alone leaves cached rules as they are', async () => {
  const eventId = await newEvent(pool, 100, 2);
  await expect(updateEvent(pool.prisma, eventId, { name: 'another' })).resolves.toMatchObject({ event: { revision: 1 } });
  await expect(updateEvent(pool.prisma, eventId, { maxPurchaseLimit: 3 })).resolves.toMatchObject({ event: { revision: 2 } });
});

test.each([
  ['one that looks at the revision sells nothing', 1, undefined],
  ['one that does not sells over the limit (negative control)', 2, [{ kind: 'granted' }]],
])('of statements that rest on changed rules, %s', async (_what, revision, answer) => {
  const eventId = await newEvent(pool, 100, 5);
  await updateEvent(pool.prisma, eventId, { maxPurchaseLimit: 2 });
  for (const expectsReplays of [false, true]) {
    const batch = { eventId, requests: [request(5)], rules: { ...noRules, revision, maxPurchaseLimit: 5 }, expectsReplays };
    const [outcomes] = await sellFast(pool, [batch]);
    if (answer) expect(outcomes).toMatchObject(answer);
    else expect(outcomes).toBeUndefined();
  }
  await expectConserved(pool, eventId, answer ? 10 : 0);
});

test('an event whose change waited for the row is shown with each expired hold available once', async () => {
  const eventId = await newEvent(pool, 2, 2, { holdSeconds: 60 });
  expect((await sellAll(eventId, [2])).map(({ kind }) => kind)).toEqual(['granted']);
  await database.sql.query('UPDATE purchases SET expires_at = created_at WHERE event_id = $1', [eventId]);
  const changed = await withSessions(database.url, 1, async (other) => {
    await other.query('BEGIN');
    await take(other, eventId, 0);
    const working = later(updateEvent(pool.prisma, eventId, { name: 'another' }));
    await untilBlockedBy(database.sql, other.pid);
    // As a batch does that needs what has expired.
    await other.query(`UPDATE purchases SET status = 'expired' WHERE event_id = $1`, [eventId]);
    await other.query('UPDATE events SET available = available + 2 WHERE id = $1', [eventId]);
    await other.query('COMMIT');
    return working;
  });
  expect(changed).toMatchObject({ kind: 'changed', event: { name: 'another', available: 2, totalQuota: 2 } });
  await expectConserved(pool, eventId, 0);
});
