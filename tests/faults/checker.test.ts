/**
 * Goal: the checker finds each contradiction that it is there for, and finds none where there is none.
 * Method: a small true history, and one lie at a time.
 */
import { expect, test } from '@jest/globals';
import { check, type Violation } from './checker.js';
import type { Answer, Attempt } from './history.js';
import type { BookedPurchase, Ledger } from './ledger.js';

const eventId = 'the-event';

const sold = (id: string, quantity: number): Answer => {
  const ticketIds = Array.from({ length: quantity }, (_, index) => `${id}-${String(index)}`);
  return { kind: 'granted', purchase: { id, quantity, ticketIds, json: `{"id":"${id}"}` } };
};
const soldOut: Answer = { kind: 'refused', code: 'sold-out', available: 0 };
const insufficient = (available: number): Answer => ({ kind: 'refused', code: 'insufficient-availability', available });
const unknown: Answer = { kind: 'unknown', why: 'the connection was lost' };
const notBegun: Answer = { kind: 'not begun', why: 'overloaded' };

/** Called at `at`, answered one millisecond later. */
const attempt = (key: string, quantity: number, at: number, answer: Answer): Attempt => ({
  eventId,
  key,
  quantity,
  asked: 'a replica',
  calledAtMs: at,
  returnedAtMs: at + 1,
  answer,
});
const booked = (key: string | null, id: string, quantity: number): BookedPurchase => ({
  eventId,
  id,
  key,
  quantity,
  ticketIds: Array.from({ length: quantity }, (_, index) => `${id}-${String(index)}`),
});

function ledger(quota: number, purchases: readonly BookedPurchase[], available?: number): Ledger {
  const left = available ?? quota - purchases.reduce((total, { quantity }) => total + quantity, 0);
  return { events: [{ id: eventId, quota, available: left }], purchases, orphans: 0 };
}

const rules = (violations: readonly Violation[]) => [...new Set(violations.map(({ harm, rule }) => `${harm}: ${rule}`))];
const verdict = (attempts: readonly Attempt[], books: Ledger, resolved = false) => rules(check(attempts, books, { resolved }));

/** Three of four tickets are sold, one of them after it was unknown; one buyer wants two and is refused. */
const trueAttempts = [
  attempt('a', 2, 0, sold('p', 2)),
  attempt('b', 1, 2, unknown),
  attempt('c', 2, 4, insufficient(1)),
  attempt('b', 1, 6, notBegun),
  attempt('b', 1, 8, sold('q', 1)),
  attempt('a', 2, 9, sold('p', 2)),
];
const trueLedger = ledger(4, [booked('a', 'p', 2), booked('b', 'q', 1)]);

test('a true history is not objected to', () => {
  expect(verdict(trueAttempts, trueLedger, true)).toEqual([]);
});

test('an unknown may have happened or not', () => {
  const attempts = [attempt('a', 2, 0, unknown)];
  expect(verdict(attempts, ledger(4, [booked('a', 'p', 2)]))).toEqual([]);
  expect(verdict(attempts, ledger(4, []))).toEqual([]);
});

test('an unknown must not stay one', () => {
  expect(verdict([attempt('a', 2, 0, unknown)], ledger(4, []), true)).toEqual(['unresolved: a key has no answer after all retries']);
});

test('a purchase that was acknowledged and is not there is lost', () => {
  expect(verdict([attempt('a', 2, 0, sold('p', 2))], ledger(4, []))).toEqual([
    'lost: a purchase that was acknowledged is not there',
    'lost: less was sold than was acknowledged',
  ]);
});

test('other tickets than were acknowledged are lost tickets', () => {
  const other = { ...booked('a', 'p', 2), ticketIds: ['p-0', 'p-2'] };
  expect(verdict([attempt('a', 2, 0, sold('p', 2))], ledger(4, [other]))).toEqual([
    'lost: the tickets are not those that were acknowledged',
  ]);
});

test('fewer tickets than were asked for are not what was asked for', () => {
  expect(verdict([attempt('a', 2, 0, sold('p', 1))], ledger(4, [booked('a', 'p', 1)]))).toContain(
    'lost: acknowledged was not what was asked for',
  );
});

test('two purchases of one key are a duplicate, whatever the buyer was answered', () => {
  const books = ledger(4, [booked('a', 'p', 1), booked('a', 'q', 1)]);
  expect(verdict([attempt('a', 1, 0, unknown)], books)).toContain('duplicated: a key has two purchases');
  expect(verdict([attempt('a', 1, 0, unknown)], books)).toContain('duplicated: more was sold than was acknowledged or is unknown');
});

