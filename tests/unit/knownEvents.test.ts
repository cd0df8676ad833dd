import { expect, jest, test } from '@jest/globals';
import type { Availability, ReadOutcome } from '../../src/sale/availability.js';
import { EventRegistry } from '../../src/sale/eventRegistry.js';
import { ofKnownEvents } from '../../src/sale/knownEvents.js';
import type { Outcome } from '../../src/sale/types.js';
import type { Sale, SaleObserver } from '../../src/sale/sale.js';
import { request } from '../support/sales.js';

const soldOut: Outcome = { kind: 'sold-out', held: 0 };

function stage(looked: () => Promise<ReadOutcome>) {
  const read = jest.fn<Availability['read']>(looked);
  const sell = jest.fn<Sale['sell']>(() => Promise.resolve(soldOut));
  const observer = { outcome: jest.fn<SaleObserver['outcome']>(), refused: jest.fn<SaleObserver['refused']>() };
  const buy = ofKnownEvents({ sell } as unknown as Sale, new EventRegistry(), { read }, observer);
  return { read, sell, observer, buy: () => buy('an event', request(1)) };
}

test('a look-up that fails is a refusal, counted, and no sale with a deadline of its own comes after it', async () => {
  const { sell, observer, buy } = stage(() => Promise.reject(new Error('no answer')));
  await expect(buy()).resolves.toMatchObject({ kind: 'overloaded', reason: 'too late' });
  expect(sell).not.toHaveBeenCalled();
  expect(observer.refused.mock.calls).toEqual([['too late']]);
  expect(observer.outcome.mock.calls).toEqual([['buy', { kind: 'overloaded', reason: 'too late', retryAfterSeconds: 1 }]]);
});

test('an event that was found is not looked up again', async () => {
  const { read, sell, buy } = stage(() => Promise.resolve({ kind: 'found', event: { revision: 1, maxPurchaseLimit: 4 } } as ReadOutcome));
  await expect(buy()).resolves.toBe(soldOut);
  await expect(buy()).resolves.toBe(soldOut);
  expect([read.mock.calls.length, sell.mock.calls.length]).toEqual([1, 2]);
});
