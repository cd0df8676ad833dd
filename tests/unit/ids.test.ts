/**
 * Goal: an id that gives access says nothing about another one; an id that orders keeps the order.
 * Method: many ids of one millisecond, and a clock that is set back.
 */
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { newId, newPurchaseId } from '../../src/sale/ids.js';

const nowMs = Date.UTC(2026, 10, 24);

beforeEach(() => {
  jest.useFakeTimers({ now: nowMs });
});
afterEach(() => {
  jest.useRealTimers();
});

const many = (make: () => string) => Array.from({ length: 1_000 }, make);
const bitsOf = (id: string) =>
  BigInt(`0x${id.replaceAll('-', '')}`)
    .toString(2)
    .padStart(128, '0');
const timeOf = (id: string) => Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16);

test('between two purchase ids of one millisecond, more than 64 bits change as often as a coin falls on one side', () => {
  const bits = many(newPurchaseId).map(bitsOf);
  const changes = Array.from(
    { length: 128 },
    (_, bit) => bits.filter((each, index) => index > 0 && each[bit] !== bits[index - 1]![bit]).length,
  );
  // Of 999 flips of a coin, fewer than 400 or more than 600 come once in ten billion times.
  expect(changes.filter((count) => count > 400 && count < 600).length).toBeGreaterThan(64);
});

test('a purchase id has the time of the clock, also after the clock was set back', () => {
  expect(timeOf(newPurchaseId())).toBe(nowMs);
  jest.setSystemTime(nowMs - 60_000);
  expect(timeOf(newPurchaseId())).toBe(nowMs - 60_000);
});

test('other ids sort in the order in which they were made, whatever the clock does', () => {
  const before = many(newId);
  jest.setSystemTime(nowMs - 60_000);
  const ids = [...before, ...many(newId)];
  expect([...ids].sort()).toEqual(ids);
});
