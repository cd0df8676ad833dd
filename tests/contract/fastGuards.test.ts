/**
 * Goal: each of the three statements of the fast path writes nothing for an event whose guard does not hold, raises no error, and
 * sells for the events that share it.
 * Method: one guard is made false by SQL, past the revision and the cached rules, so that nothing but this guard can refuse. Each of
 * these tests fails if its guard is taken out of the statement.
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import type { Pool } from '../../src/db/client.js';
import { sellFast } from '../../src/sale/fastPath.js';
import type { Outcome, PurchaseRequest, RuleValues } from '../../src/sale/types.js';
import { useDatabase } from '../support/database.js';
import { attemptFast, batchedSale, expectConserved, newEvent, request, rulesWhenMade } from '../support/sales.js';

const database = useDatabase();
let pool: Pool;

beforeAll(() => {
  pool = database.openPool();
});

const ann = { buyerId: 'ann' };
const granted = expect.objectContaining({ kind: 'granted', replayed: false }) as unknown as Outcome;

/** One statement with the batch of each event, by the rules that the events had when they were made. */
function sellTogether(batches: readonly (readonly [eventId: string, ...requests: PurchaseRequest[]])[], expectsReplays: boolean) {
  return sellFast(
    pool,
    batches.map(([eventId, ...requests]) => ({ eventId, requests, rules: rulesWhenMade(eventId)!, expectsReplays })),
  );
}

const set = (assignment: string) => (eventId: string) => database.sql.query(`UPDATE events SET ${assignment} WHERE id = $1`, [eventId]);

/** Each guard, how it is made false, and the rules of its event. */
const guards: readonly (readonly [name: string, harm: (eventId: string) => Promise<unknown>, rules?: Partial<RuleValues>])[] = [
  ['the start of the sale', set(`sale_starts_at = now() + interval '1 hour'`)],
  ['the end of the sale', set(`sale_ends_at = now() - interval '1 hour'`)],
  ['the revision', set('revision = revision + 1')],
  ['what is available', set('available = 1, total_quota = 1')],
  ["the buyer's total", (eventId) => attemptFast(pool, eventId, [request(3, undefined, ann)]), { maxPerBuyer: 4 }],
];
const statements = [
  ['for one event', 1, false],
  ['for several events', 3, false],
  ['that looks keys up', 1, true],
  ['that looks the keys of several events up', 3, true],
] as const;

describe.each(guards)('%s', (_name, harm, rules = {}) => {
  test.each(statements)('is guarded in the statement %s', async (_statement, count, expectsReplays) => {
    // The rules with limits for buyers are only of the event that is harmed.
    const events = await Promise.all(Array.from({ length: count }, (_, index) => newEvent(pool, 10, 10, index === 0 ? rules : {})));
    const [harmed = '', ...others] = events;
    await harm(harmed);
    const [answer, ...answers] = await sellTogether(
      events.map((eventId) => [eventId, request(1, 'key', ann), request(1, undefined, ann)]),
      expectsReplays,
    );
    expect(answer).toBeUndefined();
    expect(answers).toEqual(others.map(() => [granted, granted]));
    await expectConserved(pool, harmed, rules.maxPerBuyer === undefined ? 0 : 3);
    for (const eventId of others) await expectConserved(pool, eventId, 2);
  });

  test('holds where nothing is harmed', async () => {
    const eventId = await newEvent(pool, 10, 10, { ...rules, saleStartsAt: new Date(0), saleEndsAt: new Date(Date.now() + 3_600_000) });
    for (const expectsReplays of [false, true]) {
      await expect(sellTogether([[eventId, request(1, undefined, ann), request(1, undefined, ann)]], expectsReplays)).resolves.toEqual([
        [granted, granted],
      ]);
    }
    await expectConserved(pool, eventId, 4);
  });
});

test('of a statement for several events, those with a limit for buyers go another way if one buyer is at the limit; all are served', async () => {
  const limited = { maxPerBuyer: 4 };
  const [atLimit, below, unlimited] = await Promise.all([
    newEvent(pool, 10, 10, limited),
    newEvent(pool, 10, 10, limited),
    newEvent(pool, 10),
  ]);
  await attemptFast(pool, atLimit, [request(4, undefined, ann)]);
  const one = () => request(1, undefined, ann);
  await expect(
    sellTogether(
      [
        [atLimit, one()],
        [below, one()],
        [unlimited, one()],
      ],
      false,
    ),
  ).resolves.toEqual([undefined, undefined, [granted]]);

  const sale = batchedSale(pool, { queueWaitMs: 20_000, deadlineMs: 20_000 });
  const outcomes = await Promise.all(
    [atLimit, below, unlimited].map((eventId) =>
      Promise.all([sale.sell(eventId, one()), sale.sell(eventId, request(1, undefined, { buyerId: 'bob' }))]),
    ),
  );
  expect(outcomes).toEqual([
    [{ kind: 'buyer-limit-exceeded', remaining: 0 }, granted],
    [granted, granted],
    [granted, granted],
  ]);
  await sale.close();
  await expectConserved(pool, atLimit, 5);
  await expectConserved(pool, below, 2);
  await expectConserved(pool, unlimited, 3);
});
