/**
 * Goal: the requests of buyers who were refused for their total have a queue of their own, and nobody else's have.
 * Method: the queue of a request after the outcomes that a sale would report.
 */
import { expect, test } from '@jest/globals';
import { v7 as uuidv7 } from 'uuid';
import { BuyersAtLimit, eventOf, expectsRefusals } from '../../src/sale/buyersAtLimit.js';
import type { GiveBackRequest } from '../../src/sale/types.js';
import { request } from '../support/sales.js';

const [eventId, other] = [uuidv7(), uuidv7()];
const buy = (buyerId: string | null) => request(1, undefined, { buyerId });
const refused = { kind: 'buyer-limit-exceeded' } as const;
const release: GiveBackRequest = { kind: 'release', purchaseId: 'purchase', asBuyer: 'ann' };

test("a buyer at the limit waits in a queue of its own, of that event and of nobody else's requests", () => {
  const atLimit = new BuyersAtLimit();
  expect(atLimit.queueOf(eventId, buy('ann'))).toBe(eventId);
  atLimit.learn(eventId, buy('ann'), refused);
  const queue = atLimit.queueOf(eventId, buy('ann'));
  expect(queue).not.toBe(eventId);
  expect([eventOf(queue), expectsRefusals(queue)]).toEqual([eventId, true]);
  for (const theirs of [buy('bob'), buy('an'), buy('annn'), buy(null), release]) expect(atLimit.queueOf(eventId, theirs)).toBe(eventId);
  expect(atLimit.queueOf(other, buy('ann'))).toBe(other);
  expect([eventOf(eventId), expectsRefusals(eventId)]).toEqual([eventId, false]);
});

test('two buyers at the limit of one event share a queue, so that there are at most two of an event', () => {
  const atLimit = new BuyersAtLimit();
  for (const buyer of ['ann', 'bob']) atLimit.learn(eventId, buy(buyer), refused);
  expect(atLimit.queueOf(eventId, buy('ann'))).toBe(atLimit.queueOf(eventId, buy('bob')));
});

test('a buyer who is granted something is forgotten; any other outcome changes nothing', () => {
  const atLimit = new BuyersAtLimit();
  atLimit.learn(eventId, buy('ann'), refused);
  for (const kind of ['sold-out', 'overloaded', 'outcome-unknown'] as const) atLimit.learn(eventId, buy('ann'), { kind });
  atLimit.learn(eventId, buy('bob'), { kind: 'granted' });
  atLimit.learn(other, buy('ann'), { kind: 'granted' });
  atLimit.learn(eventId, release, { kind: 'settled' });
  atLimit.learn(eventId, buy('ann'), { kind: 'granted', replayed: true });
  expect(expectsRefusals(atLimit.queueOf(eventId, buy('ann')))).toBe(true);
  atLimit.learn(eventId, buy('ann'), { kind: 'granted' });
  expect(atLimit.queueOf(eventId, buy('ann'))).toBe(eventId);
});

test('beyond the bound the buyer who was refused first is forgotten', () => {
  const atLimit = new BuyersAtLimit(2);
  for (const buyer of ['ann', 'bob', 'eve']) atLimit.learn(eventId, buy(buyer), refused);
  expect(['ann', 'bob', 'eve'].map((buyer) => expectsRefusals(atLimit.queueOf(eventId, buy(buyer))))).toEqual([false, true, true]);
});
