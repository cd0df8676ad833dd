/**
 * Everyone at once on a small quota: exactly the quota is sold, and everybody else is answered 409.
 *
 *     k6 run -e ADMIN_TOKEN=… load/flash-sale.js        BUYERS=2000 QUOTA=100
 */
import { check } from 'k6';
import { Counter } from 'k6/metrics';
import { audit, buy, makeEvent, newKey, setting } from './client.js';

const buyers = setting('BUYERS', 2000);
const quota = setting('QUOTA', 100);
const tickets = new Counter('tickets_sold');
const refusals = new Counter('refusals');

export const options = {
  scenarios: { rush: { executor: 'per-vu-iterations', vus: buyers, iterations: 1, maxDuration: '60s' } },
  thresholds: { checks: ['rate==1'], tickets_sold: ['count==' + quota] },
};

export function setup() {
  return makeEvent({ totalQuota: quota, maxPurchaseLimit: 4 });
}

/** @param {string} eventId */
export default function (eventId) {
  const answer = buy(eventId, 1 + (__VU % 4), newKey());
  const refused = answer.status === 409;
  check(answer, {
    'sold, or refused because too little was left': () =>
      answer.status === 201 || (refused && ['sold-out', 'insufficient-availability'].indexOf(String(answer.json('code'))) >= 0),
  });
  if (answer.status === 201) tickets.add(Number(answer.json('quantity')));
  if (refused) refusals.add(1);
}

/** @param {string} eventId */
export function teardown(eventId) {
  audit(eventId, { 'exactly the quota was sold': (books) => books.sold_quantity === quota && books.available_quantity === 0 });
}
