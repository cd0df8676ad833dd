/**
 * Goal: the model allows what some order of operations allows, and nothing else.
 * Method: answers to operations that ran at once, true and false ones, without a database.
 */
import { expect, test } from '@jest/globals';
import { firstComeFirstServed } from './clients.js';
import { type Answer, explain, type Model, type Operation, type Played } from './model.js';

const modelOf = (quota: number): Model => ({ events: [{ id: 'event', quota, limit: 4, exists: true }], purchases: [] });
const played = (operation: object, answer: Answer): Played => ({ operation: { client: 0, event: 0, ...operation } as Operation, answer });
const shown = (available: number, limit = 4): Answer => ({ kind: 'event', available, limit });

let ids = 0;
function sold(quantity: number): Answer & { kind: 'granted' } {
  const ticketIds = Array.from({ length: quantity }, () => `ticket ${String((ids += 1)).padStart(4, '0')}`);
  return {
    kind: 'granted',
    purchase: {
      id: `purchase of ${ticketIds[0]!}`,
      eventId: 'event',
      quantity,
      status: 'confirmed',
      buyerId: null,
      reference: null,
      createdAt: new Date(1),
      expiresAt: null,
      ticketIds,
    },
    replayed: false,
  };
}
const buy = (quantity: number, answer: Answer, key?: string) => played({ do: 'buy', quantity, key }, answer);

test('of two who want the last ticket either may get it, but not both, and not nobody', () => {
  const soldOut: Answer = { kind: 'sold-out', held: 0 };
  expect(explain([modelOf(1)], [buy(1, sold(1)), buy(1, soldOut)])).toHaveLength(1);
  expect(explain([modelOf(1)], [buy(1, soldOut), buy(1, sold(1))])).toHaveLength(1);
  expect(explain([modelOf(1)], [buy(1, sold(1)), buy(1, sold(1))])).toEqual([]);
  expect(explain([modelOf(1)], [buy(1, soldOut), buy(1, soldOut)])).toEqual([]);
});

test('first come, first served forbids that the second buyer at a replica gets the last ticket', () => {
  const unfair = [buy(1, { kind: 'sold-out', held: 0 }), buy(1, sold(1))];
  expect(explain([modelOf(1)], unfair, firstComeFirstServed)).toEqual([]);
  expect(explain([modelOf(1)], unfair.toReversed(), firstComeFirstServed)).toHaveLength(1);
});

test('a read at the same time sees what is left before or after a purchase, never half of it', () => {
  const reads = [5, 4, 3, 2].map((available) => explain([modelOf(5)], [buy(3, sold(3)), played({ do: 'read' }, shown(available))]).length);
  expect(reads).toEqual([1, 0, 0, 1]);
});

test('of two limits set at once either may stay, until a read tells which', () => {
  const limits = [2, 3].map((limit) => played({ do: 'limit', limit }, shown(5, limit)));
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
