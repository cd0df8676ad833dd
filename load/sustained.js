/**
 * The requirement: 1,000 purchases a second on one event, arriving whatever the answers do, 95 % answered within 500 ms.
 *
 *     k6 run -e ADMIN_TOKEN=… load/sustained.js         RATE=1000 DURATION=30s
 */
import { check } from 'k6';
import { audit, buy, duration, makeEvent, newKey, setting } from './client.js';

export const options = {
  scenarios: {
    arrivals: {
      executor: 'constant-arrival-rate',
      rate: setting('RATE', 1000),
      timeUnit: '1s',
      duration: duration('30s'),
      preAllocatedVUs: 200,
      maxVUs: 2000,
    },
  },
  summaryTrendStats: ['avg', 'med', 'p(95)', 'p(99)', 'max'],
  thresholds: {
    checks: ['rate>0.999'],
    'http_req_duration{name:purchase}': ['p(95)<500'],
    'http_req_failed{name:purchase}': ['rate<0.001'],
    // An arrival that k6 could not even send would otherwise not count as slow.
    dropped_iterations: ['count<10'],
  },
};

export function setup() {
  return makeEvent({ totalQuota: 10000000, maxPurchaseLimit: 4 });
}

/** @param {string} eventId */
export default function (eventId) {
  check(buy(eventId, 2, newKey()), { sold: (answer) => answer.status === 201 });
}

/** @param {string} eventId */
export function teardown(eventId) {
  audit(eventId);
}