test('two answers of one key that differ by a byte are a duplicate', () => {
  const first = sold('p', 1);
  const second: Answer = { kind: 'granted', purchase: { id: 'p', quantity: 1, ticketIds: ['p-0'], json: '{"id": "p"}' } };
  expect(verdict([attempt('a', 1, 0, first), attempt('a', 1, 2, second)], ledger(4, [booked('a', 'p', 1)]))).toEqual([
    'duplicated: a key was given two different purchases',
  ]);
});

test('a purchase under a key that no buyer has, or under none, is a duplicate', () => {
  for (const key of ['z', null]) {
    expect(verdict([attempt('a', 1, 0, sold('p', 1))], ledger(4, [booked('a', 'p', 1), booked(key, 'q', 1)]))).toEqual([
      'duplicated: a purchase that no buyer asked for',
      'duplicated: more was sold than was acknowledged or is unknown',
    ]);
  }
});

test('a refusal and a purchase of one key contradict each other', () => {
  const books = ledger(1, [booked('a', 'p', 1)]);
  expect(verdict([attempt('a', 1, 0, soldOut)], books)).toContain('untrue: a key that was refused has a purchase');
  expect(verdict([attempt('a', 1, 0, unknown), attempt('a', 1, 2, soldOut)], books)).toContain(
    'untrue: a key that was refused has a purchase',
  );
  expect(verdict([attempt('a', 1, 0, sold('p', 1)), attempt('a', 1, 2, soldOut)], books)).toContain(
    'untrue: a key was both sold to and refused',
  );
});

test('a buyer who was answered that nothing happened must have nothing', () => {
  expect(verdict([attempt('a', 1, 0, notBegun)], ledger(4, [booked('a', 'p', 1)]))).toContain(
    'untrue: a key that was answered that nothing happened has a purchase',
  );
});

test('sold out is false while something was left during the whole call', () => {
  const rule = 'untrue: refused, although enough was certainly left, or with a wrong number';
  const books = ledger(2, [booked('a', 'p', 1), booked('c', 'q', 1)]);
  const first = attempt('a', 1, 0, sold('p', 1));
  expect(verdict([first, attempt('b', 1, 2, soldOut), attempt('c', 1, 2, sold('q', 1))], books)).toEqual([]);
  expect(verdict([first, attempt('b', 1, 2, soldOut), attempt('c', 1, 5, sold('q', 1))], books)).toEqual([
    rule,
    'untrue: more was sold after a refusal than it said was left',
  ]);
  expect(verdict([first, attempt('b', 1, 2, soldOut)], ledger(2, [booked('a', 'p', 1)]))).toEqual([rule]);
});

test('an insufficient availability is false with a number that never was, or that would have been enough', () => {
  const rule = 'untrue: refused, although enough was certainly left, or with a wrong number';
  const first = attempt('a', 2, 0, sold('p', 2));
  const books = ledger(4, [booked('a', 'p', 2)]);
  expect(verdict([first, attempt('b', 3, 2, insufficient(2))], books)).toEqual([]);
  for (const wrong of [1, 3]) expect(verdict([first, attempt('b', 4, 2, insufficient(wrong))], books)).toEqual([rule]);
  expect(verdict([first, attempt('b', 2, 2, insufficient(2))], books)).toEqual([rule]);
});

test('books that do not add up are oversold', () => {
  const one = attempt('a', 1, 0, sold('p', 1));
  expect(verdict([one], ledger(1, [booked('a', 'p', 1)], 1))).toEqual(['oversold: available and sold do not add up to the quota']);
  expect(verdict([attempt('a', 2, 0, sold('p', 2))], ledger(1, [booked('a', 'p', 2)]))).toContain('oversold: more was sold than there is');
  expect(verdict([one], { ...ledger(1, [booked('a', 'p', 1)]), orphans: 1 })).toEqual(['oversold: tickets of no purchase']);
  const missing = { ...booked('a', 'p', 2), ticketIds: ['p-0'] };
  expect(verdict([attempt('a', 2, 0, unknown)], ledger(2, [missing]))).toEqual(['oversold: a purchase has not as many tickets as it says']);
});

test('a ticket of two purchases was issued twice', () => {
  const attempts = [attempt('a', 1, 0, sold('p', 1)), attempt('b', 1, 2, unknown)];
  const books = ledger(2, [booked('a', 'p', 1), { ...booked('b', 'q', 1), ticketIds: ['p-0'] }]);
  expect(verdict(attempts, books)).toEqual(['oversold: a ticket was issued twice']);
});
