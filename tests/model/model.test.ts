/**
 * Goal: the model allows what some order of operations allows, and nothing else.
 * Method: answers to operations that ran at once, true and false ones, without a database.
 */
import { expect, test } from '@jest/globals';
import { firstComeFirstServed } from './clients.js';
import type { Purchase } from '../../src/sale/types.js';
import { type Answer, explain, type Model, type ModelRules, type Operation, type Played } from './model.js';

const rules = { limit: 4, window: 'none', perBuyer: null, holdSeconds: null } as const;
const modelOf = (quota: number, changed: Partial<ModelRules> = {}): Model => ({
  events: [{ id: 'event', quota, ...rules, ...changed, exists: true }],
  purchases: [],
});
const played = (operation: object, answer: Answer): Played => ({ operation: { client: 0, event: 0, ...operation } as Operation, answer });
const shown = (available: number, limit = 4): Answer => ({ kind: 'event', status: 'on_sale', available, ...rules, limit });
const soldOut = (held: number): Answer => ({ kind: 'sold-out', held });

const unnamed = { eventId: 'event', buyerId: null, reference: null, createdAt: new Date(1), expiresAt: null } as const;

let ids = 0;
function sold(quantity: number): Answer & { kind: 'granted' } {
  const ticketIds = Array.from({ length: quantity }, () => `ticket ${String((ids += 1)).padStart(4, '0')}`);
  return {
    kind: 'granted',
    purchase: { ...unnamed, id: `purchase of ${ticketIds[0]!}`, quantity, status: 'confirmed', ticketIds },
    replayed: false,
  };
}
const buy = (quantity: number, answer: Answer, key?: string) => played({ do: 'buy', quantity, key }, answer);

test('of two who want the last ticket either may get it, but not both, and not nobody', () => {
  expect(explain([modelOf(1)], [buy(1, sold(1)), buy(1, soldOut(0))])).toHaveLength(1);
  expect(explain([modelOf(1)], [buy(1, soldOut(0)), buy(1, sold(1))])).toHaveLength(1);
  expect(explain([modelOf(1)], [buy(1, sold(1)), buy(1, sold(1))])).toEqual([]);
  expect(explain([modelOf(1)], [buy(1, soldOut(0)), buy(1, soldOut(0))])).toEqual([]);
});

test('first come, first served forbids that the second buyer at a replica gets the last ticket', () => {
  const unfair = [buy(1, soldOut(0)), buy(1, sold(1))];
  expect(explain([modelOf(1)], unfair, firstComeFirstServed)).toEqual([]);
  expect(explain([modelOf(1)], unfair.toReversed(), firstComeFirstServed)).toHaveLength(1);
});

test('a read at the same time sees what is left before or after a purchase, never half of it', () => {
  const reads = [5, 4, 3, 2].map((available) => explain([modelOf(5)], [buy(3, sold(3)), played({ do: 'read' }, shown(available))]).length);
  expect(reads).toEqual([1, 0, 0, 1]);
});

test('of two limits set at once either may stay, until a read tells which', () => {
  const limits = [2, 3].map((limit) => played({ do: 'change', change: { limit } }, shown(5, limit)));
  const both = explain([modelOf(5)], limits);
  expect(both.map((model) => model.events[0]!.limit).sort()).toEqual([2, 3]);
  expect(explain(both, [played({ do: 'read' }, shown(5, 3))])).toHaveLength(1);
  expect(explain(both, [played({ do: 'read' }, shown(5, 4))])).toEqual([]);
});

test('a key sent twice at once buys once: the same purchase, and one of the answers says that it is repeated', () => {
  const first = sold(2);
  const again = { ...first, replayed: true };
  expect(explain([modelOf(5)], [buy(2, again, 'key'), buy(2, first, 'key')])).toHaveLength(1);
  expect(explain([modelOf(5)], [buy(2, first, 'key'), buy(2, first, 'key')])).toEqual([]);
  expect(explain([modelOf(5)], [buy(2, again, 'key'), buy(2, again, 'key')])).toEqual([]);
  expect(explain([modelOf(5)], [buy(2, first, 'key'), buy(2, sold(2), 'key')])).toEqual([]);
});

