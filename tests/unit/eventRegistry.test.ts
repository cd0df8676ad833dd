import { expect, test } from '@jest/globals';
import { EventRegistry } from '../../src/sale/eventRegistry.js';
import { noRules } from '../support/sales.js';

const rules = (revision: number) => ({ revision, maxPurchaseLimit: revision, ...noRules });

test('the newest rules are kept, whatever a slower read brings later', () => {
  const events = new EventRegistry();
  events.learn('event', rules(2));
  events.learn('event', rules(1));
  expect(events.rulesOf('event')).toEqual(rules(2));
  events.learn('event', rules(3));
  expect(events.rulesOf('event')).toEqual(rules(3));
});

test('beyond the bound the event whose last batch is the longest ago is dropped', () => {
  const events = new EventRegistry(2);
  events.learn('a', rules(1));
  events.learn('b', rules(1));
  events.remember('a', 'snapshot', false);
  events.learn('c', rules(1));
  expect(['a', 'b', 'c'].filter((eventId) => events.has(eventId))).toEqual(['a', 'c']);
  expect([events.hintOf('a'), events.hintOf('b'), events.hintOf('c')]).toEqual(['snapshot', 'locked', 'fast']);
});

test('after a replay, replays are expected for a number of batches, and then no more', () => {
  const events = new EventRegistry();
  events.learn('event', rules(1));
  expect(events.expectsReplays('event')).toBe(false);
  events.remember('event', 'fast', true);
  let batches = 0;
  for (; events.expectsReplays('event') && batches < 10_000; batches += 1) events.remember('event', 'fast', false);
  expect(batches).toBe(200);
});
