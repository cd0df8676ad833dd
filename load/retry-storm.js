/**
 * Every client gives up too early and repeats the request with the same key: one purchase a key.
 *
 *     k6 run -e ADMIN_TOKEN=… load/retry-storm.js       BUYERS=500 PATIENCE_MS=20
 */
import { check } from 'k6';
import { Counter } from 'k6/metrics';
import { audit, buy, makeEvent, newKey, setting } from './client.js';

const buyers = setting('BUYERS', 500);
const patienceMs = setting('PATIENCE_MS', 20);
const attemptsInVain = 3;
const givenUp = new Counter('requests_given_up');

export const options = {
  scenarios: { storm: { executor: 'per-vu-iterations', vus: buyers, iterations: 1, maxDuration: '120s' } },
  thresholds: { checks: ['rate==1'] },
};

export function setup() {
  return makeEvent({ totalQuota: 10000000, maxPurchaseLimit: 4 });
}

/** @param {string} eventId */
export default function (eventId) {
  const key = newKey();
  for (let attempt = 0; attempt < attemptsInVain; attempt += 1) {
    if (buy(eventId, 1, key, patienceMs + 'ms').status === 0) givenUp.add(1);
  }
  const [first, second] = [buy(eventId, 1, key), buy(eventId, 1, key)];
  check(first, { 'a buyer who waits at last gets the purchase': (answer) => answer.status === 201 });
  check(second, {
    'and a repeat gets the same answer': (answer) =>
      answer.status === 201 && answer.body === first.body && answer.headers['Idempotency-Replayed'] === 'true',
  });
}

/** @param {string} eventId */
export function teardown(eventId) {
  audit(eventId, { 'one purchase a key': (books) => books.sold_quantity === buyers });
}
