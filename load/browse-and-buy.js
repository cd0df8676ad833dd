/**
 * Nine looks at what is left for each purchase, as people do. Nobody may see more than is left after having bought.
 *
 *     k6 run -e ADMIN_TOKEN=… load/browse-and-buy.js    RATE=100 DURATION=30s (visitors a second, ten requests each)
 */
import { check } from 'k6';
import { audit, buy, duration, makeEvent, newKey, readAvailability, setting } from './client.js';

const looks = 9;
const quota = 10000000;

export const options = {
  scenarios: {
    visitors: {
      executor: 'constant-arrival-rate',
      rate: setting('RATE', 100),
      timeUnit: '1s',
      duration: duration('30s'),
      preAllocatedVUs: 100,
      maxVUs: 2000,
    },
  },
  summaryTrendStats: ['avg', 'med', 'p(95)', 'p(99)', 'max'],
  thresholds: {
    checks: ['rate>0.999'],
    'http_req_duration{name:availability}': ['p(95)<500'],
    'http_req_duration{name:purchase}': ['p(95)<500'],
    dropped_iterations: ['count<10'],
  },
};

export function setup() {
  return makeEvent({ totalQuota: quota, maxPurchaseLimit: 4 });
}

/** @param {string} eventId */
export default function (eventId) {
  let seen = quota;
  for (let look = 0; look < looks; look += 1) {
    const answer = readAvailability(eventId);
    const left = Number(answer.json('available_quantity'));
    check(answer, { 'what is left is shown, and never grows': () => answer.status === 200 && left <= seen });
    seen = left;
  }
  check(buy(eventId, 1, newKey()), { sold: (answer) => answer.status === 201 });
  const after = Number(readAvailability(eventId).json('available_quantity'));
  check(after, { 'my own purchase is counted at once': (left) => left <= seen - 1 });
}

/** @param {string} eventId */
export function teardown(eventId) {
  audit(eventId);
}