test('a new purchase has new ids, as many tickets as were asked for, and sorted', () => {
  const { purchase } = sold(2);
  const named = (ticketIds: string[]) =>
    explain([modelOf(5)], [buy(2, { kind: 'granted', replayed: false, purchase: { ...purchase, ticketIds } })]);
  expect(named(['a', 'b'])).toHaveLength(1);
  for (const wrong of [['a'], ['a', 'a'], ['b', 'a'], ['a', 'b', 'c']]) expect(named(wrong)).toEqual([]);
  const [after] = named(['a', 'b']);
  expect(explain([after!], [buy(2, { kind: 'granted', replayed: false, purchase: { ...purchase, id: 'another' } })])).toHaveLength(1);
  expect(
    explain([after!], [buy(2, { kind: 'granted', replayed: false, purchase: { ...purchase, id: 'another', ticketIds: ['b', 'c'] } })]),
  ).toEqual([]);
});

/** An event of two tickets, both held by one purchase. */
const held: Purchase = {
  ...unnamed,
  id: 'hold',
  quantity: 2,
  status: 'held',
  createdAt: new Date(5_000),
  expiresAt: new Date(3_605_000),
  ticketIds: [],
};
const holding: Model = { ...modelOf(2, { holdSeconds: 3_600 }), purchases: [{ event: 0, purchase: held, key: undefined }] };
const act = (what: 'confirm' | 'release' | 'cancel', answer: Answer) => played({ do: what, purchaseId: held.id }, answer);
const settled = (status: Purchase['status'], ticketIds: readonly string[] = []): Answer => ({
  kind: 'settled',
  purchase: { ...held, status, ticketIds, expiresAt: status === 'expired' ? new Date(4_000) : null },
});
const passes = played({ do: 'pass', purchaseIds: [held.id] }, { kind: 'passed' });
const confirmed = act('confirm', settled('confirmed', ['a', 'b']));
const expired = act('confirm', { kind: 'hold-expired' });

test('a hold that expires while it is confirmed is either confirmed for good or never', () => {
  expect(explain([holding], [passes, confirmed])).toHaveLength(1);
  expect(explain([holding], [passes, expired])).toHaveLength(1);
  expect(explain([holding], [expired])).toEqual([]);
  expect(explain([holding], [passes, confirmed, expired])).toEqual([]);
  expect(explain(explain([holding], [passes]), [confirmed])).toEqual([]);
  expect(explain(explain([holding], [confirmed]), [passes, confirmed])).toHaveLength(1);
});

test('a hold is given back once, and later requests are answered with how it ended', () => {
  const released = act('release', settled('released'));
  const cancelled = act('cancel', settled('cancelled'));
  expect(explain([holding], [released, released])).toHaveLength(1);
  expect(explain([holding], [released, cancelled])).toEqual([]);
  expect(explain([holding], [released, act('cancel', { kind: 'hold-released' })])).toHaveLength(1);
  expect(explain([holding], [cancelled, act('release', { kind: 'purchase-cancelled' })])).toHaveLength(1);
  expect(explain([holding], [released, passes, act('release', settled('expired'))])).toEqual([]);
});

test('what is held is not available, and may be left out of what is held only if it expires at that moment', () => {
  const [none, two] = [buy(1, soldOut(0)), buy(1, soldOut(2))];
  expect(explain([holding], [two])).toHaveLength(1);
  expect(explain([holding], [none])).toEqual([]);
  expect(explain([holding], [none, passes])).toHaveLength(1);
  expect(explain(explain([holding], [passes]), [two])).toEqual([]);
  expect(explain(explain([holding], [passes]), [none])).toEqual([]);
});

test('a buyer has no more than the event allows, not counting what has expired or was given back', () => {
  const limited: Model = {
    ...modelOf(10, { holdSeconds: 3_600, perBuyer: 3 }),
    purchases: [{ event: 0, purchase: { ...held, buyerId: 'ann' }, key: undefined }],
  };
  const two = (answer: Answer, buyer: string | undefined = 'ann') => played({ do: 'buy', quantity: 2, key: undefined, buyer }, answer);
  const granted: Answer = { kind: 'granted', purchase: { ...held, id: 'another', buyerId: 'ann' }, replayed: false };
  expect(explain([limited], [two({ kind: 'buyer-limit-exceeded', remaining: 1 })])).toHaveLength(1);
  expect(explain([limited], [two(granted)])).toEqual([]);
  expect(explain(explain([limited], [passes]), [two(granted)])).toHaveLength(1);
});
