/**
 * Goal: each path hands a batch on when what it supposed does not hold, and has done nothing to it then.
 * Method: one attempt on the path, by itself, against each supposition. (Rules that have changed: interleavings/changedRules.)
 */
import { beforeAll, expect, test } from '@jest/globals';
import type { Pool } from '../../src/db/client.js';
import { sellFast } from '../../src/sale/fastPath.js';
import { refuseBySnapshot } from '../../src/sale/snapshotPath.js';
import { useDatabase } from '../support/database.js';
import { attemptFast, expectConserved, newEvent, noRules, request } from '../support/sales.js';

const database = useDatabase();
let pool: Pool;

beforeAll(() => {
  pool = database.openPool();
});

const rules = { ...noRules, revision: 1, maxPurchaseLimit: 10 };

test.each([
  ['the statement for one event', false],
  ['the statement that leaves known keys out', true],
])('%s does nothing if less is available than the batch takes, and raises no error', async (_name, expectsReplays) => {
  const eventId = await newEvent(pool, 5);
  const batch = { eventId, requests: [request(3), request(3)], rules, expectsReplays };
  await expect(sellFast(pool, [batch])).resolves.toEqual([undefined]);
  await expectConserved(pool, eventId, 0);
});

test('the statement for several events sells for those that have enough, and does nothing to the others', async () => {
  const [enough, short] = [await newEvent(pool, 5), await newEvent(pool, 5)];
  const batch = (eventId: string, ...quantities: number[]) => ({
    eventId,
    requests: quantities.map((quantity) => request(quantity)),
    rules,
    expectsReplays: false,
  });
  await expect(sellFast(pool, [batch(short, 3, 3), batch(enough, 3, 2)])).resolves.toMatchObject([
    undefined,
    [{ kind: 'granted' }, { kind: 'granted' }],
  ]);
  await expectConserved(pool, enough, 5);
  await expectConserved(pool, short, 0);
});

test('the fast path sells to no request whose key is known, and to all others', async () => {
  const eventId = await newEvent(pool, 10);
  const bought = request(2, 'known');
  await attemptFast(pool, eventId, [bought]);
  const outcomes = await attemptFast(pool, eventId, [request(2, 'known'), request(1), request(3, 'known')]);
  expect(outcomes).toMatchObject([
    { kind: 'granted', replayed: true, purchase: { id: bought.purchaseId } },
    { kind: 'granted', replayed: false },
    { kind: 'idempotency-key-reused' },
  ]);
  await expectConserved(pool, eventId, 3);
});

test('a snapshot answers a batch if nobody in it can be granted, replays too, and none if anybody can', async () => {
  const eventId = await newEvent(pool, 2, 2);
  const refusals = (...requests: ReturnType<typeof request>[]) =>
    refuseBySnapshot(pool, eventId, requests, { ...rules, maxPurchaseLimit: 2 });
  await expect(refusals(request(3), request(4))).resolves.toMatchObject([{ kind: 'purchase-limit-exceeded' }, {}]);
  await expect(refusals(request(3), request(1))).resolves.toBeUndefined();
  const bought = request(2, 'known');
  await attemptFast(pool, eventId, [bought]);
  await expect(refusals(request(1), request(3, 'unknown'))).resolves.toMatchObject([
    { kind: 'sold-out' },
    { kind: 'purchase-limit-exceeded' },
  ]);
  await expect(refusals(request(1), request(2, 'known'), request(1, 'known'))).resolves.toMatchObject([
    { kind: 'sold-out' },
    { kind: 'granted', replayed: true, purchase: { id: bought.purchaseId, ticketIds: { length: 2 } } },
    { kind: 'idempotency-key-reused' },
  ]);
  await expectConserved(pool, eventId, 2);
});
