/**
 * Goal: a buyer at the limit who keeps asking costs the others nothing: their batches go on as if he were not there.
 * Method: the paths that the sale takes, while others buy and he asks with each of their batches.
 */
import { beforeAll, expect, test } from '@jest/globals';
import type { Pool } from '../../src/db/client.js';
import type { Path } from '../../src/sale/attempt.js';
import type { Purchase } from '../../src/sale/types.js';
import { useDatabase } from '../support/database.js';
import { type AnySale, batchedSale, expectConserved, newEvent, request } from '../support/sales.js';

const database = useDatabase();
const rounds = 10;
let pool: Pool;
let sale: AnySale;
const paths: Path[] = [];

beforeAll(() => {
  pool = database.openPool();
  sale = database.closeLater(batchedSale(pool, { queueWaitMs: 20_000, deadlineMs: 20_000 }, { ended: (path) => paths.push(path) }));
});

const buy = (eventId: string, buyerId: string, quantity = 1) => sale.sell(eventId, request(quantity, undefined, { buyerId }));
const over = { kind: 'buyer-limit-exceeded', remaining: 0 };

test('his first refusal costs one attempt; from then on others are served on the fast path, and he by a snapshot', async () => {
  const eventId = await newEvent(pool, 1_000, 10, { maxPerBuyer: 4 });
  await buy(eventId, 'scalper', 4);
  const [refused, theirs] = await Promise.all([buy(eventId, 'scalper'), buy(eventId, 'first')]);
  expect([refused, theirs.kind]).toEqual([over, 'granted']);
  await buy(eventId, 'second'); // the batch after one that was refused anything is on the locked path
  paths.length = 0;
  for (let round = 0; round < rounds; round += 1) {
    const others = Promise.all(Array.from({ length: 5 }, (_, index) => buy(eventId, `other ${String(round)} ${String(index)}`)));
    const his = Promise.all(Array.from({ length: 5 }, () => buy(eventId, 'scalper')));
    for (const outcome of await others) expect(outcome.kind).toBe('granted');
    expect(await his).toEqual(Array.from({ length: 5 }, () => over));
  }
  const count = (path: Path) => paths.filter((each) => each === path).length;
  expect([count('fast'), count('snapshot'), count('locked')]).toEqual([rounds, rounds, 0]);
  await expectConserved(pool, eventId, 4 + 2 + rounds * 5);
});

test('as soon as one of his purchases has come back, he is served again', async () => {
  const eventId = await newEvent(pool, 100, 10, { maxPerBuyer: 4 });
  const { purchase } = (await buy(eventId, 'scalper', 3)) as { purchase: Purchase };
  await buy(eventId, 'scalper', 1);
  for (let again = 0; again < 3; again += 1) await expect(buy(eventId, 'scalper')).resolves.toEqual(over);
  await sale.sell(eventId, { kind: 'cancel', purchaseId: purchase.id, asBuyer: undefined });
  await expect(buy(eventId, 'scalper', 3)).resolves.toMatchObject({ kind: 'granted' });
  await expect(buy(eventId, 'scalper')).resolves.toEqual(over);
  await expectConserved(pool, eventId, 4);
});

test('many buyers at their limits share one batch, and do not slow each other', async () => {
  const eventId = await newEvent(pool, 1_000, 10, { maxPerBuyer: 1 });
  const buyers = Array.from({ length: 50 }, (_, index) => `buyer ${String(index)}`);
  for (const kind of ['granted', 'buyer-limit-exceeded']) {
    for (const outcome of await Promise.all(buyers.map((buyer) => buy(eventId, buyer)))) expect(outcome.kind).toBe(kind);
  }
  await buy(eventId, 'another'); // after a batch of refusals only, the next one begins on the snapshot path
  paths.length = 0;
  const outcomes = await Promise.all([...buyers, 'new'].map((buyer) => buy(eventId, buyer)));
  expect(outcomes.map(({ kind }) => kind)).toEqual([...buyers.map(() => 'buyer-limit-exceeded'), 'granted']);
  expect(paths.toSorted()).toEqual(['fast', 'snapshot']);
  await expectConserved(pool, eventId, 52);
});
