/**
 * A sale opens: 20,000 buyers in the first second, each on a connection of its own. Exactly the quota is sold, and
 * everybody is answered: 201, 409, or 503 with a time to try again.
 *
 *     k6 run -e ADMIN_TOKEN=… load/stampede.js          ARRIVALS=20000 QUOTA=1000
 *
 * k6, the server and any proxy between them need as many file descriptors (`ulimit -n`) and local ports as there are arrivals,
 * and the replicas together as many connections (CONNECTIONS_MAX); beyond that a connection is closed without an answer.
 */
import { check } from 'k6';
import http from 'k6/http';
import { Counter } from 'k6/metrics';
import { audit, makeEvent, newKey, purchaseRequest, setting } from './client.js';

const arrivals = setting('ARRIVALS', 20000);
const quota = setting('QUOTA', 1000);
/** A VU is a JavaScript engine, and 20,000 of them are too many; each sends a batch, all at once, every request on a connection. */
const perVu = setting('PER_VU', 50);
const patience = __ENV.PATIENCE || '60s';

const sold = new Counter('tickets_sold');
const refused = new Counter('refusals');

export const options = {
  scenarios: { opening: { executor: 'per-vu-iterations', vus: Math.ceil(arrivals / perVu), iterations: 1, maxDuration: '180s' } },
  // Answered buyers disconnect, so that the audit finds a free connection.
  noConnectionReuse: true,
  batch: perVu,
  batchPerHost: perVu,
  summaryTrendStats: ['med', 'p(95)', 'p(99)', 'max'],
  thresholds: {
    checks: ['rate==1'],
    tickets_sold: ['count==' + quota],
    // Shown, not judged: how long each kind of answer took.
    'http_req_duration{status:201}': ['max>=0'],
    'http_req_duration{status:409}': ['max>=0'],
    'http_req_duration{status:503}': ['max>=0'],
    'http_req_connecting{name:purchase}': ['max>=0'],
  },
};

export function setup() {
  if (arrivals <= quota) throw new Error('ARRIVALS must be more than QUOTA, or there is no stampede');
  return makeEvent({ totalQuota: quota, maxPurchaseLimit: 4 });
}

/** @param {string} eventId */
export default function (eventId) {
  const requests = [];
  for (let each = 0; each < perVu; each += 1) requests.push(purchaseRequest(eventId, 1, newKey(), patience));
  for (const answer of http.batch(requests)) {
    check(answer, { 'answered: sold, sold out, or not now': () => [201, 409, 503].indexOf(answer.status) >= 0 });
    if (answer.status === 201) sold.add(1);
    else refused.add(1, { status: String(answer.status) });
  }
}

/** @param {string} eventId */
export function teardown(eventId) {
  audit(eventId, { 'exactly the quota was sold': (books) => books.sold_quantity === quota && books.available_quantity === 0 });
}
