/**
 * Hours of an ordinary evening: purchases and looks at a steady rate, on one event.
 *
 *     k6 run -e ADMIN_TOKEN=… load/soak.js              RATE=200 DURATION=1h
 */
import { check } from 'k6';
import { audit, buy, duration, makeEvent, newKey, readAvailability, setting } from './client.js';

const arrivals = {
  executor: 'constant-arrival-rate',
  timeUnit: '1s',
  duration: duration('1h'),
  preAllocatedVUs: 100,
  maxVUs: 1000,
};
const rate = setting('RATE', 200);

export const options = {
  scenarios: {
    buyers: Object.assign({ exec: 'purchase', rate: rate }, arrivals),
    visitors: Object.assign({ exec: 'look', rate: rate * 2 }, arrivals),
  },
  summaryTrendStats: ['avg', 'med', 'p(95)', 'p(99)', 'max'],
  thresholds: {
    checks: ['rate>0.999'],
    http_req_duration: ['p(99)<500'],
    dropped_iterations: ['count<100'],
  },
};

export function setup() {
  return makeEvent({ totalQuota: 10000000, maxPurchaseLimit: 4 });
}

/** @param {string} eventId */
export function purchase(eventId) {
  check(buy(eventId, 1, newKey()), { sold: (answer) => answer.status === 201 });
}

/** @param {string} eventId */
export function look(eventId) {
  check(readAvailability(eventId), { shown: (answer) => answer.status === 200 });
}

/** @param {string} eventId */
export function teardown(eventId) {
  audit(eventId);
}
